"""The runner as a real process with real kernels: what it leaves behind, however the job ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlplat.core.proc import Process, descendants, identify
from jupyter_mlplat.runner.channels import Outputs
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.log import message_in_words, plain
from jupyter_mlplat.runner.state import State, replacing
from jupyter_mlplat.runner.streams import append_stream, overwritten
from jupyter_mlplat.runner.variables import IN_ENVIRONMENT, variables_of

ROOT = Path(__file__).parents[2]


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true answer; the condition is looked at again and again."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return answer


def alive(pid: int) -> bool:
    return identify(pid) is not None


class Running:
    """A job folder with a runner of its own."""

    def __init__(self, root: Path, entry: str, content: str | list[str], **spec: Any) -> None:
        self.folder = JobFolder(root / "job")
        self.write(entry, content if isinstance(content, str) else notebook(*content))
        self.folder.env.symlink_to(sys.prefix)
        kind = {"ipynb": "notebook", "py": "python", "sh": "shell"}[entry.rpartition(".")[2]]
        given = {"kind": kind, "entry": entry, "environment": str(self.folder.env), **spec}
        self.spec = Spec(job_id="j-test", number=7, name="train", attempt=1, **given)
        self.folder.spec.write_bytes(self.spec.to_json())
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, content: str) -> None:
        path = self.folder.code / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def start(self) -> "Running":
        command = [sys.executable, "-m", "jupyter_mlplat.runner", str(self.folder.root)]
        output = (self.folder.root / "runner.out").open("wb")
        # With this variable a kernel leaves the output of native code alone.
        environ = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=output)
        output.close()
        return self

    def end(self) -> State:
        assert self.process
        self.process.wait(60)
        return self.state

    @property
    def state(self) -> State:
        state = State.load(self.folder.state)
        assert state, (self.folder.root / "runner.out").read_text()
        return state

    @property
    def log(self) -> str:
        path = self.folder.log(0)
        return path.read_text() if path.exists() else ""

    @property
    def executed(self) -> dict[str, Any]:
        return dict(json.loads(self.folder.executed.read_text()))

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        return list(self.executed["cells"][cell]["outputs"])


def notebook(*sources: str, kernel: str = "python3") -> str:
    cells = [
        {
            "cell_type": "code",
            "id": f"c{at}",
            "execution_count": 9,
            "metadata": {"tags": []},
            "outputs": [],
            "source": text,
        }
        for at, text in enumerate(sources)
    ]
    for cell in cells:
        if str(cell["source"]).startswith("# parameters"):
            cell["metadata"] = {"tags": ["parameters"]}
    words = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": "# Title"}
    metadata = {"kernelspec": {"name": kernel, "display_name": "Python 3"}}
    return json.dumps({"cells": [*cells, words], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def make(entry: str, content: str | list[str], **spec: Any) -> Running:
        made.append(Running(tmp_path, entry, content, **spec))
        return made[-1].start()

    yield make
    for running in made:
        if running.process and running.process.poll() is None:
            for pid in [*descendants(running.process.pid), running.process.pid]:
                os.kill(pid, signal.SIGKILL)
            running.process.wait()


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


USE_CHANNELS = """
import os
from pathlib import Path
data, out = Path(os.environ["MLPLAT_INPUT_data"]), Path(os.environ["MLPLAT_OUTPUT_model"])
(out / "v1").mkdir()
(out / "v1/m.bin").write_text((data / "deep/x.txt").read_text())
print(sorted(path.name for path in data.iterdir()), os.listdir(os.environ["MLPLAT_INPUT_table"]))
"""


def test_inputs_come_before_and_outputs_leave_after(job: Callable[..., Running], tmp_path: Path) -> None:
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "data/deep/x.txt").write_text("42")
    (tmp_path / "data/secret").symlink_to("/etc/hostname")
    (tmp_path / "one.csv").write_text("a,b")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/old").write_text("kept")
    running = job(
        "t.ipynb",
        [USE_CHANNELS],
        inputs=[("data", str(tmp_path / "data")), ("table", str(tmp_path / "one.csv"))],
        outputs=[("model", str(tmp_path / "models"))],
    )
    assert running.end().state == "completed"
    assert "['deep'] ['one.csv']" in running.log
    assert (tmp_path / "models/v1/m.bin").read_text() == "42"
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["old", "v1"]


def test_outputs_of_a_failed_job_are_kept_as_well(job: Callable[..., Running], tmp_path: Path) -> None:
    source = (
        "import os\nopen(os.environ['MLPLAT_OUTPUT_model'] + '/last.ckpt', 'w').write('x')\nraise ValueError('bad')"
    )
    running = job("t.py", source, outputs=[("model", str(tmp_path / "models"))])
    state = running.end()
    assert (state.state, state.exit_code, state.message) == (
        "failed",
        1,
        "t.py failed with exit code 1: ValueError: bad",
    )
    assert (tmp_path / "models/last.ckpt").read_text() == "x"


def test_only_new_and_changed_outputs_are_copied_and_none_is_removed(tmp_path: Path) -> None:
    folder, target = JobFolder(tmp_path), tmp_path / "storage/bucket/run"
    outputs = Outputs(Spec("j-1", 1, "t", "python", "t.py", 1, "/env", outputs=[("model", str(target))]), folder)
    outputs.prepare()
    outputs.push()
    assert not target.exists()
    source = folder.outputs / "model"
    (source / "deep").mkdir()
    (source / "deep/a").write_text("1")
    (source / "b").write_text("1")
    (source / "link").symlink_to("/etc/hostname")
    outputs.push()
    assert sorted(path.name for path in target.rglob("*")) == ["a", "b", "deep"]
    (target / "b").write_text("changed there")
    (source / "deep/a").write_text("22")
    outputs.push()
    assert ((target / "deep/a").read_text(), (target / "b").read_text()) == ("22", "changed there")
    (source / "b").unlink()
    outputs.push()
    assert (target / "b").exists()


@pytest.mark.parametrize("entry", ["t.ipynb", "t.py"])
def test_a_missing_input_fails_before_anything_runs(job: Callable[..., Running], tmp_path: Path, entry: str) -> None:
    content = ["print('ran')"] if entry == "t.ipynb" else "print('ran')"
    running = job(entry, content, inputs=[("data", str(tmp_path / "none"))])
    state = running.end()
    assert (state.state, state.exit_code) == ("failed", None)
    assert "input 'data' does not exist" in state.message
    assert "ran\n" not in running.log


def test_an_output_that_cannot_leave_fails_the_job(job: Callable[..., Running], tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    source = "import os\nopen(os.environ['MLPLAT_OUTPUT_model'] + '/m', 'w').close()"
    state = job("t.py", source, outputs=[("model", str(tmp_path / "models"))]).end()
    assert state.state == "failed"
    assert "output 'model' could not be copied" in state.message


def test_a_python_script_gets_its_parameters_on_the_command_line(job: Callable[..., Running]) -> None:
    source = "import sys, mlplat\nprint(sys.argv, mlplat.params())\nprint('err', file=sys.stderr)"
    running = job("sub/t.py", source, parameters={"epochs": 3, "deep": True, "name": "a b"})
    state = running.end()
    assert (state.state, state.exit_code, state.cells_total) == ("completed", 0, 0)
    assert "['t.py', '--epochs', '3', '--deep', 'true', '--name', 'a b']" in running.log
    assert "{'epochs': 3, 'deep': True, 'name': 'a b'}" in running.log
    assert "err\n" in running.log
    assert not running.folder.executed.exists()


def test_a_shell_script_gets_its_parameters_as_variables(job: Callable[..., Running]) -> None:
    source = 'echo "$epochs $deep $(pwd)"; python -c "import sys; print(sys.prefix)"; exit 3'
    running = job("t.sh", source, parameters={"epochs": 3, "deep": False, "PATH": "/nowhere"})
    state = running.end()
    assert (state.state, state.exit_code) == ("failed", 3)
    assert f"3 false {running.folder.code}\n{running.folder.env}\n" in running.log


def test_a_script_that_is_killed_says_so(job: Callable[..., Running]) -> None:
    state = job("t.py", "import os\nos.kill(os.getpid(), 9)").end()
    assert (state.state, state.exit_code) == ("failed", 137)
    assert state.message.startswith("t.py was killed, most likely because memory ran out")


DAEMON = """
import os, sys, time, subprocess
command = "import os, time; os.setsid(); open({mark!r}, 'a').write(str(os.getpid()) + chr(10)); time.sleep(600)"
if not os.fork():
    os.setsid()
    subprocess.Popen([sys.executable, "-c", command], env=dict())
    os._exit(0)
