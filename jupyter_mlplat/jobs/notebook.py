"""What a job must know of a notebook before it runs: its kernel, its cells, its parameters.

Parameters are the simple values that are assigned in the cell tagged `parameters`; given ones go into a cell tagged
`injected-parameters` right after it, as papermill does. This module stays light: the runner loads it at its start.
"""

import ast
import copy
import io
import json
import keyword
import math
import secrets
import tokenize
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from jupyter_mlplat.errors import InvalidInput

if TYPE_CHECKING:
    from jupyter_mlplat.jobs.models import Kind, Scalar

ParameterType = Literal["bool", "int", "float", "str"]
Notebook = dict[str, Any]

PARAMETERS_TAG = "parameters"
INJECTED_TAG = "injected-parameters"
PYTHON_KERNELS = ("python3", "python")

_TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
_WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}


@dataclass(frozen=True)
class Parameter:
    """One value that a notebook takes. `default` is None where none is declared (`n: int = None`)."""

    name: str
    type: ParameterType
    default: "Scalar | None"
    help: str = ""


@dataclass(frozen=True)
class NotebookFacts:
    """What is in an entry file. `problems` are sentences for a person; with any of them the job would fail."""

    kind: "Kind"
    kernel_name: str = "python3"
    language: str = "python"
    code_cells: int = 0
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[str, ...] = ()


def kind_of(entry: str) -> "Kind":
    """The kind of job that an entry file makes, by its suffix. Raises InvalidInput for any other."""
    from jupyter_mlplat.jobs.models import Kind  # here, because pydantic would slow the runner's start

    kinds = {".ipynb": Kind.NOTEBOOK, ".py": Kind.PYTHON, ".sh": Kind.SHELL, ".bash": Kind.SHELL}
    try:
        return kinds[PurePosixPath(entry).suffix.lower()]
    except KeyError:
        raise InvalidInput(
            f"{entry} cannot be run as a job: choose a notebook (.ipynb) or a script (.py, .sh)."
        ) from None


def inspect(path: Path, kernels: Collection[str] = PYTHON_KERNELS) -> NotebookFacts:
    """The facts of a notebook or script. `kernels` are the names that the image knows.

    Raises InvalidInput where there is no such file or its suffix is none that a job can run; everything else that is
    wrong with it is among the problems.
    """
    kind = kind_of(path.name)
    if not path.is_file():
        raise InvalidInput(f"There is no file {path.name}.")
    if kind.value != "notebook":
        return NotebookFacts(kind, "", "python" if kind.value == "python" else "bash")
    try:
        notebook = read(path)
    except InvalidInput as error:
        return NotebookFacts(kind, problems=(error.message,))
    declared = _declared(notebook)
    cells = runnable(notebook)
    problems = [kernel_problem(notebook, kernels), declared.problem]
    if not cells:
        problems.append(_no_code(path))
    return NotebookFacts(
        kind, kernel_of(notebook), language_of(notebook), len(cells), tuple(declared.parameters.values()),
        tuple(problem for problem in problems if problem),
    )  # fmt: skip


def read(path: Path) -> Notebook:
    """A notebook of format 4 with the source of each cell as one string. Raises InvalidInput with what is wrong."""
    try:
        notebook = json.loads(path.read_bytes())
    except UnicodeDecodeError:
        raise InvalidInput(f"{path.name} is not a notebook: it is not text. {_REPAIR}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path.name} is not a notebook: it is not JSON ({error}). {_REPAIR}") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("nbformat"), int):
        raise InvalidInput(f"{path.name} is not a notebook: it names no format. {_REPAIR}")
    if notebook["nbformat"] != 4:
        raise InvalidInput(
            f"{path.name} has the notebook format {notebook['nbformat']} and jobs need 4. "
            "Open it in JupyterLab and save it, which converts it."
        )
    if not _well_formed(notebook):
        raise InvalidInput(f"{path.name} is damaged: its cells are not those of a notebook. {_REPAIR}")
    for cell in notebook["cells"]:
        cell["source"] = _text(cell["source"])
    return notebook


