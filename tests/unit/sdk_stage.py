"""A real HTTP server that answers as it is told, for the tests of the SDK and the CLI; and things it may answer."""

import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

SERVICE = "/services/mlplat"
API = f"{SERVICE}/v1"
TOKEN = "the-token"  # noqa: S105
MOMENT = "2026-03-01T10:00:00Z"


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """An answer. `pieces` are sent one by one; `cut` then drops the connection in the middle of the answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] | None = None
    cut: bool = False


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def page(rows: list[Any], total: int | None = None) -> Reply:
    return json_reply(
        {"current": 0, "data": rows, "pages": 1, "size": len(rows), "total": len(rows) if total is None else total}
    )


def problem(status: int, code: str, message: str, request_id: str = "q-1") -> Reply:
    return json_reply({"error_code": code, "error_msg": message, "request_id": request_id}, status)


Answerer = Callable[[Asked], Reply]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of many tests."""


class Stage:
    """The server. `on` says what a path answers: each reply once, the last one for ever.

    Buckets are in the built-in store unless it is said otherwise; that this is asked is not kept in `asked`.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._replies: dict[tuple[str, str], list[Reply | Answerer]] = defaultdict(list)
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return self.origin + SERVICE

    def on(self, method: str, path: str, *replies: Reply | Answerer) -> None:
        """Paths that do not begin with / are below /v1."""
        self._replies[method, path if path.startswith("/") else f"{API}/{path}"] = list(replies)

    def requests(self, method: str, path: str) -> list[Asked]:
        whole = path if path.startswith("/") else f"{API}/{path}"
        return [asked for asked in self.asked if (asked.method, asked.path) == (method, whole)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: Asked) -> Reply:
        replies = self._replies.get((asked.method, asked.path))
        if not replies and asked.path.startswith(f"{API}/storage/buckets/") and asked.method == "GET":
            return json_reply({"bucket": asked.path.rpartition("/")[2], "endpoint": "local"})
        self.asked.append(asked)
        if not replies:
            return problem(404, "MLPLAT.NOT_FOUND", f"There is no {asked.path}.")
        reply = replies[0] if len(replies) == 1 else replies.pop(0)
        return reply if isinstance(reply, Reply) else reply(asked)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                url = urlsplit(self.path)
                query = {key: values[-1] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
                asked = Asked(self.command, url.path, query, dict(self.headers.items()), self._body())
                with suppress(ConnectionError):
                    self._send(stage.answer(asked))

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    return b"".join(iter(self._chunk, b""))
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def _chunk(self) -> bytes:
                size = int(self.rfile.readline(), 16)
                data = self.rfile.read(size)
                self.rfile.readline()
                return data

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.pieces is None:
                    if "Content-Length" not in reply.headers:
                        self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(reply.body)
                    return
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in reply.pieces:
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    self.wfile.flush()
                if reply.cut:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                else:
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def instance(name: str = "digits", **changes: Any) -> dict[str, Any]:
    row = {
        "id": "i-abcdefghjkmn",
        "name": name,
        "description": "",
        "owner": "alice",
        "workspace": "default",
        "status": "RUNNING",
        "status_message": "",
        "target": "RUNNING",
        "image_id": "m-abcdefghjkmn",
        "image_name": "python:3.12",
        "flavor": "cpu.2u8g",
        "target_image_id": None,
        "target_flavor": None,
        "steps": [],
        "tags": [],
        "url": "/user/alice/i-abcdefghjkmn/lab",
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "started_at": MOMENT,
        "last_activity": None,
    }
    return {**row, **changes}


def image(name: str = "python", tag: str = "3.12", **changes: Any) -> dict[str, Any]:
    row = {
        "id": "m-abcdefghjkmn",
        "name": name,
        "tag": tag,
        "description": "",
        "owner": "alice",
        "workspace": "default",
        "status": "ACTIVE",
        "status_message": "",
        "origin": "PRESET",
        "type": "BUILD_IN",
        "visibility": "PUBLIC",
        "digest": "sha256:" + "0" * 64,
        "parent_digest": None,
        "size": 5 * 1024**2,
        "added": 0,
        "architectures": ["x86_64"],
        "resource_categories": ["CPU"],
        "services": ["NOTEBOOK", "TRAIN"],
        "instance_id": None,
        "instance_name": None,
        "progress": None,
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }
    return {**row, **changes}


def job(number: int = 7, name: str = "train", **changes: Any) -> dict[str, Any]:
    row = {
        "id": "j-abcdefghjkmn",
        "number": number,
        "name": name,
        "description": "",
        "owner": "alice",
        "workspace": "default",
        "phase": "Running",
        "phase_message": "",
        "kind": "notebook",
        "entry": "train.ipynb",
        "bundle": "sha256:" + "0" * 64,
        "image_id": "m-abcdefghjkmn",
        "image_name": "python:3.12",
        "flavor": "cpu.2u8g",
        "nodes": 1,
        "parameters": {},
        "environment": {},
        "inputs": [],
        "outputs": [],
        "retries": 0,
        "attempt": 1,
        "exit_code": None,
        "progress": {"done": 3, "total": 12},
        "last_metrics": {"loss": 0.123456789},
        "instance_id": None,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "started_at": MOMENT,
        "finished_at": None,
        "duration": 192.4,
    }
    return {**row, **changes}


def flavor(name: str = "cpu.2u8g", **changes: Any) -> dict[str, Any]:
    row = {
        "id": name,
        "name": name,
        "arch": "x86_64",
        "category": "CPU",
        "vcpus": 2,
        "memory_mib": 8192,
        "accelerator": None,
        "sold_out": False,
        "reason": None,
        "enforced": ["cpu"],
    }
    return {**row, **changes}


def event(type: str, message: str, **changes: Any) -> dict[str, Any]:
    row = {"id": 1, "noun": "instance", "resource_id": "i-abcdefghjkmn", "type": type, "message": message, "at": MOMENT}
    return {**row, **changes}
