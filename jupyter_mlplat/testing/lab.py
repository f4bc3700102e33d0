"""A JupyterLab server used as a person would: files put in place, kernels that run code."""

import base64
import json
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import httpx
from websocket import WebSocket, create_connection


class CellFailed(Exception):
    """A cell raised an error; the message is its last traceback line."""


@dataclass
class Lab:
    """A server below `address` (`http://…/user/NAME/SERVER`), spoken to with a token of its user."""

    address: str
    token: str

    def __post_init__(self) -> None:
        self.http = httpx.Client(
            base_url=self.address.rstrip("/"), headers={"Authorization": f"token {self.token}"}, timeout=60
        )

    def put(self, path: str, content: bytes) -> None:
        """Write one file of the work folder; folders on the way are made."""
        parts = path.split("/")[:-1]
        for depth in range(len(parts)):
            folder = "/".join(parts[: depth + 1])
            self.http.put(f"/api/contents/{quote(folder)}", json={"type": "directory"}).raise_for_status()
        body = {"type": "file", "format": "base64", "content": base64.b64encode(content).decode()}
        self.http.put(f"/api/contents/{quote(path)}", json=body).raise_for_status()

    def kernel(self, name: str = "python3") -> "Kernel":
        """Start a kernel: that of the instance's environment, or of one inside it."""
        answer = self.http.post("/api/kernels", json={"name": name})
        answer.raise_for_status()
        return Kernel(self, answer.json()["id"])

    def connect(self, kernel_id: str) -> "Kernel":
        """A new connection to a kernel that runs."""
        return Kernel(self, kernel_id)

    def close(self) -> None:
        self.http.close()


class Kernel:
    """One kernel; `run` gives what a cell printed and its result."""

    def __init__(self, lab: Lab, kernel_id: str) -> None:
        self.id = kernel_id
        self._lab = lab
        self._session = uuid4().hex
        address = lab.address.replace("http", "ws", 1).rstrip("/")
        self._socket: WebSocket = create_connection(
            f"{address}/api/kernels/{kernel_id}/channels?session_id={self._session}",
            header=[f"Authorization: token {lab.token}"],
            timeout=120,
        )

    def run(self, code: str, timeout: float = 120) -> str:
        """What the cell printed and answered, as text; CellFailed where it raised an error."""
        message_id = self._send(code)
        printed: list[str] = []
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            message = json.loads(self._socket.recv())
            if message["parent_header"].get("msg_id") != message_id:
                continue
            content = message["content"]
            kind = message["header"]["msg_type"]
            if kind == "error":
                raise CellFailed(f"{content['ename']}: {content['evalue']}")
            if kind == "status" and content["execution_state"] == "idle":
                return "".join(printed)
            printed.append(_text(kind, content))
        raise TimeoutError(f"The cell did not end within {timeout:.0f} s")

    def _send(self, code: str) -> str:
        message_id = uuid4().hex
        header = {
            "msg_id": message_id,
            "msg_type": "execute_request",
            "username": "",
            "session": self._session,
            "version": "5.3",
        }
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self._socket.send(json.dumps(message))
        return message_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()


def _text(kind: str, content: dict[str, Any]) -> str:
    if kind == "stream":
        return str(content["text"])
    if kind == "execute_result":
        return str(content["data"].get("text/plain", ""))
    return ""