def runnable(notebook: Notebook) -> list[int]:
    """The positions of the cells that a run executes: code that is neither empty nor tagged `skip-execution`."""
    return [
        position
        for position, cell in enumerate(notebook["cells"])
        if cell["cell_type"] == "code" and cell["source"].strip() and "skip-execution" not in _tags(cell)
    ]


def kernel_of(notebook: Notebook) -> str:
    """The name of the kernel that the notebook asks for; python3 where it names none."""
    return str(_kernelspec(notebook).get("name") or "python3")


def language_of(notebook: Notebook) -> str:
    info = notebook["metadata"].get("language_info")
    named = _kernelspec(notebook).get("language") or (info.get("name") if isinstance(info, dict) else None)
    return str(named or "python").lower()


def kernel_problem(notebook: Notebook, kernels: Collection[str]) -> str | None:
    """Why the notebook cannot run where only `kernels` are known, as a sentence; None where it can."""
    name = kernel_of(notebook)
    if name in kernels:
        return None
    known = ", ".join(sorted(set(kernels) - {"python"})) or "none"
    return (
        f"The notebook asks for the kernel {name!r}, which the image does not have (it has: {known}). "
        "Choose another kernel in JupyterLab and save the notebook, or take an image that has it."
    )


def inject(notebook: Notebook, parameters: "Mapping[str, Scalar]") -> Notebook:
    """A copy of the notebook with the given parameters in a cell of their own; an earlier such cell is replaced.

    Raises InvalidInput that names the parameter where a value does not fit what the notebook declares.
    """
    result = copy.copy(notebook)
    result["cells"] = cells = [cell for cell in notebook["cells"] if INJECTED_TAG not in _tags(cell)]
    if not parameters:
        return result
    values = _checked(_declared(notebook), parameters)
    if language_of(notebook) not in ("python", "python3", "ipython"):
        raise InvalidInput("Parameters can be given to notebooks in Python only; this one is in another language.")
    place = _parameters_cell(cells)
    cells.insert(0 if place is None else place + 1, _injected_cell(notebook, values))
    return result


def ready_to_run(path: Path, parameters: "Mapping[str, Scalar]") -> Notebook:
    """The notebook in a file with the given parameters and without the output of earlier runs.

    Raises InvalidInput where it cannot be read, has no code, or does not take the parameters.
    """
    plain = read(path)
    if not runnable(plain):
        raise InvalidInput(_no_code(path))
    notebook = inject(plain, parameters)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return notebook


def _no_code(path: Path) -> str:
    return f"{path.name} has no code to run: all of its code cells are empty or it has none."


def check(notebook: Notebook, parameters: "Mapping[str, Scalar]") -> "dict[str, Scalar]":
    """The given parameters as the notebook wants them (an int for a float becomes one). Raises as `inject` does."""
    return _checked(_declared(notebook), parameters)


_REPAIR = "Open it in JupyterLab to repair it, or take an earlier copy."


@dataclass(frozen=True)
class _Declared:
    """`names` are all names assigned in the parameters cell (None: there is no such cell)."""

    names: frozenset[str] | None
    parameters: dict[str, Parameter]
    problem: str | None = None


def _declared(notebook: Notebook) -> _Declared:
    place = _parameters_cell(notebook["cells"])
    if place is None:
        return _Declared(None, {})
    source = _without_magics(notebook["cells"][place]["source"])
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        return _Declared(None, {}, f"The cell tagged `parameters` is not Python that can be read: {error}.")
    comments, names, found = _comments(source), set[str](), dict[str, Parameter]()
    for statement in tree.body:
        for name, annotation, value in _assignments(statement):
            names.add(name)
            found.pop(name, None)
            if parameter := _parameter(name, annotation, value, comments.get(statement.end_lineno or 0, "")):
                found[name] = parameter
    return _Declared(frozenset(names), found)


