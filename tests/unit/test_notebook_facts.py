"""Facts of a notebook: its parameters as they are written, its problems in words, the injected cell."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.jobs.models import Kind
from jupyter_mlplat.jobs.notebook import Parameter, check, inject, inspect, kind_of, read


def code(source: str | list[str], *tags: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": list(tags)},
        "outputs": [],
        "source": source,
    }


def notebook(*cells: dict[str, Any], minor: int = 4, **metadata: Any) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}


def written(tmp_path: Path, content: Any, name: str = "t.ipynb") -> Path:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


PARAMETERS = """\
%matplotlib inline
epochs = 3  # how often
lr: float = 1  # the # step
shift = -0.5
name: str = "a # b"
deep = True
seed: int = None
first = second = 7
long = (
    "in two"
    " lines"
)  # wrapped
paths = ["a"]
where = open
nothing = None
epochs = 4
"""


def test_parameters_are_the_simple_values_of_the_tagged_cell(tmp_path: Path) -> None:
    facts = inspect(written(tmp_path, notebook(code("x = 1"), code(PARAMETERS.splitlines(True), "parameters"))))
    assert facts.problems == ()
    assert (facts.kind, facts.kernel_name, facts.language, facts.code_cells) == (Kind.NOTEBOOK, "python3", "python", 2)
    assert facts.parameters == (
        Parameter("lr", "float", 1.0, "the # step"),
        Parameter("shift", "float", -0.5),
        Parameter("name", "str", "a # b"),
        Parameter("deep", "bool", True),
        Parameter("seed", "int", None),
        Parameter("first", "int", 7),
        Parameter("second", "int", 7),
        Parameter("long", "str", "in two lines", "wrapped"),
        Parameter("epochs", "int", 4),
    )
    assert isinstance(facts.parameters[0].default, float)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "names no format"),
        ({"nbformat": "4"}, "names no format"),
        ({"nbformat": 3, "worksheets": []}, "format 3"),
        ({"nbformat": 5, "cells": []}, "format 5"),
        ({"nbformat": 4}, "damaged"),
        ({"nbformat": 4, "cells": ["x"]}, "damaged"),
        ({"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}, "damaged"),
        (notebook(), "no code"),
        (notebook(code(" \n"), {"cell_type": "markdown", "metadata": {}, "source": "# hi"}), "no code"),
        (notebook(code("1"), kernelspec={"name": "julia-1.9"}), "kernel 'julia-1.9'.*it has: python3"),
        (notebook(code("a = = 1", "parameters")), "`parameters` is not Python"),
    ],
)
def test_a_notebook_that_cannot_run_says_why(tmp_path: Path, content: Any, words: str) -> None:
    (problem,) = inspect(written(tmp_path, content)).problems
    assert re.search(words, problem)


def test_a_kernel_that_the_image_has_is_no_problem(tmp_path: Path) -> None:
    path = written(tmp_path, notebook(code("1"), kernelspec={"name": "ir", "language": "R"}))
    facts = inspect(path, kernels=["python3", "ir"])
    assert (facts.problems, facts.language) == ((), "r")


def test_bytes_that_are_no_text_are_no_notebook(tmp_path: Path) -> None:
    (tmp_path / "t.ipynb").write_bytes(b"\xff\x00\x81" * 30)
    assert "not a notebook" in inspect(tmp_path / "t.ipynb").problems[0]


def test_scripts_are_told_by_their_suffix(tmp_path: Path) -> None:
    assert inspect(written(tmp_path, "print()", "t.py")).kind is Kind.PYTHON
    assert inspect(written(tmp_path, "ls", "t.sh")).kind is Kind.SHELL
    for name in ("t.txt", "Makefile", "t.ipynb.bak"):
        with pytest.raises(InvalidInput, match=name):
            kind_of(name)
    with pytest.raises(InvalidInput, match="no file"):
        inspect(tmp_path / "none.py")


def test_given_parameters_follow_the_declared_ones() -> None:
    before = notebook(code("import os"), code("epochs = 1", "parameters"), code("print(epochs)"), minor=5)
    after = inject(before, {"epochs": 5})
    assert [cell["source"] for cell in after["cells"]] == [
        "import os", "epochs = 1", "# Parameters\nepochs = 5", "print(epochs)",
    ]  # fmt: skip
    assert after["cells"][2]["metadata"]["tags"] == ["injected-parameters"]
    assert after["cells"][2]["id"]
    assert len(before["cells"]) == 3
    again = inject(after, {"epochs": 6})
    assert [cell["source"] for cell in again["cells"]].count("# Parameters\nepochs = 6") == 1
    assert len(again["cells"]) == 4


def test_without_a_tagged_cell_they_come_first() -> None:
    after = inject(notebook(code("print(a)")), {"a": "x'y\n"})
    assert after["cells"][0]["source"] == '# Parameters\na = "x\'y\\n"'


@pytest.mark.parametrize(
    ("source", "given", "words"),
    [
        ("epochs = 1", {"epochs": "many"}, "'epochs' must be a whole number, not 'many'"),
        ("epochs = 1", {"epochs": True}, "'epochs' must be a whole number"),
        ("epochs = 1", {"epochs": 1.5}, "'epochs' must be a whole number"),
        ("lr = 1.0", {"lr": "0.1"}, "'lr' must be a number"),
        ("deep = True", {"deep": 1}, "'deep' must be true or false"),
        ("name = ''", {"name": 3}, "'name' must be text"),
        ("epochs = 1", {"epoch": 1}, "no parameter 'epoch'. Its parameters are: epochs"),
        ("epochs = 1", {"class": 1}, "'class' cannot be"),
        ("epochs = 1", {"a; import os": 1}, "cannot be"),
    ],
)
def test_a_value_that_does_not_fit_names_the_parameter(source: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        inject(notebook(code(source, "parameters")), given)
    assert words in caught.value.message


def test_what_is_not_simple_may_be_given_freely() -> None:
    declared = notebook(code("path = open\nlimit = None\nlr = 0.1", "parameters"))
    assert check(declared, {"path": "x", "limit": 3, "lr": 1}) == {"path": "x", "limit": 3, "lr": 1.0}


SCALARS = st.booleans() | st.integers() | st.floats() | st.text()


@given(st.dictionaries(st.sampled_from(["a", "b_2", "Ω", "_x"]), SCALARS, min_size=1))
def test_injected_values_come_out_as_they_went_in(parameters: dict[str, Any]) -> None:
    after = inject(notebook(code("pass")), parameters)
    scope: dict[str, Any] = {}
    exec(after["cells"][0]["source"], scope)  # noqa: S102 – what the kernel does with it
    for name, value in parameters.items():
        assert type(scope[name]) is type(value)
        assert scope[name] == value or (math.isnan(value) and math.isnan(scope[name]))


@given(SCALARS.filter(lambda value: value == value and abs(value) != math.inf if isinstance(value, float) else True))
def test_every_simple_literal_is_found_with_its_type(value: Any) -> None:
    after = inject(notebook(code("pass")), {"a": value})
    declared = notebook(code(after["cells"][0]["source"], "parameters"))
    assert check(declared, {"a": value}) == {"a": value}
    with pytest.raises(InvalidInput):
        check(declared, {"a": "x" if not isinstance(value, str) else 1})


def test_reading_joins_the_lines_of_a_cell(tmp_path: Path) -> None:
    assert read(written(tmp_path, notebook(code(["a\n", "b"]))))["cells"][0]["source"] == "a\nb"
