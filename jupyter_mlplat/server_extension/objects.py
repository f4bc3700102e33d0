"""`mlplat/objects…`: the objects of all endpoints of the instance's owner, for the storage panel.

The stores are asked in threads; keys for S3 endpoints come from the platform and end, nothing of them reaches a browser
but in a link that was asked for.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from tornado.http1connection import HTTP1Connection
from tornado.web import authenticated, stream_request_body

from jupyter_mlplat.errors import InvalidInput, MlplatError
from jupyter_mlplat.server_extension import object_work
from jupyter_mlplat.server_extension.base import MlplatHandler
from jupyter_mlplat.server_extension.platform import ANY_SIZE
from jupyter_mlplat.storage.engine import current
from jupyter_mlplat.storage.engine.base import ObjectStore, Upload
from jupyter_mlplat.storage.models import LOCAL
from jupyter_mlplat.storage.object_urls import ObjectUrl

LISTED = 200
_MOST_LISTED = 1000
_PIECE = 1 << 20
_UNTRUSTED = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
"""Lab and its objects share an origin, so what is in an object must not run in it."""

_LINK_SECONDS = (60, 7 * 86400)


def store_of(endpoint: str | None, bucket: str) -> ObjectStore:
    """That of an endpoint, else the one that obs://BUCKET means."""
    return current.places().store_at(endpoint) if endpoint else current.places().store_for(bucket)


def _url(path: str) -> ObjectUrl:
    url = ObjectUrl.of_key(path)
    if not url.bucket:
        raise InvalidInput("Name a bucket and a key in it: BUCKET/KEY.")
    return url


class StoreHandler(MlplatHandler):
    """What requests about the objects of a store have in common."""

    def _query(self, name: str, default: str = "") -> str:
        """An argument as it was sent: tornado would make spaces of the control characters that keys may have."""
        found = parse_qs(self.request.query, keep_blank_values=True, errors="strict").get(name)
        return found[-1] if found else default

    def _asked(self) -> tuple[str, ObjectUrl]:
        """The endpoint (empty: by the bucket) and the object or folder of a request."""
        return self._query("endpoint"), _url(self._query("path"))

    def _number(self, name: str, default: int, least: int, most: int) -> int:
        text = self._query(name, str(default))
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise InvalidInput(f"{name} must be a number from {least} to {most}.")
        return int(text)

    async def _on_store(self, work: Any, *arguments: Any, **named: Any) -> Any:
        """`work(store, url, …)` in a thread."""
        endpoint, url = self._asked()

        def do() -> Any:
            return work(store_of(endpoint, url.bucket), url, *arguments, **named)

        return await asyncio.to_thread(do)


class ObjectsHandler(StoreHandler):
    """What is in a folder; with DELETE an object, or a folder with all that is in it."""

    @authenticated
    async def get(self) -> None:
        """`?path=BUCKET/FOLDER/&search=&after=&limit=`: one page, and `next` for the following one."""
        search, after = self._query("search"), self._query("after") or None
        limit = self._number("limit", LISTED, 1, _MOST_LISTED)
        self.answer(await self._on_store(object_work.page, search=search, after=after, limit=limit))

    @authenticated
    async def delete(self) -> None:
        self.answer({"deleted": await self._on_store(object_work.delete)})


class ObjectFactsHandler(StoreHandler):
    @authenticated
    async def get(self) -> None:
        """Size, time and tag of one object."""
        self.answer(await self._on_store(object_work.facts))


class ObjectCountHandler(StoreHandler):
    @authenticated
    async def get(self) -> None:
        """How many objects lie below a folder, and their bytes."""
        self.answer(asdict(await self._on_store(object_work.count)))


class ObjectLinkHandler(StoreHandler):
    @authenticated
    async def post(self) -> None:
        """`{seconds}`: an address from which anybody can get the object until `expires_at`."""
        seconds = self.body_object().get("seconds")
        if not isinstance(seconds, int) or not _LINK_SECONDS[0] <= seconds <= _LINK_SECONDS[1]:
            raise InvalidInput("A link can be good for a minute up to seven days.")
        link, ends = await self._on_store(lambda store, url: store.link(url, seconds))
        self.answer({"url": link, "expires_at": ends.isoformat()})


class ObjectVersionsHandler(StoreHandler):
    """The versions of an object; with POST `{version}` one of them is made the latest again."""

    @authenticated
    async def get(self) -> None:
        self.answer({"versions": await self._on_store(object_work.versions)})

    @authenticated
    async def post(self) -> None:
        version = self.body_object().get("version")
        if not isinstance(version, str) or not version:
            raise InvalidInput("Say which version is to be restored.")
        await self._on_store(lambda store, url: store.restore(url, version))
        self.answer({})


