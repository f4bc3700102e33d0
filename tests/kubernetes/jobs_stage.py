"""A platform on this machine that runs jobs in a namespace of the real cluster, and a client for it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx

from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.jobs.bundle import pack, survey

Json = dict[str, Any]

HOST_ADDRESS = os.environ.get("MLPLAT_HOST_ADDRESS", "")
FINAL = ("Failed", "Completed", "Terminated", "Abnormal")
FLAVORS = """
[[flavor]]
id = "small"
name = "small"
vcpus = 1
memory_mib = 512

[[flavor]]
id = "tiny"
name = "tiny"
vcpus = 1
memory_mib = 200

[[flavor]]
id = "gpu"
name = "gpu"
category = "GPU"
vcpus = 1
memory_mib = 512
accelerator = { type = "nvidia", count = 64 }

[[flavor]]
id = "large"
name = "large"
vcpus = 1
memory_mib = 2048
"""


@contextmanager
def identities() -> Iterator[str]:
    """The address of a Hub that knows the tokens `alice` and `bob`, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.headers.get("Authorization", "").removeprefix("token ")
            known = name in ("alice", "bob")
            scopes = ["access:services", f"access:servers!user={name}"]
            body = json.dumps({"kind": "user", "name": name, "scopes": scopes}).encode()
            self.send_response(200 if known else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hub/api"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Platform:
    """A platform process that can be killed and started again, always on the same port."""

    program = "jobs_platform.py"

    def __init__(self, folder: Path, namespace: str, images: Mapping[str, str], hub: str, **settings: str) -> None:
        self.folder, self.namespace, self.data = folder, namespace, folder / "data"
        self.data.mkdir()
        (folder / "flavors.toml").write_text(FLAVORS)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            **os.environ,
            "MLPLAT_DATA_DIR": str(self.data),
            "MLPLAT_HOST": "0.0.0.0",  # noqa: S104 pods come to it
            "MLPLAT_PORT": str(self.port),
            "MLPLAT_HUB_API_URL": hub,
            "MLPLAT_HUB_SECRET": "secret of the tests",
            "MLPLAT_FLAVOR_CATALOG": str(folder / "flavors.toml"),
            "MLPLAT_JOB_NODES": "4",
            "MLPLAT_KUBERNETES_NAMESPACE": namespace,
            "MLPLAT_KUBERNETES_API_URL": f"http://{HOST_ADDRESS}:{self.port}",
            "MLPLAT_KUBERNETES_REGISTRY": os.environ.get("MLPLAT_REGISTRY", ""),
            "MLPLAT_KUBERNETES_REGISTRY_INSECURE": "true",
            "MLPLAT_KUBERNETES_PATIENCE": "PT3S",
            "IMAGES": json.dumps(dict(images)),
            **settings,
        }
        self.alice = self.client("alice")
        self.bob = self.client("bob")

    def client(self, token: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}/services/mlplat/v1",
            headers={"Authorization": f"token {token}"},
            timeout=60,
        )

    def start(self) -> Self:
        log = (self.folder / "platform.log").open("ab")
        command = [sys.executable, str(Path(__file__).with_name(self.program))]
        self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        log.close()
        try:
            until(self._answers, 150)
        except BaseException:
            self.kill()
            raise
        return self

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, (self.folder / "platform.log").read_text()[-3000:]
        try:
            images = self.alice.get("/images")
            return images.status_code == 200 and bool(images.json()["data"])
        except httpx.TransportError:
            return False

    def image(self, name: str) -> str:
        found = self.alice.get("/images", params={"name": name}).raise_for_status().json()["data"]
        return str(found[0]["id"])

    def clear(self) -> None:
        """Stop what a failed test has left running; the cluster has room for few."""
        for job in self._unfinished():
            self.alice.post(f"/jobs/{job['id']}/stop")
        until(lambda: not self._unfinished(), 120)

    def _unfinished(self) -> list[Json]:
        jobs = self.alice.get("/jobs", params={"limit": 500}).raise_for_status().json()["data"]
        return [job for job in jobs if job["phase"] not in FINAL]

    def submit(self, files: Mapping[str, str], entry: str, **fields: Any) -> "Job":
        """Submit a folder of alice's."""
        folder = self.folder / f"code-{time.monotonic_ns()}"
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        packed = folder.with_suffix(".bundle")
        digest = pack(survey(folder, entry), packed).digest
        self.alice.put(f"/bundles/{digest}", content=packed.read_bytes()).raise_for_status()
        wanted = {"name": "train", "entry": entry, "bundle": digest, "flavor": "small"} | fields
        answer = self.alice.post("/jobs", json=wanted)
        assert answer.status_code == 202, answer.text
        return Job(self, answer.json()["id"])


class Job:
    """A job of alice's."""

    def __init__(self, platform: Platform, job_id: str) -> None:
        self.platform, self.id = platform, job_id

    def get(self, path: str = "") -> httpx.Response:
        return self.platform.alice.get(f"/jobs/{self.id}{path}").raise_for_status()

    @property
    def now(self) -> Json:
        return dict(self.get().json())

    def reaches(self, what: Callable[[Json], Any], seconds: float = 90) -> Json:
        """The job once `what` is true of it."""
        last: Json = {}

        def reached() -> Any:
            nonlocal last
            last = self.now
            return what(last)

        try:
            until(reached, seconds)
        except AssertionError:
            words = f"{last['phase']}: {last['phase_message']}; {self.events}; {self.log()}"
            raise AssertionError(words) from None
        return last

    def phase(self, *phases: str, seconds: float = 90) -> Json:
        return self.reaches(lambda job: job["phase"] in phases, seconds)

    def end(self, seconds: float = 120) -> Json:
        return self.phase(*FINAL, seconds=seconds)

    def log(self, node: int = 0) -> str:
        return self.get(f"/logs?node={node}").text

    def logs(self, words: str, node: int = 0, seconds: float = 180) -> str:
        """The log once it has these words."""
        self.reaches(lambda job: words in self.log(node) or job["phase"] in FINAL, seconds)
        log = self.log(node)
        assert words in log, log
        return log

    @property
    def events(self) -> list[str]:
        return [f"{one['type']}: {one['message']}" for one in self.get("/events?limit=500").json()["data"]]

    @property
    def label(self) -> str:
        return f"mlplat.io/job={self.id}"


def until(condition: Callable[[], Any], seconds: float) -> Any:
    """The first true answer; each look is a request, which paces them."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
    return answer
