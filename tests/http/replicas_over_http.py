"""Two real platform processes on one PostgreSQL, and event streams of theirs."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from platform_over_http import PREFIX, hub, wait_for

from jupyter_mlplat.embedded.ports import free_port

ALICE = {"Authorization": "token alice-token"}


class Replica:
    """A platform process on the memory back end; each has a world of its own."""

    def __init__(self, folder: Path, database: str, hub_api: str) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.api = httpx.Client(base_url=f"{self.address}{PREFIX}/v1", headers=ALICE, timeout=20)
        self.settings = {
            "MLPLAT_DATA_DIR": str(folder),
            "MLPLAT_DATABASE_URL": database,
            "MLPLAT_BACKEND": "memory",
            "MLPLAT_PORT": str(self.port),
            "MLPLAT_HUB_API_URL": hub_api,
            "MLPLAT_HUB_SECRET": "secret of the Hub",
            "MLPLAT_OWNER": "admin",
            "MLPLAT_INSTANCE_QUOTA": "1000",
        }
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "jupyter_mlplat.app"]
        self.process = subprocess.Popen(command, env={**os.environ, **self.settings}, stderr=subprocess.DEVNULL)

    def wait(self) -> None:
        """Until it answers."""
        wait_for(self._answers, 60)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(30)

    def create(self, name: str) -> str:
        return str(self.api.post("/instances", json={"name": name}).raise_for_status().json()["id"])

    def status(self, instance_id: str) -> str:
        return str(self.api.get(f"/instances/{instance_id}").raise_for_status().json()["status"])

    def happened(self, instance_id: str) -> list[dict[str, Any]]:
        answer = self.api.get(f"/instances/{instance_id}/events", params={"limit": 500}).raise_for_status()
        return list(answer.json()["data"])

    def _answers(self) -> bool:
        assert self.process.poll() is None, "the replica has ended"
        try:
            return self.api.get("/me").is_success
        except httpx.TransportError:
            return False


@contextmanager
def two_replicas(folder: Path, database: str) -> Iterator[tuple[Replica, Replica]]:
    """They start at the same moment, on an empty database."""
    with hub() as hub_api:
        replicas = [Replica(folder, database, hub_api) for _ in range(2)]
        try:
            for replica in replicas:
                replica.wait()
            yield replicas[0], replicas[1]
        finally:
            for replica in replicas:
                replica.end(signal.SIGKILL)
                replica.api.close()


class Stream(threading.Thread):
    """An event stream that is read in a thread; what it says waits in `said` as (event, id, data)."""

    def __init__(self, replica: Replica, after: int | None = None) -> None:
        super().__init__(daemon=True)
        self.said: queue.Queue[tuple[str, str, Any]] = queue.Queue()
        self._address = f"{replica.address}{PREFIX}/v1/events"
        self._headers = ALICE | ({} if after is None else {"Last-Event-ID": str(after)})
        self.start()
        assert self.said.get(timeout=20)[0] == "hello"

    def run(self) -> None:
        try:
            with httpx.stream("GET", self._address, headers=self._headers, timeout=60) as answer:
                self._read(answer)
        except httpx.TransportError:
            self.said.put(("broken", "", None))

    def _read(self, answer: httpx.Response) -> None:
        said = {"id": ""}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                said[name] = value
            elif "event" in said:
                self.said.put((said["event"], said["id"], json.loads(said["data"])))
                said = {"id": ""}
        self.said.put(("broken", "", None))

    def changes(self, resource_id: str, seconds: float) -> Iterator[dict[str, Any]]:
        """What changed of one thing; queue.Empty where nothing is said for `seconds`."""
        while True:
            kind, _, data = self.said.get(timeout=seconds)
            if kind == "changed" and data["resource_id"] == resource_id:
                yield data
