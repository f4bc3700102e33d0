"""Jobs of the local back end with real runners: adopted, lost, stopped and retried, whoever is killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlplat.backends.base import JobObservation, JobSpec, JobState
from jupyter_mlplat.backends.local.jobs import LocalJobs
from jupyter_mlplat.backends.local.machine import Machine
from jupyter_mlplat.core.proc import identify
from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.flavors.models import Flavor
from jupyter_mlplat.jobs.bundle import pack, survey
from jupyter_mlplat.jobs.models import Kind
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.state import State

ROOT = Path(__file__).parents[2]
FLAVOR = Flavor(id="cpu.1u", name="1 vCPU", vcpus=1, memory_mib=1024)
WAIT = "import os, time\nprint('pid', os.getpid(), flush=True)\nwhile not os.path.exists('go'): time.sleep(.01)\n"


class OwnPython:
    """Environments that lead to the Python of the tests."""

    def __init__(self) -> None:
        self.cloned: list[str] = []

    async def clone(self, digest: str, target: Path) -> None:
        target.symlink_to(sys.prefix)
        self.cloned.append(digest)

    async def remove(self, target: Path) -> None:
        target.unlink(missing_ok=True)


class Place:
    """A data folder; each call of `jobs` is a platform that has just been started."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environments = OwnPython()

    def jobs(self, **options: Any) -> LocalJobs:
        return LocalJobs(self.root / "data", self.environments, **options)

    def spec(self, entry: str, content: str, **changes: Any) -> JobSpec:
        code = self.root / "code"
        code.mkdir(exist_ok=True)
        (code / entry).write_text(content)
        pack(survey(code, entry), self.root / "bundle")
        kind = Kind.NOTEBOOK if entry.endswith("ipynb") else Kind.PYTHON
        spec = JobSpec(
            "j-1", 1, "alice", "train", kind, entry, self.root / "bundle", "sha256:0", FLAVOR, 1, 1, {}, {}
        )  # fmt: skip
        return replace(spec, **changes)

    def folder(self, job_id: str = "j-1") -> JobFolder:
        return JobFolder(self.root / "data/jobs" / job_id)

    def write_spec(self) -> None:
        """What `start` does last before it starts the runner."""
        spec = Spec("j-1", 1, "t", "python", "t.py", 1, str(self.folder().env))
        self.folder().spec.write_bytes(spec.to_json())

    def log(self) -> str:
        path = self.folder().log(0)
        return path.read_text() if path.exists() else ""

    async def pid(self) -> int:
        await happens(lambda: "pid " in self.log())
        return int(self.log().rpartition("pid ")[2].split()[0])


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    yield made
    for folder in (tmp_path / "data/jobs").glob("*"):
        await made.jobs().stop(folder.name)


