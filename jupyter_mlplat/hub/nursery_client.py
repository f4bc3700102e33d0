"""Asks the nursery to start a server; see `nursery`."""

import asyncio
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jupyter_mlplat.core.processes import Process
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.hub import unix_path
from jupyter_mlplat.hub.start import ServerStart

PATIENCE = 5.0


class NurseryUnreachable(BackendFailure):
    """The nursery is switched off, not up yet, or gone: start the server another way."""


async def start_server(path: Path, start: ServerStart, listener: socket.socket) -> Process:
    """Fork a server that serves on `listener`. NurseryUnreachable if nobody answers, BackendFailure if it says no."""
    answer = await _ask(path, {"do": "start", "start": start.to_json()}, [listener.fileno()])
    if "error" in answer:
        raise BackendFailure(f"The server could not be started: {answer['error']}")
    return Process(answer["pid"], answer["started"])


async def ping(path: Path) -> Process:
    """The nursery's own process. NurseryUnreachable if it does not answer."""
    answer = await _ask(path, {"do": "ping"}, [])
    return Process(answer["pid"], answer["started"])


async def _ask(path: Path, request: dict[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
    try:
        return await asyncio.to_thread(_exchange, path, json.dumps(request).encode() + b"\n", descriptors)
    except (OSError, ValueError) as error:
        raise NurseryUnreachable(f"The nursery does not answer at {path}: {error}") from error


def _exchange(path: Path, message: bytes, descriptors: Sequence[int]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        with unix_path.address(path) as short:
            connection.connect(short)
        sent = socket.send_fds(connection, [message], list(descriptors))
        if rest := message[sent:]:
            connection.sendall(rest)
        with connection.makefile("rb") as answer:
            result: dict[str, Any] = json.loads(answer.readline())
            return result