class GoneObjectsHandler(StoreHandler):
    @authenticated
    async def get(self) -> None:
        """What was deleted below a folder, where versions are kept."""
        self.answer(await self._on_store(object_work.gone))


class ObjectBucketHandler(StoreHandler):
    """`?endpoint=&path=BUCKET`: a bucket is made, or an empty one removed."""

    @authenticated
    async def put(self) -> None:
        await self._on_store(lambda store, url: store.make_bucket(url.bucket))
        self.answer({}, 201)

    @authenticated
    async def delete(self) -> None:
        await self._on_store(lambda store, url: store.remove_bucket(url.bucket))
        self.answer({})


class ObjectBucketsHandler(StoreHandler):
    @authenticated
    async def get(self) -> None:
        """`?endpoint=`: the buckets that it has now."""
        store = await asyncio.to_thread(current.places().store_at, self._query("endpoint", LOCAL))
        self.answer({"buckets": await asyncio.to_thread(store.buckets)})


class ObjectCopyHandler(MlplatHandler):
    @authenticated
    async def post(self) -> None:
        """`{source, target, endpoint?, target_endpoint?, move}`; both BUCKET/KEY, folders end with /."""
        body = self.body_object()
        source, target = body.get("source"), body.get("target")
        if not isinstance(source, str) or not isinstance(target, str):
            raise InvalidInput("A copy needs a source and a target.")
        places = (body.get("endpoint"), body.get("target_endpoint"))
        work = partial(_copied, source, target, *places, move=body.get("move") is True)
        self.answer({"copied": await asyncio.to_thread(work)})


@stream_request_body
class ObjectContentHandler(StoreHandler):
    """The bytes of an object: from `start` up to `end`, or all of them as a file to save; with PUT its new bytes."""

    _upload: Upload | None = None
    _refusal: MlplatError | None = None

    async def prepare(self) -> None:  # type: ignore[override]
        await super().prepare()
        if self.request.method == "PUT":
            connection = self.request.connection
            assert isinstance(connection, HTTP1Connection)
            connection.set_max_body_size(ANY_SIZE)
            await self._try(self._begin)

    async def data_received(self, chunk: bytes) -> None:
        if self._upload is not None:
            await self._try(self._upload.write, chunk)

    @authenticated
    async def put(self) -> None:
        """The object appears once all of it has arrived."""
        if self._upload is not None:
            await self._try(self._upload.finish)
        if self._refusal is not None:
            raise self._refusal
        self._upload = None
        self.answer({}, 201)

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._give_up()

    def _begin(self) -> None:
        endpoint, url = self._asked()
        if not url.key or url.is_folder:
            raise InvalidInput("An object has a name that does not end with /.")
        self._upload = store_of(endpoint, url.bucket).begin(url)

    async def _try(self, work: Callable[..., None], *arguments: bytes) -> None:
        """The first failure is said once the body was read: a client that is still sending would not see it."""
        try:
            await asyncio.to_thread(work, *arguments)
        except MlplatError as error:
            self._refusal = error
            self._give_up()

    def _give_up(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            abort = asyncio.get_running_loop().run_in_executor(None, upload.abort)
            abort.add_done_callback(self._given_up)

    def _given_up(self, abort: "asyncio.Future[None]") -> None:
        if error := abort.exception():
            self.log.warning("mlplat: what was sent of an object could not be taken away: %s", error)

    @authenticated
    async def get(self) -> None:
        endpoint, url = self._asked()
        store = await asyncio.to_thread(store_of, endpoint, url.bucket)
        known = await asyncio.to_thread(store.head, url)
        start = self._number("start", 0, 0, 1 << 50)
        end = min(known.size, self._number("end", known.size, 0, 1 << 50))
        for name, value in _UNTRUSTED.items():
            self.set_header(name, value)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Length", max(0, end - start))
        for at in range(start, end, _PIECE):
            self.write(await asyncio.to_thread(store.read, url, at, min(end, at + _PIECE)))
            await self.flush()


def _copied(source: str, target: str, endpoint: str | None, target_endpoint: str | None, *, move: bool) -> int:
    origin, to = _url(source), _url(target)
    here, there = store_of(endpoint, origin.bucket), store_of(target_endpoint, to.bucket)
    return object_work.copy(here, origin, there, to, move=move)
