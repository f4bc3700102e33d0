"""A pod's messenger and runner as real processes, against the real door of the platform over HTTP."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from platform_stage import ALICE, Stage, pieces
from pydantic import SecretStr

from jupyter_mlplat.errors import Conflict, InvalidInput, NotAuthenticated
from jupyter_mlplat.http import install_errors
from jupyter_mlplat.jobs import store
from jupyter_mlplat.jobs.bundle import pack, survey
from jupyter_mlplat.jobs.delivery import Attempt, Node, file_below, keep_output
from jupyter_mlplat.jobs.intake_routes import router
from jupyter_mlplat.jobs.models import JobCreate, Phase
from jupyter_mlplat.jobs.tokens import JobTokens
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.storage.endpoint_models import EndpointAdd

SECRET = "of the tests"  # noqa: S105


class Place:
    """A job of alice's that runs, the platform's folder of it and the folder of its one pod."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage(folder / "data")
        self.stage.settings.hub_secret = SecretStr(SECRET)
        self.pod = JobFolder(folder / "pod")
        self.pod.root.mkdir()
        self.job_id = ""
        self.port = 0
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def kept(self) -> JobFolder:
        return JobFolder(self.stage.settings.data_dir / "jobs" / self.job_id)

    @property
    def token(self) -> str:
        return JobTokens(SECRET).of(self.job_id, 1)

    async def submit(self, script: str, urls: Sequence[str] = (), **attempt: Any) -> None:
        code = self.stage.folder / "code"
        code.mkdir()
        (code / "train.py").write_text(script)
        packed = pack(survey(code, "train.py"), self.stage.folder / "bundle")
        await self.stage.jobs.bundles.put(ALICE, packed.digest, pieces((self.stage.folder / "bundle").read_bytes()))
        await self.stage.preset()
        wanted = JobCreate(name="train", entry="train.py", bundle=packed.digest)
        self.job_id = (await self.stage.jobs.submit(ALICE, wanted)).id
        await self.add_outputs(urls)
        spec = Spec(self.job_id, 1, "train", "python", "train.py", 1, sys.prefix, outputs=[("model", "")])
        spec.outputs[0] = ("model", str(self.pod.outputs / "model"))
        spec.inputs.extend((name, str(self.pod.inputs / name)) for name, _ in attempt.get("inputs", []))
        path = self.stage.jobs.bundles.folder.path(packed.digest)
        Attempt(1, 1, str(path), vars(spec), **attempt).save(self.kept)
        await self.phase(Phase.RUNNING)

    async def add_outputs(self, urls: Sequence[str]) -> None:
        """Channels at endpoints, such as the memory back end takes none of."""
        async with self.stage.database.transaction() as session:
            row = await store.get(session, self.job_id)
            assert row
            row.outputs = [{"name": f"out{number}", "url": url} for number, url in enumerate(urls)]

    async def phase(self, phase: Phase) -> None:
        async with self.stage.database.transaction() as session:
            row = await store.get(session, self.job_id)
            assert row
            row.phase = phase

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        app = FastAPI()
        app.state.parts = SimpleNamespace(jobs=self.stage.jobs)
        install_errors(app)
        app.include_router(router, prefix="/v1")
        server = uvicorn.Server(uvicorn.Config(app, port=self.port, log_level="warning", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        self.port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.should_exit = True
            await task

    def start(self, module: str) -> "subprocess.Popen[bytes]":
        token = self.pod.root.parent / "token"
        token.write_text(self.token)
        environment = {
            **os.environ,
            "MLPLAT_AWAIT_FILES": "1",
            "MLPLAT_API": f"http://127.0.0.1:{self.port}/v1",
            "MLPLAT_JOB_ID": self.job_id,
            "MLPLAT_TOKEN_FILE": str(token),
            "MLPLAT_POD": "pod-1",
        }
        self.processes.append(subprocess.Popen([sys.executable, "-m", module, str(self.pod.root)], env=environment))
        return self.processes[-1]

    def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}/v1/internal/jobs/{self.job_id}/{path}"
        headers = {b"Authorization": f"job {self.token if token is None else token}".encode("latin-1")}
        return httpx.request(method, url, headers=headers, **more)


async def until(condition: Any, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 what is waited for is on the disk
            await asyncio.sleep(0.02)


async def over(*running: "subprocess.Popen[bytes]") -> list[int]:
    return [await asyncio.to_thread(one.wait, 60) for one in running]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "data").mkdir()
    place = Place(tmp_path)
    yield place
    for process in place.processes:
        process.kill()
        process.wait()


TRAIN = """
import os, pathlib, mlplat
print(pathlib.Path(os.environ["MLPLAT_INPUT_data"], "deep/one.txt").read_text())
mlplat.log(step=1, loss=0.5)
pathlib.Path(os.environ["MLPLAT_OUTPUT_model"], "m.bin").write_bytes(b"m" * 2_000_000)
os.symlink("/etc/hostname", os.path.join(os.environ["MLPLAT_OUTPUT_DIR"], "link"))
"""


async def test_a_pod_fetches_runs_and_delivers(place: Place, tmp_path: Path) -> None:
    (tmp_path / "storage/deep").mkdir(parents=True)
    (tmp_path / "storage/deep/one.txt").write_text("the input")
    (tmp_path / "storage/out").symlink_to("/etc")
    await place.submit(
        TRAIN, inputs=[("data", str(tmp_path / "storage"))], outputs=[("model", str(tmp_path / "models"))]
    )
    async with place.serving():
        runner, sync = place.start("jupyter_mlplat.runner"), place.start("jupyter_mlplat.runner.sync")
        assert await over(runner, sync) == [0, 0]
    node = Node(place.kept, 0)
    assert node.ended and node.state and node.state.state == "completed"
    assert "the input\n" in place.kept.log(0).read_text()
    assert place.kept.log(0).read_bytes() == place.pod.log(0).read_bytes()
    assert '"loss": 0.5' in place.kept.metrics.read_text()
    assert (place.kept.outputs / "model/m.bin").read_bytes() == b"m" * 2_000_000
    assert (tmp_path / "models/m.bin").read_bytes() == b"m" * 2_000_000
    assert not os.path.lexists(place.kept.outputs / "link")
    assert not (place.pod.inputs / "data/out").exists()


COUNT = """
import pathlib, time
for number in range(100):
    print("line", number, flush=True)
    time.sleep(0.02)
while not pathlib.Path("end").exists():
    time.sleep(0.02)
print("whole", flush=True)
"""


async def test_what_happens_while_the_platform_is_away_arrives_later_and_once(place: Place) -> None:
    await place.submit(COUNT)
    async with place.serving():
        runner, sync = place.start("jupyter_mlplat.runner"), place.start("jupyter_mlplat.runner.sync")
        await until(lambda: "line 10\n" in _text(place.kept.log(0)))
    (place.pod.code / "end").touch()
    assert await over(runner) == [0]
    assert sync.poll() is None
    async with place.serving():
        assert await over(sync) == [0]
    lines = [line for line in _text(place.kept.log(0)).splitlines() if not line.startswith("[mlplat]")]
    assert lines == [f"line {number}" for number in range(100)] + ["whole"]


async def test_a_runner_that_is_killed_still_gets_its_last_lines(place: Place) -> None:
    await place.submit("import os, signal\nprint('last', flush=True)\nos.kill(os.getppid(), signal.SIGKILL)\n")
    async with place.serving():
        runner, sync = place.start("jupyter_mlplat.runner"), place.start("jupyter_mlplat.runner.sync")
        assert await over(runner, sync) == [-9, 0]
    node = Node(place.kept, 0)
    assert "last\n" in _text(place.kept.log(0))
    assert node.ended and node.state and node.state.state == "running"


async def test_files_that_cannot_be_had_fail_the_job_in_words(place: Place) -> None:
    await place.submit("print('never')")
    known = Attempt.load(place.kept)
    assert known
    Path(known.bundle).write_bytes(b"no bundle")
    async with place.serving():
        runner, sync = place.start("jupyter_mlplat.runner"), place.start("jupyter_mlplat.runner.sync")
        assert await over(runner, sync) == [1, 0]
    state = Node(place.kept, 0).state
    assert state and state.state == "failed" and "bundle cannot be read" in state.message
    assert "bundle cannot be read" in _text(place.kept.log(0))


async def test_a_messenger_whose_attempt_is_over_gives_up(place: Place) -> None:
    await place.submit("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    async with place.serving():
        runner, sync = place.start("jupyter_mlplat.runner"), place.start("jupyter_mlplat.runner.sync")
        await until(lambda: "begun" in _text(place.kept.log(0)))
        await place.phase(Phase.FAILED)
        runner.terminate()
        assert await over(sync, runner) == [0, 1]


async def test_the_door_opens_for_one_job_and_attempt(place: Place) -> None:
    await place.submit("")
    other = JobTokens(SECRET).of("j-another", 1)
    async with place.serving():
        for token in (other, JobTokens(SECRET).of(place.job_id, 2), JobTokens("x").of(place.job_id, 1), "1.é", "-"):
            answer = await asyncio.to_thread(place.ask, "GET", "bundle", token)
            assert answer.status_code == 401, token
        assert (await asyncio.to_thread(place.ask, "GET", "bundle")).status_code == 200
        for path in (
            "inputs/data/x",
            "outputs/../spec.json",
            "outputs/%2e%2e/attempt.json",
            "inputs/x/%2fetc%2fpasswd",
        ):
            assert (await asyncio.to_thread(place.ask, "GET", path)).status_code in (401, 404, 422), path
        begun = await asyncio.to_thread(place.ask, "POST", "nodes/0/begin?pod=p")
        assert begun.status_code == 200
        for path in ("nodes/1/begin?pod=p", "nodes/-1/begin?pod=p"):
            assert (await asyncio.to_thread(place.ask, "POST", path)).status_code == 422
        escape = await asyncio.to_thread(place.ask, "PUT", "nodes/0/outputs/%2e%2e/x?pod=p", content=b"x")
        assert escape.status_code in (404, 422)
        large = await asyncio.to_thread(
            place.ask, "PUT", "nodes/0/streams/log?pod=p&offset=0", content=b"x" * 5_000_000
        )
        assert large.status_code == 413
        output = await asyncio.to_thread(place.ask, "PUT", "nodes/0/outputs/out/x?pod=p", content=b"x" * 5_000_000)
        assert output.status_code != 413, output.text
        assert (await asyncio.to_thread(place.ask, "PUT", "nodes/0/state?pod=p", content=b"{}")).status_code == 422
        await place.phase(Phase.COMPLETED)
        assert (await asyncio.to_thread(place.ask, "GET", "bundle")).status_code == 401


async def test_without_a_secret_nobody_gets_in(place: Place) -> None:
    await place.submit("")
    token = place.token
    place.stage.settings.hub_secret = SecretStr("")
    with pytest.raises(NotAuthenticated):
        await place.stage.jobs.intake.of(place.job_id, token)
    with pytest.raises(ValueError, match="no secret"):
        JobTokens("").of("j-1", 1)


def test_a_stream_grows_by_what_is_new_and_never_over_a_gap(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    node = Node(folder, 1)
    node.begin("a", 1)
    assert node.append("a", "log", 0, b"one\n") == 4
    assert node.append("a", "log", 0, b"one\ntwo\n") == 8
    assert node.append("a", "log", 0, b"one\n") == 8
    assert node.append("a", "log", 100, b"far\n") == 8
    assert folder.log(1).read_text() == "one\ntwo\n"
    node.begin("b", 2)
    assert node.append("b", "log", 0, b"three\n") == 6
    assert node.sizes("b") == (6, 0)
    assert folder.log(1).read_text() == "one\ntwo\nthree\n"
    with pytest.raises(Conflict, match="Another pod"):
        node.append("a", "log", 8, b"late\n")


def test_a_new_pod_of_a_node_begins_without_the_last_words_of_the_old(tmp_path: Path) -> None:
    node = Node(JobFolder(tmp_path), 0)
    node.begin("a", 1)
    node.put_state("a", b'{"state": "stopped", "attempt": 1, "pid": 1, "pid_started": 1.0}')
    node.end("a")
    assert node.begin("a", 1).pod == "a" and node.ended
    node.begin("b", 1)
    assert not node.ended and node.state is None


@pytest.mark.parametrize(
    "change",
    [{"state": "gone"}, {"message": "a\0b"}, {"message": 3}, {"started_at": "noon"},
     {"cells_done": 2**40}, {"exit_code": "one"}, {"attempt": None}],
)  # fmt: skip
def test_a_state_that_somebody_made_up_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    node = Node(JobFolder(tmp_path), 0)
    node.begin("a", 1)
    good = {"state": "running", "attempt": 1, "pid": 1, "pid_started": 1}
    node.put_state("a", json.dumps(good).encode())
    with pytest.raises(InvalidInput):
        node.put_state("a", json.dumps(good | change).encode())


async def test_links_and_pipes_in_place_of_logs_tell_nothing(place: Place) -> None:
    await place.submit("""
import os, pathlib
job = pathlib.Path(os.environ["MLPLAT_METRICS"]).parent
(job / "metrics.jsonl").symlink_to(job.parent / "token")
os.mkfifo(job / "outputs/pipe")
(job / "executed.ipynb").symlink_to(job.parent / "token")
""")
    async with place.serving():
        runner, sync = place.start("jupyter_mlplat.runner"), place.start("jupyter_mlplat.runner.sync")
        assert await over(runner, sync) == [0, 0]
    assert not place.kept.metrics.exists() and not place.kept.executed.exists()
    assert not list(place.kept.outputs.glob("*"))


def test_outputs_stay_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/link").symlink_to("/etc")
    for path in ("../x", "", "a//b", "link/passwd", "a\0b", "/etc/passwd"):
        with pytest.raises(InvalidInput):
            file_below(tmp_path / "out", path)
    folder = JobFolder(tmp_path / "job")
    for path, problem in (("a", None), ("a/b", Conflict)):
        received = tmp_path / "received"
        received.write_text("x")
        if problem is None:
            keep_output(folder, Attempt(1, 1, "", {}), path, received)
        else:
            with pytest.raises(problem):
                keep_output(folder, Attempt(1, 1, "", {}), path, received)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def test_a_job_gets_the_keys_of_its_own_buckets_alone(place: Place) -> None:
    await place.submit("", ["obs://hers/run", "obs://gone/run"])
    keys = {"address": "http://127.0.0.1:1", "access_key": "AK", "secret_key": "SK", "keys": "own"}
    for name, bucket in (("one", "hers"), ("two", "other")):
        await place.stage.endpoints.add(ALICE, EndpointAdd.model_validate(keys | {"name": name, "buckets": [bucket]}))
    async with place.serving():

        async def ask(bucket: str, token: str | None = None) -> httpx.Response:
            return await asyncio.to_thread(place.ask, "POST", "credentials", token, json={"bucket": bucket})

        given = await ask("hers")
        assert (given.status_code, given.headers["cache-control"]) == (200, "no-store")
        assert (given.json()["endpoint"], given.json()["secret_key"]) == ("one", "SK")
        assert (await ask("other")).status_code == 404
        assert "no bucket gone" in (await ask("gone")).json()["error_msg"]
        assert (await ask("hers", JobTokens(SECRET).of(place.job_id, 2))).status_code == 401
        await place.phase(Phase.COMPLETED)
        assert (await ask("hers")).status_code == 401