async def happens(condition: Callable[[], Any], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 – other processes send no word
            await asyncio.sleep(0.01)


async def run(jobs: LocalJobs, spec: JobSpec) -> list[str | None]:
    return [checkpoint.event async for checkpoint in jobs.start(spec)]


async def ended(jobs: LocalJobs, attempt: int = 1) -> JobObservation:
    async with asyncio.timeout(60):
        while (seen := await jobs.observe("j-1", attempt)).state is JobState.RUNNING:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return seen


SOURCE = """
import mlplat, os
mlplat.log(step=1, loss=0.5, acc=0.1)
mlplat.log(step=2, loss=float("nan"), acc=0.2)
open(os.environ["MLPLAT_OUTPUT_DIR"] + "/net.pt", "w").write("x" * 9)
os.environ["OMP_NUM_THREADS"], os.environ["CUDA_VISIBLE_DEVICES"], os.sched_getaffinity(0)
"""
CELL = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": SOURCE}
NOTEBOOK = {"cells": [CELL], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}


async def test_a_notebook_from_its_bundle_to_what_it_leaves(place: Place) -> None:
    jobs = place.jobs()
    core = max(os.sched_getaffinity(0))
    spec = place.spec(
        "t.ipynb", json.dumps(NOTEBOOK), environment={"CUDA_VISIBLE_DEVICES": "7", "OMP_NUM_THREADS": "3"}
    )
    alone = place.jobs(on=Machine(cpus=(core,), memory=1 << 40))
    assert await run(alone, spec) == ["PreparingFiles", "PullingImage", "PulledImage", "Started"]
    assert place.environments.cloned == ["sha256:0"]
    seen = await ended(jobs)
    assert (seen.state, seen.exit_code, seen.message) == (JobState.COMPLETED, 0, "")
    assert (seen.cells_done, seen.cells_total) == (1, 1)
    assert seen.last_metrics == {"loss": 0.5, "acc": 0.2}
    assert seen.started_at and seen.finished_at and seen.started_at < seen.finished_at
    assert f"('3', '', {{{core}}})" in place.log()
    size = await jobs.log_size("j-1", 0)
    assert (await jobs.read_log("j-1", 0, 10, 5), size) == (place.log().encode()[10:15], len(place.log()))
    points = await jobs.metrics("j-1")
    assert [(point.step, point.values) for point in points] == [(1, {"loss": 0.5, "acc": 0.1}), (2, {"acc": 0.2})]
    output, executed = await jobs.files("j-1")
    assert (output.path, output.size, executed.path) == ("net.pt", 9, "executed.ipynb")
    assert (await jobs.open_file("j-1", "net.pt")).read_text() == "x" * 9
    notebook = await jobs.notebook("j-1")
    assert notebook and notebook["cells"][0]["execution_count"] == 1
    await happens(lambda: not place.folder().env.is_symlink())
    assert not place.folder().grant.exists()


PLATFORM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_local_jobs as t
async def main():
    place = t.Place(Path({root!r}))
    spec = place.spec("t.py", t.WAIT + "print('done')")
    await t.run(place.jobs(), spec)
    print("started", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_a_job_goes_on_when_the_platform_is_killed(place: Place) -> None:
    code = PLATFORM.format(tests=str(Path(__file__).parent), root=str(place.root))
    platform = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT, stdout=subprocess.PIPE)
    assert platform.stdout
    assert await platform.stdout.readline() == b"started\n"
    await place.pid()
    platform.kill()
    await platform.wait()
    jobs = place.jobs()
    assert (await jobs.observe("j-1", 1)).state is JobState.RUNNING
    (place.folder().code / "go").touch()
    assert (await ended(jobs)).state is JobState.COMPLETED
    assert "done\n" in place.log()


ORPHAN = """
import subprocess
print("child", subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
"""


async def test_a_killed_runner_is_lost_and_nothing_of_it_is_left(place: Place) -> None:
    jobs, spec = place.jobs(), place.spec("t.py", ORPHAN + WAIT)
    await run(jobs, spec)
    await place.pid()
    child = int(place.log().partition("child ")[2].split()[0])
    state = State.load(place.folder().state)
    assert state
    os.kill(state.pid, signal.SIGKILL)
    seen = await ended(jobs)
    assert (seen.state, seen.exit_code) == (JobState.LOST, None)
    assert identify(child) is None
    assert not place.folder().env.is_symlink()
    assert not place.folder().grant.exists()
    assert await run(jobs, spec) == [None]
    assert (await jobs.observe("j-1", 1)).state is JobState.LOST


async def test_a_pid_that_somebody_else_has_now_is_no_runner(place: Place) -> None:
    await run(place.jobs(), place.spec("t.py", WAIT))
    await place.pid()
    state = State.load(place.folder().state)
    assert state
    await place.jobs().stop("j-1")
    other = await asyncio.create_subprocess_exec("sleep", "600")
    place.folder().state.write_text(json.dumps({**vars(state), "pid": other.pid}))
    assert (await place.jobs().observe("j-1", 1)).state is JobState.LOST
    assert other.returncode is None
    other.kill()
    await other.wait()


async def test_a_stopped_job_says_so(place: Place) -> None:
    jobs = place.jobs()
    await run(jobs, place.spec("t.py", WAIT))
    pid = await place.pid()
    await jobs.stop("j-1")
    assert identify(pid) is None
    seen = await jobs.observe("j-1", 1)
    assert (seen.state, seen.message) == (JobState.STOPPED, "Stopped on request.")
    assert not place.folder().env.is_symlink()
    await jobs.stop("j-1")
    assert (await jobs.observe("j-1", 1)).state is JobState.STOPPED


async def test_a_runner_that_hangs_is_killed_with_all_it_started(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_mlplat.backends.local.jobs._STOP_GRACE", 0.2)
    jobs = place.jobs()
    await run(jobs, place.spec("t.py", WAIT))
    pid = await place.pid()
    state = State.load(place.folder().state)
    assert state
    os.kill(state.pid, signal.SIGSTOP)
    await jobs.stop("j-1")
    assert identify(pid) is None
    seen = await jobs.observe("j-1", 1)
    assert (seen.state, seen.message) == (JobState.STOPPED, "Stopped on request.")
    assert seen.finished_at


async def test_a_job_that_was_to_stop_before_it_began_is_stopped(place: Place) -> None:
    start = place.jobs().start(place.spec("t.py", "print('ran')"))
    for _ in range(3):
        await anext(start)
    await start.aclose()
    place.write_spec()
    await place.jobs().stop("j-1")
    assert (await place.jobs().observe("j-1", 1)).state is JobState.STOPPED
    assert "ran" not in place.log()


async def test_another_attempt_has_fresh_files_and_the_outputs_of_the_one_before(place: Place) -> None:
    source = (
        "import os\nout = os.environ['MLPLAT_OUTPUT_DIR']\nprint('found', os.listdir(out), os.path.exists('left'))\n"
        "open(out + '/ckpt', 'w').close()\nopen('left', 'w').close()\nraise SystemExit(len(os.listdir(out)) and 5)"
    )
    jobs, spec = place.jobs(), place.spec("t.py", source)
    await run(jobs, spec)
    seen = await ended(jobs)
    assert (seen.state, seen.exit_code) == (JobState.FAILED, 5)
    assert await run(jobs, replace(spec, attempt=2)) == ["PreparingFiles", "PullingImage", "PulledImage", "Started"]
    assert (await ended(jobs, 2)).state is JobState.FAILED
    assert "found [] False" in place.log()
    assert "found ['ckpt'] False" in place.log()
    assert "attempt 2: t.py" in place.log()
    assert (await jobs.observe("j-1", 1)).state is JobState.ABSENT


async def test_a_start_that_was_cut_off_before_its_runner_goes_on_there(place: Place) -> None:
    spec = place.spec("t.py", "print('ran')")
    start = place.jobs().start(spec)
    for _ in range(3):
        await anext(start)
    await start.aclose()
    place.write_spec()
    assert await run(place.jobs(), spec) == ["Started"]
    assert (await ended(place.jobs())).state is JobState.COMPLETED


async def test_cores_are_shared_out(place: Place) -> None:
    cores = tuple(sorted(os.sched_getaffinity(0)))
    jobs = place.jobs(on=Machine(cpus=cores, memory=1 << 40))
    spec = place.spec("t.py", WAIT)
    for number in range(len(cores)):
        await run(jobs, replace(spec, job_id=f"j-{number}"))
    given = [Spec.load(place.folder(f"j-{number}").spec).cpus for number in range(len(cores))]
    assert sorted(given) == [[core] for core in cores]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"nodes": 2}, "2 nodes"), ({"entry": "other.py"}, "no file other.py"), ({"job_id": "../x"}, "no job id")],
)
async def test_what_cannot_be_meant_is_refused(place: Place, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        await run(place.jobs(), replace(place.spec("t.py", ""), **changes))


async def test_deleting_ends_and_removes_everything(place: Place) -> None:
    jobs = place.jobs()
    await run(jobs, place.spec("t.py", WAIT))
    pid = await place.pid()
    await jobs.delete("j-1")
    assert identify(pid) is None
    assert not place.folder().root.exists()
    assert Path(sys.prefix, "bin/python").exists()


async def test_only_files_of_the_outputs_can_be_read(place: Place) -> None:
    outputs = place.folder().outputs
    (outputs / "deep").mkdir(parents=True)
    (outputs / "deep/w.bin").write_text("w")
    (outputs / "latest").symlink_to("deep/w.bin")
    (outputs / "out").symlink_to("/etc/hostname")
    (outputs / "up").symlink_to("../../..")
    (place.folder().root / "outputs-secret").write_text("s")
    os.mkfifo(outputs / "pipe")
    place.folder().spec.write_text("{}")
    jobs = place.jobs()
    assert [(file.path, file.size) for file in await jobs.files("j-1")] == [("deep/w.bin", 1), ("latest", 1)]
    assert (await jobs.open_file("j-1", "latest")).read_text() == "w"
    for path in ("../spec.json", "/etc/hostname", "out", "up/x", "pipe", "deep", "", ".", "a\0b", "executed.ipynb",
                 "../outputs-secret", "deep/../../spec.json"):  # fmt: skip
        with pytest.raises(NotFound):
            await jobs.open_file("j-1", path)
    place.folder().spec.unlink()


async def test_metrics_that_no_log_call_wrote_are_passed_over(place: Place) -> None:
    place.folder().root.mkdir(parents=True)
    good = {"step": None, "at": "2026-01-01T00:00:00+00:00", "values": {"loss": 1}}
    lines = [json.dumps(good), "{", "[]", '{"step": 1}', '"x"', json.dumps({**good, "values": {"a": "b"}}), "\udc80"]
    place.folder().metrics.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape") + b'\n{"step": 3, "val')
    points = await place.jobs().metrics("j-1")
    assert [(point.step, point.values) for point in points] == [(None, {"loss": 1.0})]
