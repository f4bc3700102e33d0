"""A real embedded platform (proxy, Hub, nursery) whose platform process is the stand-in."""

import asyncio
import json
import os
import secrets
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import jupyter_mlplat
from jupyter_mlplat.core.processes import Process, alive
from jupyter_mlplat.embedded import Status, control, down, status, up
from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.hub.nursery_client import NurseryUnreachable, ping
from jupyter_mlplat.hub.records import read_record

HERE = Path(__file__).parent
SOURCES = Path(jupyter_mlplat.__file__).parent.parent


def eventually(what: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true answer of `what`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} seconds")


class Stage:
    """One data folder with what runs on it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()

    def up(self) -> Status:
        return up(self.data, self.port, detach=True)

    @property
    def status(self) -> Status:
        return status(self.data)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def part(self, name: str) -> Process:
        record = json.loads((self.data / "run" / "supervisor.json").read_text())["parts"][name]
        return Process(record["pid"], record["started"])

    def restarted(self, name: str, killed: Process) -> bool:
        """Whether the part lives again and everything answers."""
        again = self.part(name) != killed and alive(self.part(name))
        return again and self.door_answers() and self.hub_answers() and self.nursery_answers()

    def door_answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/services/mlplat/v1/me").status_code == 401
        except httpx.HTTPError:
            return False

    def hub_answers(self) -> bool:
        try:
            return self.hub("GET", "/").status_code == 200
        except httpx.HTTPError:
            return False

    def nursery_answers(self) -> bool:
        try:
            return bool(asyncio.run(ping(self.data / "run" / "nursery.sock")))
        except NurseryUnreachable:
            return False

    def kill(self, name: str) -> Process:
        process = self.part(name)
        os.kill(process.pid, signal.SIGKILL)
        return process

    def hub(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        port = json.loads((self.data / "run" / "ports.json").read_text())["hub"]
        token = token or (self.data / "secrets" / "platform_token").read_text()
        headers = {"Authorization": f"token {token}"}
        return httpx.request(method, f"http://127.0.0.1:{port}/hub/api{path}", headers=headers, timeout=60, **more)

    def permit(self, user: str, name: str, **more: Any) -> str:
        """A permit for one start, as the platform would give it."""
        permit, state = secrets.token_hex(8), self.data / "instances" / name
        launch = {"instance_id": name, "owner": user, "work_dir": str(state / "work"), "state_dir": str(state)}
        (self.data / "permits").mkdir(exist_ok=True)
        (self.data / "permits" / f"{permit}.json").write_text(json.dumps(launch | more))
        return permit

    def start(self, user: str, name: str, **more: Any) -> httpx.Response:
        """The Hub's answer to a start; where it is slow, the one after the wait."""
        self.hub("POST", f"/users/{user}")
        path = f"/users/{user}/servers/{name}"
        answer = self.hub("POST", path, json={"permit": self.permit(user, name, **more)})
        if answer.status_code == 202:
            eventually(lambda: not (self.server(user, name) or {}).get("pending"), 60)
            answer.status_code = 201 if (self.server(user, name) or {}).get("ready") else 500
        return answer

    def stop(self, user: str, name: str) -> httpx.Response:
        return self.hub("DELETE", f"/users/{user}/servers/{name}", json={"remove": True})

    def server(self, user: str, name: str) -> dict[str, Any] | None:
        """What the Hub says of a server; None while the Hub does not answer or knows of none."""
        try:
            servers: dict[str, Any] = self.hub("GET", f"/users/{user}").json().get("servers", {})
        except httpx.HTTPError:
            return None
        return servers.get(name)

    def process(self, name: str) -> Process:
        record = read_record(self.data / "instances" / name / "server.json")
        assert record
        return record[0]

    def server_token(self, name: str) -> str:
        """The token inside an instance, as any of its cells can read it."""
        with sqlite3.connect(self.data / "hub" / "hub.sqlite") as database:
            (state,) = database.execute("select state from spawners where name = ?", [name]).fetchone()
        token: str = json.loads(state)["api_token"]
        return token

    def reachable(self, user: str, name: str) -> bool:
        """Whether the server answers through the proxy."""
        try:
            return httpx.get(f"{self.url}/user/{user}/{name}/api").status_code == 200
        except httpx.HTTPError:
            return False

    @contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        """A client that keeps cookies and is logged in as the owner."""
        with httpx.Client(base_url=self.url, timeout=30) as client:
            client.get(self.status.login_url)
            yield client


@contextmanager
def staged(data: Path) -> Iterator[Stage]:
    """A stage that is cleared away whatever happens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "DETACHED_MODULE", "supervise")
        patch.setenv("PYTHONPATH", f"{SOURCES}:{HERE}")
        patch.setenv("XDG_CONFIG_HOME", str(data.parent / "config"))
        stage = Stage(data)
        try:
            yield stage
        finally:
            down(data, jobs=True)