def _assignments(statement: ast.stmt) -> list[tuple[str, ast.expr | None, ast.expr | None]]:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [(statement.target.id, statement.annotation, statement.value)]
    if isinstance(statement, ast.Assign):
        return [(target.id, None, statement.value) for target in statement.targets if isinstance(target, ast.Name)]
    return []


def _parameter(name: str, annotation: ast.expr | None, value: ast.expr | None, help: str) -> Parameter | None:
    declared = annotation.id if isinstance(annotation, ast.Name) and annotation.id in _TYPES else None
    try:
        default = None if value is None else ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    if default is None:
        return Parameter(name, declared, None, help) if declared else None  # type: ignore[arg-type]
    if type(default) not in _TYPES.values():
        return None
    if declared == "float" and type(default) is int:
        default = float(default)
    return Parameter(name, type(default).__name__, default, help)  # type: ignore[arg-type]


def _checked(declared: _Declared, given: "Mapping[str, Scalar]") -> "dict[str, Scalar]":
    for name in given:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise InvalidInput(f"{name!r} cannot be the name of a parameter: it is not a name in Python.")
        if declared.names is not None and name not in declared.names:
            known = ", ".join(sorted(declared.names)) or "none"
            raise InvalidInput(f"The notebook has no parameter {name!r}. Its parameters are: {known}.")
    return {name: _fitted(name, declared.parameters.get(name), value) for name, value in given.items()}


def _fitted(name: str, parameter: Parameter | None, value: "Scalar") -> "Scalar":
    if type(value) not in _TYPES.values():
        raise InvalidInput(f"The parameter {name!r} must be text, a number, or true or false.")
    if parameter is None or type(value) is _TYPES[parameter.type]:
        return value
    if parameter.type == "float" and type(value) is int:
        return float(value)
    raise InvalidInput(f"The parameter {name!r} must be {_WORDS[parameter.type]}, not {value!r}.")


def _injected_cell(notebook: Notebook, values: "Mapping[str, Scalar]") -> dict[str, Any]:
    lines = ["# Parameters", *(f"{name} = {_literal(value)}" for name, value in values.items())]
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": [INJECTED_TAG]},
        "outputs": [],
        "source": "\n".join(lines),
    }
    return {"id": secrets.token_hex(4), **cell} if notebook.get("nbformat_minor", 0) >= 5 else cell


def _literal(value: "Scalar") -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    return repr(value)


def _well_formed(notebook: Notebook) -> bool:
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not isinstance(notebook.setdefault("metadata", {}), dict):
        return False
    return all(
        isinstance(cell, dict)
        and isinstance(cell.get("cell_type"), str)
        and isinstance(cell.setdefault("metadata", {}), dict)
        and isinstance(_text(cell.setdefault("source", "")), str)
        for cell in cells
    )


def _text(source: object) -> Any:
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    return source


def _tags(cell: dict[str, Any]) -> list[str]:
    tags = cell["metadata"].get("tags")
    return tags if isinstance(tags, list) else []


def _kernelspec(notebook: Notebook) -> dict[str, Any]:
    spec = notebook["metadata"].get("kernelspec")
    return spec if isinstance(spec, dict) else {}


def _parameters_cell(cells: list[dict[str, Any]]) -> int | None:
    found = [at for at, cell in enumerate(cells) if cell["cell_type"] == "code" and PARAMETERS_TAG in _tags(cell)]
    return found[0] if found else None


def _without_magics(source: str) -> str:
    """The same lines with those empty that are IPython's own (%magic, !command)."""
    return "\n".join("" if line.lstrip().startswith(("%", "!", "?")) else line for line in source.split("\n"))


def _comments(source: str) -> dict[int, str]:
    """The comment at the end of each line."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return {}
    return {token.start[0]: token.string.lstrip("#").strip() for token in tokens if token.type == tokenize.COMMENT}
