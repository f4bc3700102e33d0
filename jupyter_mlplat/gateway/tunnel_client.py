"""The way through HTTPS as ssh sees it, `mlplat ssh proxy`: a ProxyCommand, `python -I -S tunnel_client.py [PROFILE]`.

PROFILE is the file with the platform's address and the token of its user; without one MLPLAT_URL and MLPLAT_TOKEN say
them. Each connection waits for this program, so it imports little, and it is a file of its own because without `site`
nothing else knows where this package lies.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])

import json
import os
import select
import socket
from binascii import b2a_base64

from jupyter_mlplat.gateway.frames import BINARY, CLOSE, PING, PONG, Broken, Bytes, Frames, Framing, framed

TYPE_CHECKING = False
"""As in `typing`, which takes longer to import than all the rest."""
if TYPE_CHECKING:
    from ssl import SSLSocket

SERVICE, TUNNEL = "/services/mlplat", "/services/mlplat-ssh/"
PIECE = 256 * 1024
PATIENCE = 30.0
"""Seconds until the other end must have answered that the way is open."""
LONGEST_ANSWER = 65536

NO_PROFILE = "no platform is known here: run `mlplat ssh config --https` again, or set MLPLAT_URL and MLPLAT_TOKEN."
NO_TUNNEL = "this platform has no way to SSH through HTTPS."
AWAY = "what carries SSH through HTTPS does not answer. Try again soon."
CUT = "the way through HTTPS was cut. Connect again."


class Failed(Exception):
    """There is no way, or none any more, with words for the person."""


def main(arguments: list[str]) -> int:
    try:
        url, token = profile(arguments[0] if arguments else "")
        connection, first = opened(url, token)
        carried(connection, first)
    except Failed as failure:
        os.write(2, f"mlplat: {failure}\r\n".encode())
        return 1
    except Broken:
        os.write(2, f"mlplat: {AWAY}\r\n".encode())
        return 1
    except BrokenPipeError:
        return 0  # ssh is gone
    return 0


def profile(path: str) -> tuple[str, str]:
    """The platform's address as a browser has it, and the token."""
    try:
        said = {"url": os.environ["MLPLAT_URL"], "token": os.environ["MLPLAT_TOKEN"]} if not path else _read(path)
        return said["url"].rstrip("/").removesuffix("/v1").removesuffix(SERVICE), said["token"]
    except (OSError, ValueError, KeyError) as error:
        raise Failed(NO_PROFILE) from error


def opened(url: str, token: str) -> "tuple[socket.socket, bytes]":
    """A connection on which the websocket is open, and what came on it already."""
    scheme, _, rest = url.partition("://")
    place, _, base = rest.partition("/")
    host, port = _place(place, 443 if scheme == "https" else 80)
    try:
        # as text it would load all of IDNA
        connection = socket.create_connection((host.encode(), port), PATIENCE)  # type: ignore[arg-type]
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if scheme == "https":
            connection = _encrypted(connection, host)
        connection.sendall(request(place, f"/{base}".rstrip("/") + TUNNEL, token))
        return connection, _answer(connection)
    except OSError as error:
        raise Failed(f"{url} does not answer: {error}.") from error


def request(place: str, path: str, token: str) -> bytes:
    """What asks for the websocket."""
    key = b2a_base64(os.urandom(16), newline=False).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: {place}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", f"Authorization: token {token}", "", ""]
    return "\r\n".join(lines).encode()


def refusal(head: bytes, body: bytes) -> str:
    """The words for an answer that opens no websocket."""
    status = head.split(b" ", 2)[1:2]
    if b"text/plain" in head and body:
        return body.decode(errors="replace").strip()
    if status == [b"404"]:
        return NO_TUNNEL
    return AWAY if status in ([], [b"502"], [b"503"], [b"504"]) else f"{AWAY} ({status[0].decode(errors='replace')})"


def carried(connection: socket.socket, first: bytes) -> None:
    """Between standard input and output and the websocket until the other end has said all. Failed where it was cut."""
    connection.setblocking(False)
    frames, framing, room = Frames(masked=False), Framing(PIECE, mask=True), memoryview(bytearray(PIECE))
    pending, listening = list[Bytes](), True
    received: Bytes = first
    while True:
        for kind, data in frames.taken(received):
            if kind == CLOSE:
                return
            if kind == PING:
                pending.append(framed(PONG, data, mask=True))
            if kind == BINARY:
                _write(data)
        readers: list[socket.socket | int] = [connection, 0] if listening and not pending else [connection]
        ready = _ready(connection, readers, bool(pending))
        if 0 in ready:
            said = os.readv(0, [framing.room])
            listening = bool(said)
            pending.append(framing.frame(said) if said else framed(CLOSE, b"\x03\xe8", mask=True))
        _send(connection, pending)
        received = _received(connection, room) if connection in ready else b""


def _ready(connection: socket.socket, readers: list[socket.socket | int], writing: bool) -> list[socket.socket | int]:
    """Whoever can be read now; what TLS has decrypted already no system call tells of."""
    pending = getattr(connection, "pending", None)
    if pending and pending():
        return [connection]
    found, _, _ = select.select(readers, [connection] if writing else [], [])
    return found


def _received(connection: socket.socket, room: memoryview) -> memoryview:
    """What has come; Failed at an end without a word of farewell."""
    try:
        if length := connection.recv_into(room):
            return room[:length]
    except OSError as error:
        if _waits(error):
            return room[:0]
        raise Failed(CUT) from error
    raise Failed(CUT)


def _send(connection: socket.socket, pending: list[Bytes]) -> None:
    """Send as much as goes; TLS takes a small piece at a time."""
    try:
        while pending:
            pending[0] = pending[0][connection.send(pending[0]) :]
            if not pending[0]:
                del pending[0]
    except OSError as error:
        if not _waits(error):
            raise Failed(CUT) from error


def _waits(error: OSError) -> bool:
    """Whether it only has to be tried again: TLS has errors of its own for that."""
    return isinstance(error, BlockingIOError) or type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")


def _write(data: Bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def _answer(connection: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < LONGEST_ANSWER and (piece := connection.recv(LONGEST_ANSWER)):
        answer += piece
    head, _, rest = answer.partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1:2] == [b"101"]:
        return rest
    while len(rest) < LONGEST_ANSWER and (piece := connection.recv(LONGEST_ANSWER)):
        rest += piece
    raise Failed(refusal(head, rest))


def _encrypted(connection: socket.socket, host: str) -> "SSLSocket":
    import ssl

    return ssl.create_default_context().wrap_socket(connection, server_hostname=host)


def _place(place: str, usual: int) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    if colon and port.isdigit():
        return host.strip("[]"), int(port)
    return place.strip("[]"), usual


def _read(path: str) -> dict[str, str]:
    with open(path) as file:  # noqa: PTH123 - pathlib takes longer to import
        said: dict[str, str] = json.load(file)
    return said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
