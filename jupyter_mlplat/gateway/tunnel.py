"""SSH through the platform's public address: a websocket for each connection, where no SSH port is to be had.

    python -m jupyter_mlplat.gateway.tunnel --port … --platform URL --gateway HOST:PORT --notes FOLDER

A process of its own, to which the public proxy leads: no byte passes the platform, which is asked but once whether the
bearer of the token may use SSH. Whom a key lets in, and from where, the gateway decides as for everybody; so that it
can, the client's true address is noted while the connection lasts (`tunnel_notes`).
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.gateway.frames import BINARY, CLOSE, PING, PONG, Broken, Bytes, Frames, Framing, framed
from jupyter_mlplat.gateway.tunnel_notes import note

PIECE = 256 * 1024
"""As much is held for one connection and direction."""
LONGEST_REQUEST = 16 * 1024
PATIENCE = 10.0
"""Seconds for a request to arrive, and for the platform's answer to it."""

AGAIN_SECONDS = 0.5

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ACTION = "ssh:connect"
ONLY_TUNNEL = "This is where `mlplat ssh proxy` connects. Let ssh come this way: mlplat ssh config --https"
FROM_A_PAGE = "Pages of the web may not use SSH."
SIGN_IN = "the platform does not know this token, or no longer. Get a new one, or sign in again."
NOT_ALLOWED = "this login may not use SSH."
PLATFORM_AWAY = "the platform does not answer, so nobody can be let in. Try again soon."
GATEWAY_AWAY = "the SSH gateway does not answer. Try again soon."

