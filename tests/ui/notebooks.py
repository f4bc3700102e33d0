"""Notebooks that people upload: each with what it needs beside it."""

from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}

MODULE = '''"""How a loss falls."""


def loss_at(epoch: int, rate: float) -> float:
    return 1 / (1 + rate * epoch)
'''
TITLE = "# A small training\n\nLogs the loss of every epoch."
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
    notebook, module = folder / "train.ipynb", folder / "curve.py"
    write_notebook(notebook, TITLE, PARAMETERS, [LOOP, REPORT, *more])
    module.write_text(MODULE)
    return [notebook, module]


def failing(folder: Path) -> Path:
    """`broken.ipynb`, whose last cell but one raises an error."""
    notebook = folder / "broken.ipynb"
    cells = ["measures = []\nprint('reading')", "mean = sum(measures) / len(measures)", "print('never reached')"]
    write_notebook(notebook, "# Clean the measures", "column = 'width'", cells)
    return notebook


def write_notebook(path: Path, title: str, parameters: str, cells: Sequence[str]) -> None:
    """A notebook of a title, a cell of parameters and others."""
    first = [new_markdown_cell(title), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    metadata = {"kernelspec": KERNEL, "language_info": LANGUAGE}
    nbformat.write(new_notebook(cells=[*first, *map(new_code_cell, cells)], metadata=metadata), path)
