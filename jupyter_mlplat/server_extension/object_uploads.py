"""`mlplat/objects/upload`: large files from browsers, part by part.

One that broke off goes on from the parts that have arrived, also when the page was loaded anew in between: whoever
begins it again is told which those are.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from tornado.web import authenticated

from jupyter_mlplat.errors import Conflict, InvalidInput, MlplatError, NotFound
from jupyter_mlplat.server_extension.objects import StoreHandler, store_of
from jupyter_mlplat.storage.engine.base import ObjectStore, part_of
from jupyter_mlplat.storage.engine.failures import NoSuchUpload
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.storage.transfers.parts import Journal, Large, give_up

KEPT_SECONDS = 7 * 86400
"""After so long without a part an upload is given up."""

_MOST_BYTES = 5 << 40
_lock = Lock()


class BrowserUpload:
    """The upload of one object; `folder` is where journals lie."""

    def __init__(self, folder: Path, endpoint: str, url: ObjectUrl) -> None:
        name = sha256(f"{endpoint}\0{url}".encode()).hexdigest()[:16]
        self._url, self._endpoint, self._journal = url, endpoint, Journal(folder / name)

    def begin(self, store: ObjectStore, size: int, mark: str) -> dict[str, Any]:
        """Go on with what has arrived of the same file, or begin: the size of the parts, and which are there."""
        if store.parts is None:
            raise Conflict(f"The store of {self._url} takes files only whole.")
        part = part_of(size)
        wanted = {"url": str(self._url), "endpoint": self._endpoint, "size": size, "mark": mark, "part": part}
        with _lock:
            facts, arrived = self._journal.read()
            if {name: facts.get(name) for name in wanted} != wanted:
                give_up(facts, lambda _: store.parts)
                with self._closing():
                    self._journal.begin(wanted | {"upload_id": store.parts.begin(self._url)})
                arrived = {}
        return {"part": part, "arrived": sorted(arrived)}

    def send(self, store: ObjectStore, number: int, data: bytes) -> None:
        """One part. NotFound where the upload is not, or no longer, under way."""
        facts, large = self._known()
        end = next((end - start for one, start, end in large.ranges() if one == number), None)
        if end != len(data):
            raise InvalidInput(f"There is no part {number} of {len(data)} bytes in this upload.")
        assert store.parts is not None
        with self._forgotten_if_over():
            tag = store.parts.send(self._url, facts["upload_id"], number, data)
        with _lock, self._closing():
            self._journal.go_on()
            self._journal.arrived(number, tag)

    def finish(self, store: ObjectStore) -> None:
        """Put the parts together. Conflict where some have not arrived."""
        facts, large = self._known()
        tags = self._journal.read()[1]
        missing = sum(number not in tags for number, _, _ in large.ranges())
        if missing:
            raise Conflict(f"{missing} parts have not arrived yet. Send them first.")
        assert store.parts is not None
        with self._forgotten_if_over():
            store.parts.finish(self._url, facts["upload_id"], tags)
        self._journal.forget()

    def give_up(self, store: ObjectStore) -> None:
        """Nothing of it stays."""
        give_up(self._journal.read()[0], lambda _: store.parts)
        self._journal.forget()

    def _known(self) -> tuple[dict[str, Any], Large]:
        facts, _ = self._journal.read()
        if not facts:
            raise NotFound(f"No upload of {self._url} is under way. Begin it again.")
        return facts, Large(facts["size"], facts["mark"], facts["part"])

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._journal.close()

    @contextmanager
    def _forgotten_if_over(self) -> Iterator[None]:
        try:
            yield
        except NoSuchUpload:
            self._journal.forget()
            raise


def sweep(folder: Path) -> None:
    """Give up what nobody has gone on with. What an endpoint does not let go stays in its journal."""
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError, MlplatError):
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                facts, _ = Journal(path).read()
                give_up(facts, lambda url, known=facts: store_of(known["endpoint"], url.bucket).parts)  # type: ignore[misc]
                path.unlink()


class ObjectUploadHandler(StoreHandler):
    """`?endpoint=&path=`: POST `{size, mark}` begins or goes on, POST `{}` ends it, DELETE gives it up; with PUT and
    `number` a part is sent."""

    @authenticated
    async def post(self) -> None:
        body = self.body_object()
        if not body:
            await self._on_store(lambda store, _: self._upload().finish(store))
            self.answer({}, 201)
            return
        size, mark = body.get("size"), body.get("mark")
        if not isinstance(size, int) or not isinstance(mark, str) or not 0 < size <= _MOST_BYTES or len(mark) > 200:
            raise InvalidInput("Say the size of the file in bytes, and a mark that changes with its content.")
        await asyncio.to_thread(sweep, self._uploads)
        self.answer(await self._on_store(lambda store, _: self._upload().begin(store, size, mark)))

    @authenticated
    async def put(self) -> None:
        number, data = self._number("number", 0, 1, 10_000), self.request.body
        await self._on_store(lambda store, _: self._upload().send(store, number, data))
        self.answer({})

    @authenticated
    async def delete(self) -> None:
        await self._on_store(lambda store, _: self._upload().give_up(store))
        self.answer({})

    @property
    def _uploads(self) -> Path:
        return self.work_folder / ".mlplat" / "uploads"

    def _upload(self) -> BrowserUpload:
        return BrowserUpload(self._uploads, *self._asked())