os.wait()
while not os.path.exists({mark!r}) or not open({mark!r}).read().strip(): time.sleep(.01)
print("daemon is there")
"""


@pytest.mark.parametrize("entry", ["t.ipynb", "t.py"])
def test_nothing_outlives_a_job(job: Callable[..., Running], tmp_path: Path, entry: str) -> None:
    mark = tmp_path / "mark"
    source = DAEMON.format(mark=str(mark))
    running = job(entry, [source] if entry == "t.ipynb" else source)
    assert running.end().state == "completed"
    assert "daemon is there" in running.log
    assert not alive(int(mark.read_text()))


def test_a_request_to_stop_interrupts_the_cell_which_may_save(job: Callable[..., Running], tmp_path: Path) -> None:
    source = "import time\nprint('begun')\ntry:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    print('saved')"
    running = job("t.ipynb", [source, "print('never')"], outputs=[("model", str(tmp_path / "models"))])
    until(lambda: "begun\n" in running.log)
    os.kill(running.state.pid, signal.SIGTERM)
    state = running.end()
    assert (state.state, state.exit_code, state.message) == ("stopped", None, "Stopped on request.")
    assert "saved\n" in running.log
    assert "never" not in running.log
    assert running.outputs(0)[0]["text"] == "begun\nsaved\n"


STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *about: print("no"))
print("pid", os.getpid())
while True: time.sleep(1)
"""


