"""A real Jupyter server with our extension, and a small real platform for it to speak with.

Test modules import its classes before pytest loads its fixtures: PYTEST_DONT_REWRITE.
"""

import hashlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import jupyter_mlplat
from jupyter_mlplat.server_extension.config import server_config

V1 = "/services/mlplat/v1"
SERVER_TOKEN = "the-instances-own-token"  # noqa: S105
LOGIN = "the-browsers-token"


@dataclass
class Platform:
    """Remembers what it was asked; objects and bundles lie in dictionaries."""

    port: int
    seen: list[dict[str, Any]] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    bundles: dict[str, bytes] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    builds: list[dict[str, Any]] = field(default_factory=list)
    no_builds: str = ""
    running_builds: int = 0
    work_reports: list[dict[str, int]] = field(default_factory=list)
    to_emit: "queue.Queue[str | None]" = field(default_factory=queue.Queue)
    listener_left: threading.Event = field(default_factory=threading.Event)
    stuck: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        routes = [
            Route(V1 + "/sink", self.sink, methods=["PUT", "POST"]),
            Route(V1 + "/source", self.source),
            Route(V1 + "/refuse", self.refuse, methods=["PUT"]),
            Route(V1 + "/half", self.half),
            Route(V1 + "/events", self.events),
            Route(V1 + "/bundles/{digest}", self.bundle, methods=["GET", "PUT"]),
            Route(V1 + "/jobs", self.job, methods=["POST"]),
            Route(V1 + "/images/builds", self.build, methods=["GET", "POST"]),
            Route(V1 + "/instances/{id}/work", self.work, methods=["PUT"]),
            Route(V1 + "/storage/buckets/{bucket}", self.place),
            Route(V1 + "/storage/objects", self.listing),
            Route(V1 + "/storage/objects/{key:path}", self.object, methods=["GET", "HEAD", "PUT"]),
            Route("/{path:path}", self.echo, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
        ]
        app = Starlette(routes=routes)
        config = uvicorn.Config(app, port=self.port, log_level="critical", timeout_graceful_shutdown=1)
        ready = threading.Event()

        class Telling(uvicorn.Server):
            async def startup(self, sockets: Any = None) -> None:
                await super().startup(sockets)
                ready.set()

        self._server = Telling(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        assert ready.wait(20)

    def stop(self) -> None:
        self._server.should_exit = True
        self.to_emit.put(None)
        self._thread.join()

    def note(self, request: Request) -> dict[str, Any]:
        raw = request.scope["raw_path"].decode() if request.scope.get("raw_path") else request.url.path
        note = {"method": request.method, "path": raw, "query": request.url.query, "headers": dict(request.headers)}
        self.seen.append(note)
        return note

    async def echo(self, request: Request) -> Response:
        note = self.note(request)
        headers = {
            "Set-Cookie": "stolen=1",
            "X-Request-ID": "r-1",
            "Keep-Alive": "5",
            "Access-Control-Allow-Origin": "*",
        }
        return JSONResponse(note | {"body": (await request.body()).decode()}, 203, headers)

    async def work(self, request: Request) -> Response:
        self.work_reports.append(await request.json())
        return JSONResponse({})

    async def build(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse({"absent": self.no_builds, "running": self.running_builds, "most": 2})
        self.builds.append(await request.json())
        return JSONResponse({"id": "m-built"}, 202)

    async def sink(self, request: Request) -> Response:
        digest, size = hashlib.sha256(), 0
        async for chunk in request.stream():
            digest.update(chunk)
            size += len(chunk)
        note = self.note(request)
        return JSONResponse({"size": size, "sha256": digest.hexdigest(), "headers": note["headers"]}, 201)

    async def source(self, request: Request) -> Response:
        size = int(request.query_params["size"])

        async def body() -> AsyncIterator[bytes]:
            for start in range(0, size, 65536):
                yield b"x" * min(65536, size - start)

        headers = {"Content-Length": str(size), "ETag": '"e"'}
        return StreamingResponse(body(), media_type="application/octet-stream", headers=headers)

    async def refuse(self, request: Request) -> Response:
        problem = {"error_code": "MLPLAT.TOO_LARGE", "error_msg": "Too large.", "request_id": "r-2"}
        return JSONResponse(problem, 413, {"Connection": "close"})

    async def half(self, request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"first half"
            raise RuntimeError("the platform is killed here")

        return StreamingResponse(body())

    async def events(self, request: Request) -> Response:
        self.note(request)
        self.listener_left.clear()

        async def body() -> AsyncIterator[str]:
            import asyncio

            try:
                yield ": hello\n\n"
                while True:
                    try:
                        event = self.to_emit.get_nowait()
                    except queue.Empty:
                        await asyncio.sleep(0.005)
                        continue
                    if event is None:
                        return
                    yield f"event: changed\ndata: {event}\n\n"
            finally:
                self.listener_left.set()

        return StreamingResponse(body(), media_type="text/event-stream")

    async def bundle(self, request: Request) -> Response:
        digest = request.path_params["digest"]
        if request.method == "PUT":
            self.bundles[digest] = await request.body()
        self.note(request)
        if digest not in self.bundles:
            return JSONResponse({"error_code": "MLPLAT.NOT_FOUND", "error_msg": "No.", "request_id": "r-3"}, 404)
        return JSONResponse({"digest": digest, "size": len(self.bundles[digest])}, 201)

    async def job(self, request: Request) -> Response:
        body = await request.json()
        self.note(request)
        if body["name"] == "no-quota":
            problem = {"error_code": "MLPLAT.QUOTA_EXCEEDED", "error_msg": "You have 5 jobs.", "request_id": "r-4"}
            return JSONResponse(problem, 429)
        self.jobs.append(body)
        return JSONResponse({"id": "j-1", "number": 1, **body}, 202)

    async def place(self, request: Request) -> Response:
        return JSONResponse({"bucket": request.path_params["bucket"], "endpoint": "local"})

    async def listing(self, request: Request) -> Response:
        prefix, marker = request.query_params["prefix"], request.query_params.get("marker", "")
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > marker)
        rows = [{"key": k, "size": len(self.objects[k]), "modified_at": None, "is_prefix": False} for k in keys[:2]]
        return JSONResponse({"objects": rows, "next": keys[1] if len(keys) > 2 else None})

    async def object(self, request: Request) -> Response:
        key = request.path_params["key"]
        if request.method == "PUT":
            body = await request.body()
            if key.endswith("refused.bin"):
                return JSONResponse({"error_code": "MLPLAT.NO_SPACE", "error_msg": "Full.", "request_id": "r"}, 507)
            self.objects[key] = body
            return JSONResponse({"key": key, "size": len(body), "modified_at": None}, 201)
        if key not in self.objects:
            return JSONResponse({"error_code": "MLPLAT.NOT_FOUND", "error_msg": "No object.", "request_id": "r"}, 404)
        if key.endswith("stuck.bin") and request.method == "GET":
            return StreamingResponse(self._stuck(), headers={"Content-Length": "1000000"})
        return Response(self.objects[key], headers={"Last-Modified": "Sat, 28 Nov 2026 08:00:00 GMT"})

    async def _stuck(self) -> AsyncIterator[bytes]:
        import asyncio

        self.listener_left.clear()
        try:
            yield b"x" * 100
            self.stuck.set()
            await asyncio.Event().wait()
        finally:
            self.listener_left.set()


@dataclass
class Server:
    """The address of a Jupyter server and the folders that it was given."""

    url: str
    port: int
    pid: int
    work: Path
    runtime_file: Path
    folder: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {LOGIN}"}

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=60)

    def describe(self, **changes: Any) -> None:
        """Write runtime.json, as the back end does at a start or a switch."""
        runtime = {
            "instance_id": "i-test", "name": "digits", "environment": sys.prefix, "cpus": [],
            "flavor": {"id": "cpu-2", "vcpus": 2, "category": "CPU", "accelerator": None},
            "image": {"id": "m-1", "name": "python:3.11"}, "memory_bytes": 4 * 2**30, "enforced": ["cpu"],
            "variables": {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "", "PRICE": "5$"},
        }  # fmt: skip
        part = self.runtime_file.with_suffix(".part")
        part.write_text(json.dumps(runtime | changes))
        part.replace(self.runtime_file)

    def peak_memory(self) -> int:
        """The most bytes that the server has held since `forget_peak`."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    platform = Platform(_free_port())
    platform.start()
    yield platform
    platform.stop()


@pytest.fixture
def server(running_server: Server) -> Server:
    """The one server of all tests, with the description that it started with."""
    running_server.describe()
    return running_server


@pytest.fixture(scope="session")
def running_server(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with jupyter_server(tmp_path_factory.mktemp("server"), f"http://127.0.0.1:{platform.port}{V1}") as server:
        yield server


@contextmanager
def jupyter_server(folder: Path, api: str) -> Iterator[Server]:
    """A server of ann's that speaks with the platform at `api`."""
    port = _free_port()
    base_url = "/user/ann/i-test"
    server = Server(f"http://127.0.0.1:{port}{base_url}", port, 0, folder / "work", folder / "runtime.json", folder)
    server.work.mkdir()
    server.describe()
    config = folder / "config.json"
    config.write_text(json.dumps(server_config()))
    arguments = {"port": port, "port_retries": 0, "base_url": base_url, "root_dir": server.work, "allow_root": True}
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_server", f"--config={config}", f"--IdentityProvider.token={LOGIN}"]
        + [f"--ServerApp.{name}={value}" for name, value in arguments.items()],
        env=_variables(server, api),
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    server.pid = process.pid
    log = _wait_until_ready(process)
    # it says so a moment before it listens
    with httpx.Client(transport=httpx.HTTPTransport(retries=8), headers=server.headers) as client:
        client.get(f"{server.url}/api/status").raise_for_status()
    yield server
    process.terminate()
    process.wait(20)
    log.join(20)


def _variables(server: Server, api: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "MLPLAT_"))}
    return inherited | {
        "HOME": str(server.folder),
        "PYTHONPATH": str(Path(jupyter_mlplat.__file__).parents[1]),
        "JUPYTER_CONFIG_DIR": str(server.folder / "lab"),
        "JUPYTER_RUNTIME_DIR": str(server.folder / "runtime"),
        "JUPYTERHUB_API_TOKEN": SERVER_TOKEN,
        "JUPYTERHUB_USER": "ann",
        "MLPLAT_API": api,
        "MLPLAT_INSTANCE_ID": "i-test",
        "MLPLAT_RUNTIME": str(server.runtime_file),
        "MLPLAT_CONSOLE": "/services/mlplat/",
        "MLPLAT_WORK": str(server.work),
        "VIRTUAL_ENV": sys.prefix,
    }


def _wait_until_ready(process: "subprocess.Popen[str]") -> threading.Thread:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "is running at" in line:
            break
    else:
        pytest.fail("the server did not start:\n" + "".join(lines))
    # its pipe must not fill up; what it says is shown with a failed test
    rest = threading.Thread(target=lambda stream: sys.stderr.writelines(stream), args=(process.stderr,))
    rest.start()
    return rest


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
