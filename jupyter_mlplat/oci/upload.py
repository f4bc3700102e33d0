"""One blob on its way to a registry."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Protocol

import httpx

from jupyter_mlplat.errors import BackendFailure, MlplatError, NotFound

OCTETS = {"Content-Type": "application/octet-stream"}
_SEGMENT = 32 << 20
"""Bytes that are kept until the registry has them; each segment costs it a sync of its disk."""

_BREAKS = 10
"""How often one segment may break off."""


class UploadLost(BackendFailure):
    """The registry no longer knows an upload that it had begun: the blob must be sent from its beginning."""


class Sender(Protocol):
    """The part of a registry's client that an upload needs."""

    async def send(self, method: str, url: str, what: str, **options: Any) -> httpx.Response: ...

    async def has_blob(self, repository: str, digest: str) -> bool: ...


class Upload:
    """Streams bytes as they are made. What breaks off is gone on with from where the registry says it got to."""

    def __init__(self, registry: Sender, repository: str, location: str) -> None:
        self._registry = registry
        self._repository = repository
        self._location = location
        self._sent = 0
        self._what = f"a layer of {repository}"
        self._scope = f"POST {repository}"

    async def send(self, pieces: AsyncIterator[bytes]) -> None:
        """Send all of `pieces`. BackendFailure where the registry stays away or has lost what it had."""
        while first := await anext(pieces, b""):
            await self._send_segment(_Segment(first, pieces))

    async def _send_segment(self, segment: "_Segment") -> None:
        begin = self._sent
        for _ in range(_BREAKS):
            try:
                await self._patch(lambda: segment.after(self._sent - begin))
                self._sent = begin + segment.size
                return
            except BackendFailure as broken:
                failure = broken
            self._sent = await self._arrived(failure)
            if not begin <= self._sent <= begin + segment.size:
                break
        raise failure

    async def _patch(self, content: Any) -> None:
        answer = await self._ask("PATCH", headers=OCTETS, content=content, patient=False)
        self._location = answer.headers.get("Location", self._location)

    async def _arrived(self, failure: BackendFailure) -> int:
        """How many bytes the registry has, after `failure`."""
        try:
            answer = await self._ask("GET")
        except NotFound as error:
            raise UploadLost(failure.message) from error
        self._location = answer.headers.get("Location", self._location)
        last = int(answer.headers.get("Range", "0-0").rpartition("-")[2])
        return last + 1 if last else 0

    async def commit(self, digest: str, rest: bytes = b"") -> None:
        """End the blob with `rest`; it is there under `digest`."""
        query = dict(httpx.URL(self._location).params) | {"digest": digest}
        headers = {**OCTETS, "Content-Range": f"{self._sent}-{self._sent + len(rest) - 1}"} if rest else OCTETS
        try:
            await self._ask("PUT", params=query, headers=headers, content=rest)
        except (BackendFailure, NotFound):
            # The answer may have been lost, not the blob.
            if not await self._registry.has_blob(self._repository, digest):
                raise

    async def cancel(self) -> None:
        """Give it up. What cannot be removed now, the registry purges some day."""
        with suppress(MlplatError):
            await self._ask("DELETE", patient=False)

    async def _ask(self, method: str, **options: Any) -> httpx.Response:
        return await self._registry.send(method, self._location, self._what, scope=self._scope, **options)


class _Segment:
    """Some tens of megabytes of a stream, taken from it as they are sent and kept in case they must be sent again."""

    def __init__(self, first: bytes, pieces: AsyncIterator[bytes]) -> None:
        self._kept = [first]
        self._pieces = pieces
        self.size = len(first)

    async def after(self, offset: int) -> AsyncIterator[bytes]:
        """The segment from `offset` on."""
        for piece in list(self._kept):
            if offset < len(piece):
                yield piece[offset:] if offset else piece
            offset = max(0, offset - len(piece))
        while self.size < _SEGMENT and (piece := await anext(self._pieces, b"")):
            self._kept.append(piece)
            self.size += len(piece)
            yield piece
