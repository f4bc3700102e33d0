"""Speaking with the platform: streamed HTTP/1.1 exchanges on tornado's own connection, nothing held in memory.

Tornado's AsyncHTTPClient can neither be cancelled nor slowed down by a slow reader, so an exchange drives the
connection below it: a body goes out piece by piece while the answer is already read.
"""

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError
from tornado.tcpclient import TCPClient

from jupyter_mlplat.errors import BackendFailure, MlplatError, TooLarge

AWAY = "The platform does not answer. Your kernels go on; try again in a moment."
CUT = "The platform went away in the middle of its answer. Your kernels go on; try again in a moment."
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 120.0
ANY_SIZE = 1 << 62
_COLLECT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Head:
    """The first part of an answer."""

    status: int
    reason: str
    headers: HTTPHeaders


class Receiver(Protocol):
    """Takes an answer as it comes; the platform is read no faster than `received` returns."""

    async def started(self, head: Head) -> None: ...

    async def received(self, chunk: bytes) -> None: ...


class Exchange(HTTPMessageDelegate):
    """One request and its answer. Write the body, `end_request`, then wait until `done`; `close` drops both."""

    def __init__(self, connection: HTTP1Connection, receiver: Receiver) -> None:
        self._connection = connection
        self._receiver = receiver
        self._head: Head | None = None
        self._complete = False
        self._failure: Exception | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._reading = asyncio.ensure_future(self._read())

    async def write(self, chunk: bytes) -> None:
        """Send a piece of the body; returns once the system has taken it. Dropped where the answer is already here."""
        if self._reading.done() or self._complete:
            return
        sent = self._connection.write(chunk)
        await asyncio.wait({sent, self._reading}, return_when=asyncio.FIRST_COMPLETED)

    def end_request(self) -> None:
        """The body is sent; from now on the platform has ANSWER_SECONDS to begin its answer."""
        if self._reading.done() or self._complete:
            return
        self._connection.finish()
        if self._head is None:
            self._patience = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self.close)

    async def done(self) -> Head:
        """The head of the answer once all of it has been received. BackendFailure where the platform went away."""
        await asyncio.shield(self._reading)
        if self._failure is not None:
            raise self._failure
        if self._head is None or not self._complete:
            raise BackendFailure(CUT if self._head else AWAY)
        return self._head

    def close(self) -> None:
        """Drop the connection, whatever is still under way."""
        self._connection.close()

    async def _read(self) -> None:
        try:
            await self._connection.read_response(self)
        except StreamClosedError:
            pass
        finally:
            self._be_patient_no_more()

    def _be_patient_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    async def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:
        assert isinstance(start_line, ResponseStartLine)
        if start_line.code >= 200:
            self._be_patient_no_more()
            self._head = Head(start_line.code, start_line.reason, headers)
            await self._hand_over(self._receiver.started(self._head))

    async def data_received(self, chunk: bytes) -> None:
        await self._hand_over(self._receiver.received(chunk))

    async def _hand_over(self, received: Any) -> None:
        try:
            await received
        except Exception as error:
            self._failure = self._failure or error
            self.close()

    def finish(self) -> None:
        self._complete = self._failure is None
        self.close()

    def on_connection_close(self) -> None:
        """The connection ended before the answer did; `done` says so."""


async def open_exchange(
    method: str, path: str, receiver: Receiver, headers: Mapping[str, str] | None = None, length: int | None = 0
) -> Exchange:
    """Begin a request for `path` (below /v1, quoted, with its query).

    `length` is the size of the body in bytes, None where it is not known beforehand. BackendFailure where the
    platform cannot be reached.
    """
    api = urlsplit(os.environ.get("MLPLAT_API", ""))
    if not api.hostname:
        raise BackendFailure("This server was not started by the platform: MLPLAT_API is not set.")
    secure = ssl.create_default_context() if api.scheme == "https" else None
    port = api.port or (443 if secure else 80)
    try:
        stream = await TCPClient().connect(api.hostname, port, ssl_options=secure, timeout=CONNECT_SECONDS)
    except (OSError, StreamClosedError, TimeoutError):
        raise BackendFailure(AWAY) from None
    stream.set_nodelay(True)
    connection = HTTP1Connection(stream, True, HTTP1ConnectionParameters(no_keep_alive=True, max_body_size=ANY_SIZE))
    connection.write_headers(
        RequestStartLine(method, f"{api.path.rstrip('/')}/{path}", "HTTP/1.1"),
        _request_headers(api.netloc, method, headers or {}, length),
    )
    return Exchange(connection, receiver)


def _request_headers(host: str, method: str, headers: Mapping[str, str], length: int | None) -> HTTPHeaders:
    sent = HTTPHeaders(headers)
    sent["Host"] = host
    sent["Connection"] = "close"
    sent["Authorization"] = f"token {os.environ.get('JUPYTERHUB_API_TOKEN', '')}"
    if length is not None and (length or method in ("POST", "PUT", "PATCH")):
        sent["Content-Length"] = str(length)
    return sent


@dataclass
class Answer:
    """A whole answer, for those that are small."""

    status: int = 0
    body: bytes = b""

    async def started(self, head: Head) -> None:
        self.status = head.status

    async def received(self, chunk: bytes) -> None:
        self.body += chunk
        if len(self.body) > _COLLECT_BYTES:
            raise TooLarge("The platform's answer is too large.")

    def json(self) -> Any:
        """The decoded body; the error that the platform answered is raised."""
        if self.status >= 400:
            raise refusal(self.status, self.body)
        try:
            return json.loads(self.body)
        except ValueError:
            raise BackendFailure("What answers at the platform's address is not the platform.") from None


async def fetch(method: str, path: str, body: Any = None) -> Answer:
    """One small request, with a JSON body where `body` is given."""
    answer = Answer()
    data = b"" if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    exchange = await open_exchange(method, path, answer, headers, len(data))
    try:
        if data:
            await exchange.write(data)
        exchange.end_request()
        await exchange.done()
    finally:
        exchange.close()
    return answer


def refusal(status: int, body: bytes) -> MlplatError:
    """The error that an answer of the platform stands for, to be raised here as it was there."""
    try:
        problem = json.loads(body)
        error = MlplatError(str(problem["error_msg"]))
        error.code = str(problem["error_code"])
    except (ValueError, KeyError, TypeError):
        error = MlplatError(f"The platform refused this with status {status} and gave no reason.")
    error.status = status
    return error
