"""The runner as a real process with real kernels: what it runs, and what that finds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from runner_stage import Running, notebook, until

from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.variables import variables_of


def test_a_notebook_runs_beside_its_files_with_its_parameters(job: Callable[..., Running]) -> None:
    running = job(
        "sub/train.ipynb",
        ["# parameters\nepochs = 1", "", "import beside\nprint(beside.word, epochs)", "epochs + 1"],
        parameters={"epochs": 4},
    )
    running.write("sub/beside.py", "word = 'hello'")
    state = running.end()
    assert (state.state, state.exit_code, state.message) == ("completed", 0, "")
    assert (state.cells_done, state.cells_total, state.attempt) == (4, 4, 1)
    assert state.started_at and state.finished_at and state.finished_at > state.started_at
    assert "[cell 1/4]\n[cell 2/4]\n[cell 3/4]\nhello 4\n[cell 4/4]\n5\n" in running.log
    assert running.log.startswith("[mlplat] train #7, attempt 1: sub/train.ipynb\n")
    assert "[mlplat] Completed in" in running.log
    cells = running.executed["cells"]
    assert [cell.get("execution_count") for cell in cells] == [1, 2, None, 3, 4, None]
    assert cells[1]["metadata"]["tags"] == ["injected-parameters"]
    assert running.outputs(3) == [{"output_type": "stream", "name": "stdout", "text": "hello 4\n"}]
    assert running.outputs(4)[0]["data"] == {"text/plain": "5"}


def test_the_executed_notebook_is_one(job: Callable[..., Running]) -> None:
    running = job("t.ipynb", ["print('\\ud800')", "from IPython.display import display\ndisplay({'a': 1})"])
    running.end()
    import nbformat

    nbformat.validate(nbformat.read(running.folder.executed, 4))


def test_output_appears_while_a_cell_runs(job: Callable[..., Running], tmp_path: Path) -> None:
    go = tmp_path / "go"
    wait = f"import time, os\nprint('begun')\nwhile not os.path.exists({str(go)!r}): time.sleep(.01)\nprint('done')"
    running = job("t.ipynb", [wait])
    until(lambda: running.folder.executed.exists() and running.outputs(0) and "begun\n" in running.log)
    assert running.outputs(0)[0]["text"] == "begun\n"
    assert (running.state.state, running.state.cells_done, running.state.cells_total) == ("running", 0, 1)
    assert "done" not in running.log
    go.touch()
    assert running.end().state == "completed"
    assert running.outputs(0)[0]["text"] == "begun\ndone\n"


def test_a_failing_cell_leaves_its_traceback_and_ends_the_job(job: Callable[..., Running]) -> None:
    running = job("t.ipynb", ["1", "def f():\n    return 1 / 0\nf()", "print('never')"])
    state = running.end()
    assert (state.state, state.exit_code, state.cells_done) == ("failed", 1, 1)
    assert state.message == "Cell 2 failed: ZeroDivisionError: division by zero"
    assert running.outputs(1)[0]["ename"] == "ZeroDivisionError"
    assert running.outputs(1)[0]["traceback"]
    assert "ZeroDivisionError: division by zero\n[mlplat] Failed: Cell 2 failed" in running.log
    assert "\x1b" not in running.log
    assert "never" not in running.log


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("import os\nos._exit(7)", 7, r"The kernel ended by itself with exit code 7. It was running cell 2."),
        ("import os\nos.kill(os.getpid(), 9)", 137, "memory ran out"),
        ("import ctypes\nctypes.string_at(0)", 139, "crashed (SIGSEGV)"),
    ],
)
def test_a_kernel_that_dies_fails_the_job_in_words(
    job: Callable[..., Running], source: str, code: int, words: str
) -> None:
    running = job("t.ipynb", ["print('first')", source])
    state = running.end()
    assert (state.state, state.exit_code, state.cells_done) == ("failed", code, 1)
    assert words in state.message
    assert words in running.log
    assert running.outputs(0)[0]["text"] == "first\n"


def test_a_notebook_may_end_itself_early(job: Callable[..., Running]) -> None:
    running = job("t.ipynb", ["import sys\nsys.exit(0)", "print('never')"])
    assert running.end().state == "completed"
    assert "never" not in running.log


def test_a_missing_kernel_is_named(job: Callable[..., Running]) -> None:
    state = job("t.ipynb", notebook("1", kernel="julia-1.9")).end()
    assert state.state == "failed"
    assert "'julia-1.9', which the image does not have" in state.message


def test_an_image_without_ipykernel_is_named(job: Callable[..., Running], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    state = job("t.ipynb", ["1"], environment=str(tmp_path / "bare")).end()
    assert (state.state, state.exit_code) == ("failed", 1)
    assert "the image has no ipykernel" in state.message


def test_a_notebook_that_cannot_be_read_fails_the_job(job: Callable[..., Running]) -> None:
    state = job("t.ipynb", "{").end()
    assert state.state == "failed"
    assert "t.ipynb is not a notebook: it is not JSON" in state.message


@pytest.mark.parametrize("entry", ["t.ipynb", "sub/t.py"])
def test_an_entry_that_is_not_there_fails_the_job(tmp_path: Path, entry: str) -> None:
    running = Running(tmp_path, entry, "")
    (running.folder.code / entry).unlink()
    state = running.start().end()
    assert (state.state, state.message) == ("failed", f"There is no file {entry} among the files of the job.")


def test_many_lines_all_arrive(job: Callable[..., Running]) -> None:
    running = job("t.ipynb", ["for n in range(20_000): print('line', n)", "print('\\n'.join(map(str, range(20_000))))"])
    assert running.end().state == "completed"
    lines = [f"line {number}" for number in range(20_000)]
    assert running.outputs(0)[0]["text"].splitlines() == lines
    assert len(running.outputs(0)) == 1
    assert running.log.count("\nline ") == 20_000
    assert running.log.endswith("19999\n" + running.log.splitlines()[-1] + "\n")


LOOK_AROUND = """
import os, sys, json, mlplat
mlplat.log(step=1, loss=0.5)
mlplat.log(acc=float("inf"))
os.system("echo native")
print("FOUND", json.dumps([dict(os.environ), os.getcwd(), sys.prefix, list(os.sched_getaffinity(0))]))
"""


def test_what_a_job_finds_inside(job: Callable[..., Running], tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits/one.txt").write_text("1")
    core = min(os.sched_getaffinity(0))
    running = job(
        "t.ipynb",
        [LOOK_AROUND],
        parameters={"deep": True},
        variables={"OMP_NUM_THREADS": "1", "MINE": "yes", "MLPLAT_JOB_ID": "forged"},
        inputs=[("data", str(tmp_path / "digits"))],
        outputs=[("model", str(tmp_path / "models"))],
        cpus=[core],
        gpus=2,
    )
    assert running.end().state == "completed"
    line = next(line for line in running.log.splitlines() if line.startswith("FOUND"))
    environ, place, prefix, cores = json.loads(line.removeprefix("FOUND "))
    root = running.folder.root
    assert (place, prefix, cores) == (str(root / "code"), str(root / "env"), [core])
    expected = {
        "MA_JOB_DIR": f"{root}/code", "MA_LOG_DIR": f"{root}/logs", "MA_NUM_HOSTS": "1", "MA_NUM_GPUS": "2",
        "MA_TASK_NAME": "worker", "VC_TASK_INDEX": "0", "VC_WORKER_NUM": "1", "VC_WORKER_HOSTS": "127.0.0.1",
        "MASTER_ADDR": "127.0.0.1", "MLPLAT_JOB_ID": "j-test", "MLPLAT_OUTPUT_DIR": f"{root}/outputs",
        "MLPLAT_INPUT_DATA": f"{root}/inputs/data", "MLPLAT_OUTPUT_model": f"{root}/outputs/model",
        "MLPLAT_PARAMETERS": '{"deep": true}', "OMP_NUM_THREADS": "1", "MINE": "yes", "VIRTUAL_ENV": f"{root}/env",
    }  # fmt: skip
    assert {name: environ.get(name) for name in expected} == expected
    assert environ["PATH"].startswith(f"{root}/env/bin:")
    assert "native\n" in running.log
    assert "step 1: loss=0.5\nacc=inf\n" in running.log
    points = [json.loads(line) for line in running.folder.metrics.read_text().splitlines()]
    assert [(point["step"], point["values"]) for point in points] == [(1, {"loss": 0.5}), (None, {"acc": "Infinity"})]


def test_a_variable_of_the_platform_does_not_reach_the_job(tmp_path: Path) -> None:
    spec = Spec("j-1", 1, "t", "python", "t.py", 1, "/env")
    found = variables_of(spec, JobFolder(tmp_path), {"PYTHONPATH": "/ours", "PYTHONHOME": "/x", "HOME": "/h"})
    assert found["HOME"] == "/h"
    assert "PYTHONHOME" not in found
    assert "/ours" not in found["PYTHONPATH"]
