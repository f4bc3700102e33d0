"""The nursery: what a forked child keeps of it and what not. Real processes, without JupyterLab in them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import jupyter_mlplat
from jupyter_mlplat.core.processes import Process, alive, environment_of, gone, until
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.hub import environ_block
from jupyter_mlplat.hub.nursery_client import NurseryUnreachable, ping, start_server
from jupyter_mlplat.hub.records import read_record
from jupyter_mlplat.hub.start import ServerStart

PROGRAM = Path(__file__).with_name("nursery_program.py")
SOURCES = str(Path(jupyter_mlplat.__file__).parent.parent)


class Place:
    """A nursery at work in a folder."""

    def __init__(self, folder: Path, socket_path: Path) -> None:
        self.folder, self.socket = folder, socket_path
        environment = {**os.environ, **environ_block.room(), "PYTHONPATH": SOURCES, "SECRET_OF_THE_NURSERY": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(socket_path)], env=environment, stdout=subprocess.PIPE
        )
        assert self.process.stdout and self.process.stdout.readline() == b"ready\n"

    def start(self, name: str, **variables: str) -> ServerStart:
        return ServerStart(
            environment={
                "PATH": "/bin",
                "MLPLAT_INSTANCE_ID": name,
                "MLPLAT_REPORT": str(self.folder / f"{name}.report"),
                **variables,
            },
            cwd=str(self.folder),
            log=str(self.folder / f"{name}.log"),
            record=str(self.folder / f"{name}.json"),
            cpus=[min(os.sched_getaffinity(0))],
        )

    async def fork(self, start: ServerStart) -> tuple[Process, int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return await start_server(self.socket, start, listener), listener.getsockname()[1]

    async def exit_code(self, start: ServerStart) -> int | None:
        async def written() -> bool:
            known = read_record(Path(start.record))
            return known is not None and known[1] is not None

        assert await until(written, 10, 0.02)
        return (read_record(Path(start.record)) or (None, None))[1]

    def report(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.report").read_text())


@contextmanager
def at_work(folder: Path) -> Iterator[Place]:
    place = Place(folder, folder / "nursery.sock")
    with place.process:
        try:
            yield place
        finally:
            place.process.terminate()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with at_work(tmp_path) as place:
        yield place


async def test_a_child_has_what_it_was_given_and_nothing_of_the_nursery(place: Place) -> None:
    start = place.start("i-a", MLPLAT_EXIT="7")
    _, port = await place.fork(start)
    assert await place.exit_code(start) == 7
    found = place.report("i-a")
    assert found["cwd"] == str(place.folder)
    assert found["variables"] == {**start.environment, "MLPLAT_LISTEN_FD": "3"}
    assert found["session"] and found["term_is_default"]
    assert found["open"] == [0, 1, 2, 3]
    assert found["port"] == port
    assert found["cpus"] == start.cpus
    assert (place.folder / "i-a.log").read_text() == "said to the log\n"


async def test_the_kernel_shows_the_variables_of_the_child_not_those_of_the_nursery(place: Place) -> None:
    start = place.start("i-a")
    await place.fork(start)
    await place.exit_code(start)
    wanted = {name: value for name, value in start.environment.items() if name.startswith("MLPLAT_")}
    assert dict(entry.split("=", 1) for entry in place.report("i-a")["shown"]) == wanted


async def test_children_draw_different_random_numbers(place: Place) -> None:
    starts = [place.start(name) for name in ("i-a", "i-b")]
    for start in starts:
        await place.fork(start)
        await place.exit_code(start)
    assert place.report("i-a")["random"] != place.report("i-b")["random"]


async def test_a_child_outlives_the_nursery(place: Place) -> None:
    start = place.start("i-a", MLPLAT_WAIT="1")
    child, _ = await place.fork(start)
    assert await until(lambda: asyncio.to_thread(Path(start.environment["MLPLAT_REPORT"]).exists), 10, 0.02)
    place.process.kill()
    place.process.wait()
    assert alive(child)
    assert environment_of(child.pid)["MLPLAT_INSTANCE_ID"] == "i-a"
    os.kill(child.pid, signal.SIGKILL)
    assert await gone([child], 5)


async def test_a_killed_child_leaves_the_signal_as_exit_code(place: Place) -> None:
    start = place.start("i-a", MLPLAT_WAIT="1")
    child, _ = await place.fork(start)
    os.kill(child.pid, signal.SIGKILL)
    assert await place.exit_code(start) == -signal.SIGKILL


async def test_a_child_that_cannot_begin_says_why_in_its_log(place: Place) -> None:
    start = place.start("i-a")
    broken = ServerStart(**{**start.to_json(), "cwd": str(place.folder / "nowhere")})
    await place.fork(broken)
    assert await place.exit_code(broken) == 1
    assert "nowhere" in (place.folder / "i-a.log").read_text()


async def test_a_request_that_cannot_be_meant_is_answered_and_the_next_one_too(place: Place) -> None:
    start = place.start("i-a")
    broken = ServerStart(**{**start.to_json(), "record": str(place.folder / "nowhere" / "record.json")})
    with pytest.raises(BackendFailure, match="nowhere"):
        await place.fork(broken)
    assert (await ping(place.socket)).pid == place.process.pid


async def test_a_caller_that_hangs_up_does_no_harm(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(place.socket))
        caller.sendall(b'{"do": "st')
    assert (await ping(place.socket)).pid == place.process.pid


async def test_only_the_owner_may_open_the_socket(place: Place) -> None:
    assert place.socket.stat().st_mode & 0o777 == 0o600


async def test_a_deep_folder_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with at_work(deep) as place:
        assert (await ping(place.socket)).pid == place.process.pid


async def test_nobody_at_home_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NurseryUnreachable, match=r"nursery\.sock"):
        await ping(tmp_path / "nursery.sock")
