"""Object storage."""

import os
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.sdk.copying import Copy, Planner
from jupyter_mlplat.sdk.wire import Wire
from jupyter_mlplat.storage.models import Deleted, Endpoint, Listing, ObjectInfo
from jupyter_mlplat.storage.object_urls import ObjectUrl

CHUNK = 1 << 20
LISTED = 1000

EndpointList = list[Endpoint]
CopyList = list[Copy]
Moved = Callable[[int], None]
"""Called with the bytes moved since the last call."""


class Storage:
    """`client.storage`. Objects are named by obs://BUCKET/KEY (or s3://BUCKET/KEY)."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def endpoints(self) -> EndpointList:
        """The caller's endpoints with their buckets."""
        return self._wire.call("GET", "/storage/endpoints", list[Endpoint])

    def list(self, url: str, *, recursive: bool = False) -> Iterator[ObjectInfo]:
        """What lies below a path: objects, and unless `recursive` the folders (common prefixes) as such."""
        return self._listed(ObjectUrl.parse(url).prefix, recursive)

    def stat(self, url: str) -> ObjectInfo:
        """Size and time of one object. NotFound where there is none."""
        return self._stat(ObjectUrl.parse(url))

    def upload(self, path: str | Path, url: str, *, moved: Moved | None = None) -> ObjectInfo:
        """One file to one object, replacing what is there once it is complete."""
        return self._upload(Path(path), ObjectUrl.parse(url), moved)

    def download(self, url: str, path: str | Path, *, moved: Moved | None = None) -> Path:
        """One object to one file, replacing what is there once it is complete."""
        return self._download(ObjectUrl.parse(url), Path(path), moved)

    def plan(self, source: str, target: str, *, recursive: bool = False) -> CopyList:
        """What `copy` would do; see `jupyter_mlplat.sdk.copying`."""
        return Planner(self._stat, lambda url: self._listed(url.prefix, True)).plan(source, target, recursive)

    def copy(self, source: str, target: str, *, recursive: bool = False, moved: Moved | None = None) -> CopyList:
        """Copy between the two paths, of which at least one is an object's; what was copied."""
        copies = self.plan(source, target, recursive=recursive)
        for item in copies:
            self.carry_out(item, moved=moved)
        return copies

    def carry_out(self, item: Copy, *, moved: Moved | None = None) -> None:
        """One copy of a plan."""
        if isinstance(item.source, Path):
            assert isinstance(item.target, ObjectUrl)
            self._upload(item.source, item.target, moved)
        elif isinstance(item.target, Path):
            self._download(item.source, item.target, moved)
        else:
            self._transfer(item.source, item.target, moved)

    def remove(self, url: str, *, recursive: bool = False) -> int:
        """Delete an object, or with `recursive` all below a path; how many objects that were."""
        place = ObjectUrl.parse(url)
        if place.is_folder and not recursive:
            raise InvalidInput(f"{place} is a folder. Delete it with all below it by -r.")
        if recursive:
            return self._remove_below(place)
        return self._wire.call("DELETE", f"/storage/objects/{place.path}", Deleted).deleted

    def make_bucket(self, bucket: str) -> None:
        self._wire.send("PUT", f"/storage/buckets/{quote(bucket, safe='')}")

    def remove_bucket(self, bucket: str) -> None:
        """Remove an empty bucket."""
        self._wire.send("DELETE", f"/storage/buckets/{quote(bucket, safe='')}")

    def _listed(self, prefix: str, recursive: bool) -> Iterator[ObjectInfo]:
        marker: str | None = None
        while True:
            asked = {"prefix": prefix, "recursive": recursive, "limit": LISTED, "marker": marker}
            page = self._wire.call("GET", "/storage/objects", Listing, params=asked)
            yield from page.objects
            marker = page.next
            if marker is None:
                return

    def _stat(self, place: ObjectUrl) -> ObjectInfo:
        try:
            headers = self._wire.send("HEAD", f"/storage/objects/{place.path}").headers
        except NotFound as error:
            raise NotFound(f"There is no object {place}.") from error
        modified = headers.get("last-modified")
        return ObjectInfo(
            key=place.prefix,
            size=int(headers.get("content-length", 0)),
            modified_at=parsedate_to_datetime(modified) if modified else None,
        )

    def _upload(self, path: Path, place: ObjectUrl, moved: Moved | None) -> ObjectInfo:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            pieces = iter(lambda: file.read(CHUNK), b"")
            return self._put(place, _counted(pieces, moved), size)

    def _download(self, place: ObjectUrl, path: Path, moved: Moved | None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with self._wire.stream("GET", f"/storage/objects/{place.path}") as response, partial.open("wb") as file:
                for piece in _counted(response.iter_bytes(CHUNK), moved):
                    file.write(piece)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def _transfer(self, source: ObjectUrl, target: ObjectUrl, moved: Moved | None) -> None:
        with self._wire.stream("GET", f"/storage/objects/{source.path}") as response:
            size = int(response.headers["content-length"])
            self._put(target, _counted(response.iter_bytes(CHUNK), moved), size)

    def _put(self, place: ObjectUrl, pieces: Iterator[bytes], size: int) -> ObjectInfo:
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        response = self._wire.send("PUT", f"/storage/objects/{place.path}", content=pieces, headers=headers)
        return self._wire.parsed(response, ObjectInfo)

    def _remove_below(self, place: ObjectUrl) -> int:
        asked = {"recursive": True}
        return self._wire.call("DELETE", f"/storage/objects/{place.folder.path}", Deleted, params=asked).deleted


def _counted(pieces: Iterator[bytes], moved: Moved | None) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        if moved is not None:
            moved(len(piece))
