"""Scripts, and how jobs end: by themselves, stopped, too late, killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from runner_stage import ROOT, Running, alive, until

from jupyter_mlplat.core.proc import Process, identify
from jupyter_mlplat.runner.layout import Spec


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