def test_a_time_limit_ends_the_job(job: Callable[..., Running]) -> None:
    ended = job("t.py", "import time\nprint('begun', flush=True)\ntime.sleep(600)", time_limit=1).end()
    assert (ended.state, ended.exit_code) == ("failed", None)
    assert "time limit of 1 s" in ended.message


def test_a_node_of_several_knows_its_rank_and_writes_its_own_log(job: Callable[..., Running]) -> None:
    running = job("t.sh", "echo rank $RANK of $WORLD_SIZE at $MASTER_ADDR", node=1, hosts=["first", "second"])
    assert running.end().state == "completed"
    assert "rank 1 of 2 at first\n" in running.folder.log(1).read_text()
    assert not running.folder.log(0).exists()


def test_a_script_that_will_not_stop_is_killed(job: Callable[..., Running]) -> None:
    running = job("t.py", STUBBORN)
    until(lambda: "pid " in running.log)
    pid = int(running.log.split("pid ")[1].split()[0])
    os.kill(running.state.pid, signal.SIGTERM)
    assert running.end().state == "stopped"
    assert "no\n" in running.log
    assert not alive(pid)


@pytest.mark.parametrize("entry", ["t.ipynb", "t.py"])
def test_a_request_to_stop_at_the_very_start_is_heard(job: Callable[..., Running], entry: str) -> None:
    source = "import time\ntime.sleep(600)"
    running = job(entry, [source] if entry == "t.ipynb" else source)
    until(lambda: running.folder.state.exists())
    os.kill(running.state.pid, signal.SIGTERM)
    assert running.end().state == "stopped"


@pytest.mark.parametrize("entry", ["t.ipynb", "t.py"])
def test_a_killed_runner_takes_its_job_along(job: Callable[..., Running], entry: str) -> None:
    source = "import os, time\nprint('pid', os.getpid())\ntime.sleep(600)"
    running = job(entry, [source] if entry == "t.ipynb" else source)
    until(lambda: "pid " in running.log)
    pid = int(running.log.split("pid ")[1].split()[0])
    os.kill(running.state.pid, signal.SIGKILL)
    assert running.end().state == "running"
    until(lambda: not alive(pid), 10)


def test_a_job_has_one_runner(job: Callable[..., Running], tmp_path: Path) -> None:
    running = job("t.py", "import time\ntime.sleep(600)")
    until(lambda: running.folder.state.exists())
    before = running.state
    command = [sys.executable, "-m", "jupyter_mlplat.runner", str(running.folder.root)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 3
    assert running.state == before
    assert identify(before.pid) == Process(before.pid, before.pid_started)


def test_the_copy_of_the_image_goes_with_the_job_and_no_other(job: Callable[..., Running], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "other"], check=True)
    running = job("t.py", "print(1)", environment=str(tmp_path / "other"))
    assert running.end().state == "completed"
    assert (tmp_path / "other/bin/python").exists()
    assert not running.folder.env.is_symlink()
    assert Path(sys.prefix, "bin/python").exists()
    own = running.folder.env
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", own], check=True)
    running.folder.spec.write_bytes(Spec(**{**vars(running.spec), "environment": str(own)}).to_json())
    assert running.start().end().state == "completed"
    assert not own.exists()