STATUS = {
    401: "Unauthorized",
    403: "Forbidden",
    426: "Upgrade Required",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


class Refused(Exception):
    """Nobody is let through, with words for the person."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


@dataclass(frozen=True)
class Way:
    """From whom the tunnel asks permission, where it leads, and where it notes for whom.

    `platform` is an address that ends with /v1, reached directly.
    """

    platform: str
    host: str
    port: int
    notes: Path


@dataclass(frozen=True)
class Request:
    """The head of what came. Names of headers are in small letters."""

    headers: dict[str, str]
    peer: str

    @property
    def source(self) -> str:
        """The client's address as the proxy saw it, which appends it last, or as the socket says."""
        return self.headers.get("x-forwarded-for", "").rpartition(",")[2].strip() or self.peer


class Tunnel:
    """Serves the connections."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._served: set[asyncio.Task[None]] = set()

    async def serve(self, host: str, port: int) -> None:
        """Until it is cancelled. Notes of an earlier run are gone then."""
        self._way.notes.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in self._way.notes.iterdir():
            stale.unlink()
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family, backlog=1024) as listener:
            listener.setblocking(False)
            while True:
                try:
                    connection, peer = await loop.sock_accept(listener)
                except OSError:
                    # so many files are open that no more can be: who waits is served when others have left
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    served = loop.create_task(self._serve_one(connection, peer[0]))
                    self._served.add(served)
                    served.add_done_callback(self._served.discard)

    async def _serve_one(self, connection: socket.socket, peer: str) -> None:
        with connection, contextlib.suppress(OSError, EOFError, TimeoutError, Broken):
            try:
                await self._through(connection, peer)
            except Refused as refusal:
                await asyncio.get_running_loop().sock_sendall(connection, refused(refusal))

    async def _through(self, connection: socket.socket, peer: str) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(PATIENCE):
            head, more = await received_head(connection)
        request = parsed(head, peer)
        accepted = accept(request)
        await permitted(self._way.platform, request)
        with await self._gateway() as inner:
            path = note(str(self._way.notes), inner.getsockname()[:2], request.source)
            try:
                await asyncio.get_running_loop().sock_sendall(connection, accepted)
                await carried(connection, inner, more)
            finally:
                Path(path).unlink(missing_ok=True)

    async def _gateway(self) -> socket.socket:
        """A connection to it, set up as asyncio sets up its own."""
        loop = asyncio.get_running_loop()
        inner = socket.socket(socket.AF_INET6 if ":" in self._way.host else socket.AF_INET)
        inner.setblocking(False)
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await loop.sock_connect(inner, (self._way.host, self._way.port))
        except OSError as error:
            inner.close()
            raise Refused(502, GATEWAY_AWAY) from error
        return inner


async def received_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, and what came behind it. EOFError where it does not come."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = await asyncio.get_running_loop().sock_recv(connection, LONGEST_REQUEST)
        if not piece or len(received) > LONGEST_REQUEST:
            raise EOFError
        received += piece
    head, _, more = received.partition(b"\r\n\r\n")
    return head, more


def parsed(head: bytes, peer: str) -> Request:
    """The headers; Refused where it is nothing that a client sends."""
    if len(head) > LONGEST_REQUEST or b"\n" in head.replace(b"\r\n", b""):
        raise Refused(403, ONLY_TUNNEL)
    lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line]
    return Request({name.strip().lower(): value.strip() for name, _, value in lines}, peer)


def accept(request: Request) -> bytes:
    """The answer that opens the websocket; Refused where none is asked for, or a page of the web asks."""
    key = request.headers.get("sec-websocket-key")
    if request.headers.get("upgrade", "").lower() != "websocket" or not key:
        raise Refused(426, ONLY_TUNNEL)
    if "origin" in request.headers:
        raise Refused(403, FROM_A_PAGE)
    proof = base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest())  # noqa: S324 - RFC 6455 wants it
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"


def refused(refusal: Refused) -> bytes:
    """The answer with its words."""
    words = f"{refusal.words}\n".encode()
    head = f"HTTP/1.1 {refusal.status} {STATUS[refusal.status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Length: {len(words)}\r\nConnection: close\r\n\r\n".encode() + words


async def permitted(platform: str, request: Request) -> None:
    """Pass, or Refused: whether the platform lets the bearer of this token use SSH at all."""
    token = request.headers.get("authorization", "")
    if not token:
        raise Refused(401, SIGN_IN)
    try:
        async with asyncio.timeout(PATIENCE):
            status, body = await asked(f"{platform}/me", {"Authorization": token, "X-Forwarded-For": request.source})
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        raise Refused(503, PLATFORM_AWAY) from error
    if status >= 500:
        raise Refused(503, PLATFORM_AWAY)
    if status != 200:
        raise Refused(401, SIGN_IN)
    if ACTION not in json.loads(body)["permissions"]:
        raise Refused(403, NOT_ALLOWED)


async def asked(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status and body of GET http://HOST:PORT/PATH. ValueError where it is no answer of HTTP."""
    place, _, path = url.removeprefix("http://").partition("/")
    host, _, port = place.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        lines = [f"GET /{path} HTTP/1.0", f"Host: {place}", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body
    except IndexError as error:
        raise ValueError("no answer") from error
    finally:
        writer.close()


async def carried(connection: socket.socket, inner: socket.socket, first: bytes) -> None:
    """Bytes both ways until the gateway has said all. Neither side is read from faster than the other one takes it.

    On bare sockets, whose data is received and sent in one place: asyncio's streams would copy it four times.
    """
    speaking = asyncio.Lock()
    ways = {asyncio.create_task(_inward(connection, inner, first, speaking)),
            asyncio.create_task(_outward(connection, inner, speaking))}  # fmt: skip
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _outward(connection: socket.socket, inner: socket.socket, speaking: asyncio.Lock) -> None:
    loop, framing = asyncio.get_running_loop(), Framing(PIECE, mask=False)
    while length := await loop.sock_recv_into(inner, framing.room):
        async with speaking:
            await loop.sock_sendall(connection, framing.frame(length))
    async with speaking:
        await loop.sock_sendall(connection, framed(CLOSE, b"\x03\xe8", mask=False))
    raise EOFError


async def _inward(connection: socket.socket, inner: socket.socket, first: bytes, speaking: asyncio.Lock) -> None:
    """A client that says it is done (CLOSE) still hears what the gateway has to say; one that is gone does not."""
    loop, frames, room = asyncio.get_running_loop(), Frames(masked=True), memoryview(bytearray(PIECE))
    received: Bytes = first
    while True:
        for kind, data in frames.taken(received):
            if kind == BINARY:
                await loop.sock_sendall(inner, data)
            elif kind == PING:
                async with speaking:
                    await loop.sock_sendall(connection, framed(PONG, data, mask=False))
            elif kind == CLOSE:
                inner.shutdown(socket.SHUT_WR)
                return
        if not (length := await loop.sock_recv_into(connection, room)):
            raise EOFError
        received = room[:length]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--platform", required=True)
    parser.add_argument("--gateway", required=True, metavar="HOST:PORT")
    parser.add_argument("--notes", type=Path, required=True)
    chosen = parser.parse_args()
    host, _, port = chosen.gateway.rpartition(":")
    tunnel = Tunnel(Way(chosen.platform, host.strip("[]"), int(port), chosen.notes))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(tunnel.serve(chosen.host, chosen.port))


if __name__ == "__main__":
    main()
