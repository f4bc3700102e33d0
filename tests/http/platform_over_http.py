"""The whole platform process on the memory back end over real HTTP, and a Hub that knows tokens, and no groups."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import uvicorn

from jupyter_mlplat.app import create_app
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.jobs.bundle import pack, survey

PREFIX = "/services/mlplat"
LOGIN_SCOPES = ["access:services", "access:servers!user=NAME"]
TOKENS = {
    "alice-token": ("alice", LOGIN_SCOPES),
    "bob-token": ("bob", LOGIN_SCOPES),
    "admin-token": ("admin", LOGIN_SCOPES),
}


PLATFORM_TOKEN = "the platform's own"  # noqa: S105


class _Hub(BaseHTTPRequestHandler):
    """Answers whose a token is. `TOKENS` may be added to; `server:USER/ID` is that instance's own token."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("token ")
        if token == PLATFORM_TOKEN and self.path.startswith("/hub/api/users/"):
            self._answer(200, {"kind": "user", "name": self.path.rpartition("/")[2], "groups": []})
            return
        known = TOKENS.get(token)
        if token.startswith("server:"):
            user, _, server = token.removeprefix("server:").partition("/")
            known = (user, ["access:services!service=mlplat", f"access:servers!server={user}/{server}"])
        if known is None or self.path != "/hub/api/user":
            self._answer(403, {"message": "unknown"})
            return
        user, scopes = known
        self._answer(200, {"kind": "user", "name": user, "scopes": [one.replace("NAME", user) for one in scopes]})

    def _answer(self, status: int, model: object) -> None:
        body = json.dumps(model).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests say what went wrong."""


@contextmanager
def hub() -> Iterator[str]:
    """The address of the Hub's API."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hub/api"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def platform(folder: Path, **settings: object) -> Iterator[str]:
    """The address of a platform that answers."""
    with hub() as hub_api:
        app = create_app(
            Settings.model_validate(
                {"data_dir": folder, "backend": "memory", "hub_api_url": hub_api, "owner": "admin"}
                | {"hub_secret": "secret of the Hub", "hub_api_token": PLATFORM_TOKEN}
                | settings
            )
        )
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="on"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(0.02)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


class Seeds:
    """Things of alice's that are there, made anew once they are gone."""

    def __init__(self, api: httpx.Client) -> None:
        self._api = api
        self._known: dict[str, str] = {}
        self._count = 0
        with TemporaryDirectory() as folder:
            code, packed = Path(folder, "code"), Path(folder, "bundle")
            code.mkdir()
            (code / "train.ipynb").write_text("{}")
            self._digest = pack(survey(code, "train.ipynb"), packed).digest
            self._packed = packed.read_bytes()

    def instance(self) -> str:
        """One that runs, unless it was asked to do something else."""
        return self._alive("instances", {"name": f"seed-{self._count}"}, lambda made: made["status"] == "RUNNING")

    def job(self) -> str:
        """One that has ended."""
        wanted = {"name": "seed", "entry": "train.ipynb", "bundle": self.bundle()}
        return self._alive("jobs", wanted, lambda made: made["finished_at"] is not None)

    def image(self) -> str:
        return str(self._api.get("/images").raise_for_status().json()["data"][0]["id"])

    def object(self) -> str:
        path = "data/seed/one.txt"
        if self._api.head(f"/storage/objects/{path}").status_code == 404:
            self._api.put(f"/storage/objects/{path}", content=b"one").raise_for_status()
        return path

    def bundle(self) -> str:
        if self._api.get(f"/bundles/{self._digest}").status_code == 404:
            self._api.put(f"/bundles/{self._digest}", content=self._packed).raise_for_status()
        return self._digest

    def _alive(self, noun: str, wanted: dict[str, str], ready: Callable[[dict[str, Any]], bool]) -> str:
        known = self._known.get(noun)
        if known is None or self._api.get(f"/{noun}/{known}").status_code == 404:
            self._count += 1
            known = self._known[noun] = self._api.post(f"/{noun}", json=wanted).raise_for_status().json()["id"]
            wait_for(lambda: ready(self._api.get(f"/{noun}/{known}").raise_for_status().json()))
        return known


def wait_for(true: Callable[[], bool], seconds: float = 120) -> None:
    """Until it is true; each look is a request to the platform, which paces them. The bound ends a hang, no more."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
