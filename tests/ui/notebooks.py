"""Notebooks that people upload: each with what it needs beside it."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}

MODULE = '''"""How a loss falls."""


def loss_at(epoch: int, rate: float) -> float:
    return 1 / (1 + rate * epoch)
'''
PARAMETERS = "epochs = 3  # how often the data is seen\nrate = 0.5\nverbose = True"
LOOP = """import mlplat
from curve import loss_at

for epoch in range(1, epochs + 1):
    loss = loss_at(epoch, rate)
    mlplat.log(step=epoch, loss=loss, accuracy=1 - loss)
    if verbose:
        print(f"epoch {epoch} of {epochs}: loss {loss:.3f}")"""
REPORT = """import os
from pathlib import Path

Path(os.environ["MLPLAT_OUTPUT_DIR"], "report.txt").write_text(f"loss {loss:.3f}")"""


def training(folder: Path, *more: str) -> list[Path]:
    """`train.ipynb`, which has parameters and logs metrics, and the module that it imports; `more` cells at its end."""
    notebook = folder / "train.ipynb"
    cells = [
        new_markdown_cell("# A small training\n\nLogs the loss of every epoch."),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        *map(new_code_cell, (LOOP, REPORT, *more)),
    ]
    _write(notebook, cells)
    module = folder / "curve.py"
    module.write_text(MODULE)
    return [notebook, module]


def failing(folder: Path) -> Path:
    """`broken.ipynb`, whose second cell raises an error."""
    notebook = folder / "broken.ipynb"
    cells = ["rows = 0\nprint('reading')", "mean = 1 / rows", "print('never reached')"]
    _write(notebook, [new_code_cell(cell) for cell in cells])
    return notebook


def _write(path: Path, cells: list[nbformat.NotebookNode]) -> None:
    metadata = {"kernelspec": KERNEL, "language_info": LANGUAGE}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
