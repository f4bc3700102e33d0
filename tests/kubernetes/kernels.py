"""A kernel of an instance, spoken to as Lab does: over the server's websocket, through the proxy."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import aiohttp
from instances_stage import Stage

from jupyter_mlplat.backends.base import InstanceSpec

SECONDS = 60


class Kernel:
    """One kernel, ended with the block."""

    def __init__(self, stage: Stage, spec: InstanceSpec) -> None:
        self._stage, self._spec = stage, spec
        self._session: aiohttp.ClientSession | None = None
        self._socket: Any = None
        self._id = ""

    async def __aenter__(self) -> "Kernel":
        answer = await self._stage.api(self._spec, "POST", "api/kernels", json={"name": "python3"})
        answer.raise_for_status()
        self._id = answer.json()["id"]
        await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._disconnect()
        await self._stage.api(self._spec, "DELETE", f"api/kernels/{self._id}")

    async def run(self, code: str, *, anew: bool = False) -> str:
        """What `code` prints; `anew` over a new connection."""
        if anew:
            await self._disconnect()
            await self._connect()
        message = uuid4().hex
        await self._socket.send_str(json.dumps(_request(message, code)))
        async with asyncio.timeout(SECONDS):
            return await self._outcome(message)

    async def _outcome(self, message: str) -> str:
        printed, done = "", set[str]()
        while done != {"reply", "idle"}:
            answer = json.loads((await self._socket.receive()).data)
            if answer["parent_header"].get("msg_id") != message:
                continue
            kind, content = answer["header"]["msg_type"], answer["content"]
            if kind == "stream":
                printed += content["text"]
            elif kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            elif kind == "execute_reply":
                done.add("reply")
            elif kind == "status" and content["execution_state"] == "idle":
                done.add("idle")
        return printed

    async def _connect(self) -> None:
        token = await self._stage.token(self._spec)
        self._session = aiohttp.ClientSession(headers={"Authorization": f"token {token}"})
        base = f"{self._stage.url}/user/{self._spec.owner}/{self._spec.instance_id}"
        self._socket = await self._session.ws_connect(f"{base}/api/kernels/{self._id}/channels", max_msg_size=0)

    async def _disconnect(self) -> None:
        if self._session:
            await self._socket.close()
            await self._session.close()


def _request(message: str, code: str) -> dict[str, Any]:
    header = {
        "msg_id": message,
        "username": "",
        "session": uuid4().hex,
        "msg_type": "execute_request",
        "version": "5.3",
    }
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
