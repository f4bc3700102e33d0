"""One large file, moved in parts with a journal: whoever comes after a kill goes on from the parts that arrived.

A journal's first line says what is moved, and for an upload its id, written down before the first part is sent; each
further line is a part that has arrived. A line that a kill cut short does not count.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from jupyter_mlplat.errors import Conflict
from jupyter_mlplat.storage.engine.base import ObjectStore, PartedUploads, part_of, tag_of_parts
from jupyter_mlplat.storage.engine.failures import Changed, NoSuchObject, NoSuchUpload
from jupyter_mlplat.storage.engine.landing import put_all
from jupyter_mlplat.storage.engine.parallel import in_parallel
from jupyter_mlplat.storage.object_urls import ObjectUrl

Moved = Callable[[int], None]
"""Hears of bytes that have arrived."""


Part = tuple[int, int, int]
"""Number (from 1), start and end."""


class Source(Protocol):
    """Where the bytes of a large object come from."""

    def read(self, start: int, end: int) -> bytes:
        """From an offset up to another."""

    def mark(self) -> str:
        """The same as long as the content is."""


@dataclass(frozen=True)
class Large:
    """What is moved: `size` in bytes, `mark` is the same as long as the source's content is."""

    size: int
    mark: str
    part: int

    def ranges(self) -> Iterator[Part]:
        for number, start in enumerate(range(0, self.size, self.part), 1):
            yield number, start, min(self.size, start + self.part)


class Journal:
    """The file of one large file that is under way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._file = -1

    def read(self) -> tuple[dict[str, Any], dict[int, str]]:
        """What is moved and the parts that have arrived with their tags; both empty where there is no journal."""
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        except FileNotFoundError:
            return {}, {}
        if not lines:
            return {}, {}
        arrived = dict(json.loads(line) for line in lines[1:] if line)
        return json.loads(lines[0]), {int(number): tag for number, tag in arrived.items()}

    def begin(self, facts: dict[str, Any]) -> None:
        """Write down what is moved; it is on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._open(os.O_TRUNC)
        os.write(self._file, json.dumps(facts).encode() + b"\n")
        os.fsync(self._file)

    def go_on(self) -> None:
        """Append behind the last line that is whole."""
        content = self.path.read_bytes()
        self._open(0)
        os.ftruncate(self._file, content.rfind(b"\n") + 1)

    def arrived(self, number: int, tag: str) -> None:
        with self._lock:
            os.write(self._file, json.dumps([number, tag]).encode() + b"\n")

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def forget(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)

    def _open(self, flags: int) -> None:
        self.close()
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags, 0o600)


def send_large(
    store: ObjectStore, url: ObjectUrl, large: Large, source: Source, journal: Journal, moved: Moved
) -> None:
    """Write an object in parts. `moved` hears of those that arrived earlier too.

    Changed where the source is another one at the end, NoSuchUpload where the upload expired: nothing of it stays.
    """
    parts = store.parts
    assert parts is not None
    try:
        upload_id, arrived = _upload(parts, url, large, journal)
        moved(sum(end - start for number, start, end in large.ranges() if number in arrived))
        _send_missing(parts, url, upload_id, large, source.read, journal, arrived, moved)
        if source.mark() != large.mark:
            raise Changed(f"{url.name} was written to while it was copied. Try again.")
        parts.finish(url, upload_id, arrived)
    except (Changed, NoSuchUpload):
        give_up(journal.read()[0], lambda _: parts)
        journal.forget()
        raise
    journal.forget()


def _upload(parts: PartedUploads, url: ObjectUrl, large: Large, journal: Journal) -> tuple[str, dict[int, str]]:
    facts, arrived = journal.read()
    same = {"url": str(url), "size": large.size, "mark": large.mark, "part": large.part}
    if facts and {name: facts.get(name) for name in same} == same:
        journal.go_on()
        return facts["upload_id"], arrived
    give_up(facts, lambda _: parts)
    upload_id = parts.begin(url)
    journal.begin(same | {"upload_id": upload_id})
    return upload_id, {}


def _send_missing(
    parts: PartedUploads,
    url: ObjectUrl,
    upload_id: str,
    large: Large,
    read: Callable[[int, int], bytes],
    journal: Journal,
    arrived: dict[int, str],
    moved: Moved,
) -> None:
    def one(part: Part) -> None:
        number, start, end = part
        data = read(start, end)
        if len(data) != end - start:
            raise Changed(f"{url.name} was cut short while it was copied. Try again.")
        tag = parts.send(url, upload_id, number, data)
        journal.arrived(number, tag)
        arrived[number] = tag
        moved(end - start)

    in_parallel(one, [part for part in large.ranges() if part[0] not in arrived])


def is_same(store: ObjectStore, url: ObjectUrl, path: Path) -> bool:
    """Whether an object is there that has the content of a file, as a transfer has sent it: by the hashes in its tag.

    False also where a store's tags are no hashes.
    """
    try:
        facts = store.head(url)
    except NoSuchObject:
        return False
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if facts.size != size:
            return False
        part = part_of(size)
        hashes = [_md5(file.read(part)) for _ in range(max(1, -(-size // part)))]
    tag = facts.tag.strip('"')
    return tag == tag_of_parts(hashes) or (len(hashes) == 1 and tag == hashes[0].hex())


def _md5(data: bytes) -> bytes:
    return md5(data, usedforsecurity=False).digest()


def fetch_large(
    store: ObjectStore, url: ObjectUrl, large: Large, partial: Path, journal: Journal, moved: Moved
) -> None:
    """Read an object into the file `partial`, in ranges. Changed where it is another one meanwhile."""
    facts, arrived = journal.read()
    same = {"partial": str(partial), "size": large.size, "mark": large.mark, "part": large.part}
    if facts == same and partial.exists():
        journal.go_on()
    else:
        arrived = {}
        partial.parent.mkdir(parents=True, exist_ok=True)
        journal.begin(same)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        moved(sum(end - start for number, start, end in large.ranges() if number in arrived))
        _fetch_missing(store, url, large, descriptor, journal, arrived, moved)
        os.ftruncate(descriptor, large.size)
    finally:
        os.close(descriptor)


def _fetch_missing(
    store: ObjectStore,
    url: ObjectUrl,
    large: Large,
    descriptor: int,
    journal: Journal,
    arrived: dict[int, str],
    moved: Moved,
) -> None:
    def one(part: Part) -> None:
        number, start, end = part
        offset = start
        for piece in store.stream(url, start, end, large.mark):
            put_all(descriptor, piece, offset)
            offset += len(piece)
            moved(len(piece))
        if offset != end:
            raise Conflict(f"{url} was cut short while it was copied. Try again.")
        journal.arrived(number, "")

    in_parallel(one, [part for part in large.ranges() if part[0] not in arrived])


def give_up(facts: dict[str, Any], parts_for: Callable[[ObjectUrl], PartedUploads | None]) -> None:
    """Clear away what a journal tells of: an upload at its endpoint, or a file that is not whole, and a folder that
    comes out of it."""
    if "upload_id" in facts:
        url = ObjectUrl.parse(facts["url"])
        parts = parts_for(url)
        if parts is not None:
            parts.give_up(url, facts["upload_id"])
    elif "partial" in facts:
        Path(facts["partial"]).unlink(missing_ok=True)
        shutil.rmtree(f"{facts['partial']}.d", ignore_errors=True)
