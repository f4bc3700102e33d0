"""What a transfer copies, and how one file goes up or comes down: streamed, whole or not at all."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlencode

from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.errors import BackendFailure, Conflict, InvalidInput, NotFound
from jupyter_mlplat.server_extension.base import existing_in_work_folder, in_work_folder
from jupyter_mlplat.server_extension.platform import Answer, Head, fetch, open_exchange, refusal

_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class Copy:
    """One file: `key` is BUCKET/KEY, `size` in bytes."""

    local: Path
    key: str
    size: int


def plan_upload(root: Path, source: str, target: str) -> list[Copy]:
    """The files of a work-relative file or folder and where they go.

    As `cp` does: a file goes into a target that ends with / (or is a bare bucket) under its own name.
    """
    path = existing_in_work_folder(root, source)
    if path.is_file():
        into_folder = target.endswith("/") or "/" not in target
        return [Copy(path, f"{target.rstrip('/')}/{path.name}" if into_folder else target, path.stat().st_size)]
    base = root.resolve()
    files = (file for file in _files_below(path) if file.resolve().is_relative_to(base))
    prefix = target.rstrip("/")
    return [Copy(file, f"{prefix}/{file.relative_to(path).as_posix()}", file.stat().st_size) for file in files]


async def plan_download(source: str, root: Path, target: str) -> list[Copy]:
    """The objects that a key, or all keys below it, stand for, and where they go. NotFound where there are none."""
    if not source.endswith("/") and "/" in source:
        single = await _object(source)
        if single is not None:
            return [Copy(_local_file(root, target, source.rpartition("/")[2]), source, single)]
    prefix = source.rstrip("/") + "/"
    folder = await asyncio.to_thread(in_work_folder, root, target)
    copies = [
        Copy(_below(root, folder, key.removeprefix(prefix)), key, size)
        for key, size in await _listing(prefix)
        if not key.endswith("/")
    ]
    if not copies:
        raise NotFound(f"There is nothing at obs://{source}.")
    return copies


async def copy_up(copy: Copy, moved: Callable[[int], None]) -> None:
    """Send one file; the object appears whole. Conflict where the file changes meanwhile."""
    await send_file(copy.local, f"storage/objects/{quote(copy.key)}", moved)


async def send_file(path: Path, resource: str, moved: Callable[[int], None]) -> None:
    """PUT a file's content to `resource` (quoted, below /v1), piece by piece; `moved` hears of each piece's bytes."""
    answer = Answer()
    with await asyncio.to_thread(path.open, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        exchange = await open_exchange("PUT", resource, answer, length=size)
        try:
            async for piece in _pieces(file, size):
                await exchange.write(piece)
                moved(len(piece))
            exchange.end_request()
            await exchange.done()
        finally:
            exchange.close()
    if answer.status >= 400:
        raise refusal(answer.status, answer.body)


async def _pieces(file: BinaryIO, left: int) -> AsyncIterator[bytes]:
    while left:
        piece = await asyncio.to_thread(file.read, min(left, _PIECE_BYTES))
        if not piece:
            raise Conflict(f"{Path(file.name).name} was cut short while it was copied. Start the copy again.")
        left -= len(piece)
        yield piece


async def copy_down(copy: Copy, moved: Callable[[int], None]) -> None:
    """Fetch one object; the file appears whole, beside it nothing is left behind."""
    await asyncio.to_thread(copy.local.parent.mkdir, parents=True, exist_ok=True)
    partial = copy.local.with_name(f".{new_id('part')}")
    try:
        with _created(partial) as file:
            await _fetch_into(_Sink(file, moved), copy.key)
        await asyncio.to_thread(partial.replace, copy.local)
    finally:
        partial.unlink(missing_ok=True)


def _created(path: Path) -> BinaryIO:
    # not in a thread: one that is cancelled would create it after all
    return path.open("xb")


class _Sink:
    """Writes an answer to a file in large pieces, beside the event loop; keeps an error's body apart."""

    def __init__(self, file: BinaryIO, moved: Callable[[int], None]) -> None:
        self._file, self._moved, self._piece = file, moved, bytearray()
        self.error: Answer | None = None

    async def started(self, head: Head) -> None:
        if head.status != 200:
            self.error = Answer(head.status)

    async def received(self, chunk: bytes) -> None:
        if self.error is not None:
            await self.error.received(chunk)
            return
        self._piece += chunk
        if len(self._piece) >= _PIECE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        piece, self._piece = self._piece, bytearray()
        await asyncio.to_thread(self._file.write, piece)
        self._moved(len(piece))


async def _fetch_into(sink: _Sink, key: str) -> None:
    exchange = await open_exchange("GET", f"storage/objects/{quote(key)}", sink)
    try:
        exchange.end_request()
        await exchange.done()
        if sink.error is not None:
            raise refusal(sink.error.status, sink.error.body)
        await sink.flush()
    finally:
        exchange.close()


async def _object(key: str) -> int | None:
    """The size of one object, None where there is none of this very key."""
    head = _HeadOnly()
    exchange = await open_exchange("HEAD", f"storage/objects/{quote(key)}", head)
    try:
        exchange.end_request()
        answered = await exchange.done()
    finally:
        exchange.close()
    if answered.status == 404:
        return None
    if answered.status != 200:
        raise BackendFailure(f"The storage refused to show obs://{key} (status {answered.status}).")
    return int(answered.headers.get("Content-Length", "0"))


class _HeadOnly:
    async def started(self, head: Head) -> None:
        """Nothing to do: `done` gives the head."""

    async def received(self, chunk: bytes) -> None:
        """There is no body."""


async def _listing(prefix: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    marker = ""
    while True:
        query = {"prefix": prefix, "recursive": "true"} | ({"marker": marker} if marker else {})
        page = (await fetch("GET", f"storage/objects?{urlencode(query)}")).json()
        found += [(row["key"], row["size"]) for row in page["objects"] if not row.get("is_prefix")]
        marker = page.get("next") or ""
        if not marker:
            return found


def _files_below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names) if Path(place, name).is_file())


def _local_file(root: Path, target: str, name: str) -> Path:
    path = in_work_folder(root, target)
    return _below(root, path, name) if target.endswith("/") or not target or path.is_dir() else path


def _below(root: Path, folder: Path, name: str) -> Path:
    """`name`, which the storage gave, below `folder`; InvalidInput where it would lead elsewhere."""
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise InvalidInput(f"The object {name!r} has a name that cannot be a file here.")
    path = folder / name
    if not path.parent.resolve().is_relative_to(root.resolve()) or path.is_dir():
        raise InvalidInput(f"{name} cannot be written: it leads outside the work folder, or a folder is in its place.")
    return path