def test_a_variable_of_the_platform_does_not_reach_the_job(tmp_path: Path) -> None:
    spec = Spec("j-1", 1, "t", "python", "t.py", 1, "/env")
    found = variables_of(spec, JobFolder(tmp_path), {"PYTHONPATH": "/ours", "PYTHONHOME": "/x", "HOME": "/h"})
    assert found["HOME"] == "/h"
    assert "PYTHONHOME" not in found
    assert "/ours" not in found["PYTHONPATH"]


LINES = st.text(st.sampled_from("ab\r\n"), max_size=20)


@given(st.lists(LINES, max_size=6))
def test_overwritten_lines_look_like_on_a_terminal_however_they_are_cut(pieces: list[str]) -> None:
    text = ""
    for piece in pieces:
        text = overwritten(text, piece)
    whole = overwritten("", "".join(pieces))
    assert text.replace("\r", "") == whole.replace("\r", "")
    assert all(line.find("\r") in (-1, len(line) - 1) for line in text.split("\n"))


def test_a_progress_bar_keeps_its_last_state() -> None:
    assert overwritten(overwritten("a\n", "\r 10%"), "\r 20%") == "a\n 20%"
    assert overwritten("10%\r", "20%\r\n") == "20%\n"


def test_streams_of_a_cell_are_joined_and_cut() -> None:
    outputs: list[Any] = []
    for name, text in [("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")]:
        append_stream(outputs, name, text)
    assert [(output["name"], output["text"]) for output in outputs] == [
        ("stdout", "ab"),
        ("stderr", "c"),
        ("stdout", "d"),
    ]
    for _ in range(12):
        append_stream(outputs, "stdout", "x" * 500_000)
    assert len(outputs[-1]["text"]) < 5_600_000
    assert outputs[-1]["text"].endswith("the log has all of it.\n")


def test_images_and_html_are_noted_by_a_word() -> None:
    def words(**data: str) -> str | None:
        content = {"data": {name.replace("_", "/"): text for name, text in data.items()}}
        return message_in_words({"msg_type": "display_data", "content": content})

    assert words(image_png="…", text_plain="<Figure size 640x480>") == "[image/png]\n"
    assert words(text_html="<table>", text_plain="   a\n0  1") == "[html]    a\n0  1\n"
    assert plain("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07") == "red link"


def test_a_replacement_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "f") as partial:
        partial.write_text("half")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("f", "old")]


def test_processes_may_log_at_once_and_only_numbers(tmp_path: Path) -> None:
    target = tmp_path / "metrics.jsonl"
    source = "import mlplat\nfor n in range(300): mlplat.log(step=n, loss=n / 7, **{'x' * 200: n})"
    environ = {**os.environ, "MLPLAT_METRICS": str(target), "PYTHONPATH": str(IN_ENVIRONMENT)}
    quiet = {"stdout": subprocess.DEVNULL, "env": environ}
    for process in [subprocess.Popen([sys.executable, "-c", source], **quiet) for _ in range(4)]:  # type: ignore[call-overload]
        assert process.wait() == 0
    points = [json.loads(line) for line in target.read_text().splitlines()]
    assert sorted(point["step"] for point in points) == sorted([*range(300)] * 4)
    for value in ("'text'", "[1, 2]", "None"):
        command = [sys.executable, "-c", f"import mlplat\nmlplat.log(loss={value})"]
        refused = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert "TypeError: mlplat.log: loss" in refused.stderr


def test_outside_of_a_job_logging_only_prints(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import mlplat\nmlplat.log(step=2, loss=0.25)\nprint(mlplat.params())"]
    environ = {"PYTHONPATH": str(IN_ENVIRONMENT)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "step 2: loss=0.25\n{}\n"
    assert list(tmp_path.iterdir()) == []
