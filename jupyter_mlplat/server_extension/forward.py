"""`mlplat/v1/…`: the platform's REST API, reached with the server's own token.

Bodies and event streams flow through in both directions, piece by piece. Of the browser's headers only a few go on:
its cookies and tokens stay here.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated, stream_request_body

from jupyter_mlplat.errors import InvalidInput, MlplatError
from jupyter_mlplat.server_extension.base import MlplatHandler
from jupyter_mlplat.server_extension.platform import ANY_SIZE, Exchange, Head, open_exchange

_GO_ON = frozenset({"content-type", "accept", "range", "last-event-id"})
_STAY_HERE = frozenset({"token", "_xsrf", "no_track_activity"})
_NOT_BACK = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "set-cookie", "server", "date", "content-security-policy", "x-content-type-options",
})  # fmt: skip


def platform_path(raw: str) -> str:
    """The path below the platform's /v1 for a percent-encoded one below ours; InvalidInput where it would leave /v1."""
    try:
        path = unquote(raw, errors="strict")
        _refuse_leaving(path)
    except UnicodeDecodeError:
        raise InvalidInput("This path is not valid UTF-8.") from None
    return quote(path, safe="/~!$&'()*+,;=:@")


def _refuse_leaving(path: str) -> None:
    # decoded again and again: nobody behind us may find a ".." that we did not see
    while True:
        if path.startswith("/") or any(part in (".", "..") for part in path.replace("\\", "/").split("/")):
            raise InvalidInput("This path leads outside the platform's API.")
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
            raise InvalidInput("A path cannot contain control characters.")
        decoded = unquote(path)
        if decoded == path:
            return
        path = decoded


def platform_query(query: str) -> str:
    """The query as it goes on: without what is for this server or only there to avoid caches."""
    pieces = [piece for piece in query.split("&") if piece and not piece.isdigit()]
    return "&".join(piece for piece in pieces if unquote_plus(piece.partition("=")[0]) not in _STAY_HERE)


def headers_to_platform(headers: Mapping[str, str]) -> dict[str, str]:
    """The few of the browser's headers that the platform gets."""
    return {n: v for n, v in headers.items() if n.lower() in _GO_ON or n.lower().startswith("if-")}


def headers_to_browser(head: Head) -> list[tuple[str, str]]:
    """The platform's headers, without those of the connection and those that are this server's business."""
    named = {name.strip().lower() for name in head.headers.get("Connection", "").split(",")}
    dropped = _NOT_BACK | named
    return [
        (name, value)
        for name, value in head.headers.get_all()
        if name.lower() not in dropped and not name.lower().startswith("access-control-")
    ]


def _content_length(header: str) -> int:
    if not header.isascii() or not header.isdigit():
        raise InvalidInput("The Content-Length of this request is not a number.")
    return int(header)


@stream_request_body
class ForwardHandler(MlplatHandler):
    """Any method; also the receiver of the platform's answer."""

    _exchange: Exchange | None = None
    _refusal: MlplatError | HTTPError | None = None
    _gone = False

    async def prepare(self) -> None:  # type: ignore[override]
        self._track_activity = self.request.method not in ("GET", "HEAD")
        # compression would hold back event streams and break ranges
        self._transforms: list[Any] = []
        try:
            await super().prepare()
            self._connection.set_max_body_size(ANY_SIZE)
            self._exchange = await self._open()
        except (MlplatError, HTTPError) as error:
            # raised only once the body was read: a client that is still sending would not see the answer
            self._refusal = error
        if self._gone and self._exchange is not None:
            self._exchange.close()

    @property
    def _connection(self) -> HTTP1Connection:
        connection = self.request.connection
        assert isinstance(connection, HTTP1Connection)
        return connection

    async def _open(self) -> Exchange:
        path = platform_path(self.request.path.partition("/mlplat/v1/")[2])
        query = platform_query(self.request.query)
        return await open_exchange(
            self.request.method,
            f"{path}?{query}" if query else path,
            self,
            headers_to_platform(self.request.headers),
            self._body_length(),
        )

    def _body_length(self) -> int | None:
        if "Transfer-Encoding" not in self.request.headers:
            return _content_length(self.request.headers.get("Content-Length", "0"))
        if self.request.method not in ("POST", "PUT", "PATCH"):
            raise InvalidInput(f"The body of a {self.request.method} needs a Content-Length.")
        return None

    async def data_received(self, chunk: bytes) -> None:
        if self._exchange is not None:
            await self._exchange.write(chunk)

    async def _forward(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        assert self._exchange is not None
        self._exchange.end_request()
        try:
            await self._exchange.done()
        except (MlplatError, StreamClosedError):
            if not self._headers_written and not self._gone:
                raise
            # half an answer must not look like a whole one
            self._connection.close()
        finally:
            self._exchange.close()

    async def started(self, head: Head) -> None:
        self.set_status(head.status, head.reason)
        self.clear_header("Content-Type")
        headers = headers_to_browser(head)
        for name, _ in headers:
            self.clear_header(name)
        for name, value in headers:
            self.add_header(name, value)
        await self.flush()

    async def received(self, chunk: bytes) -> None:
        self.write(chunk)
        await self.flush()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._gone = True
        if self._exchange is not None:
            self._exchange.close()

    @authenticated
    async def get(self) -> None:
        await self._forward()

    @authenticated
    async def head(self) -> None:
        await self._forward()

    @authenticated
    async def post(self) -> None:
        await self._forward()

    @authenticated
    async def put(self) -> None:
        await self._forward()

    @authenticated
    async def patch(self) -> None:
        await self._forward()

    @authenticated
    async def delete(self) -> None:
        await self._forward()
