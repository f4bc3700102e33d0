"""What every object store can do, from any thread. Sizes and offsets are bytes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import md5
from itertools import islice
from pathlib import Path

from jupyter_mlplat.storage.engine.failures import NoSuchObject, NoVersions, StoreError
from jupyter_mlplat.storage.object_urls import ObjectUrl

LISTED = 1000
VERSIONS = 100
PIECE = 8 << 20
PART = 8 << 20
MOST_PARTS = 9_000


@dataclass(frozen=True)
class ObjectFacts:
    """One object as listings and heads tell it; `tag` is the same as long as the content is."""

    key: str
    size: int
    modified_at: datetime | None
    tag: str = ""


@dataclass(frozen=True)
class Version:
    """One state of an object; a `deletion` is the moment in which it was deleted."""

    id: str
    modified_at: datetime | None
    size: int
    is_latest: bool
    is_deletion: bool


@dataclass(frozen=True)
class Gone:
    """An object that was deleted where versions are kept: `version` is its last state, of `size` bytes."""

    key: str
    size: int
    version: str
    deleted_at: datetime


@dataclass(frozen=True)
class ListedPage:
    """`folders` are common prefixes and end with /; `next` leads to the following page."""

    objects: list[ObjectFacts]
    folders: list[str]
    next: str | None = None


class Upload(ABC):
    """One object being written piece by piece: nobody sees it before `finish`, and never after `abort`."""

    @abstractmethod
    def write(self, piece: bytes) -> None: ...

    @abstractmethod
    def finish(self) -> None: ...

    @abstractmethod
    def abort(self) -> None: ...


def part_of(size: int) -> int:
    """The size of the parts of an upload of `size` bytes: at most 10,000 are allowed."""
    wanted = max(PART, -(-size // MOST_PARTS))
    return -(-wanted // (1 << 20)) << 20


def tag_of_parts(hashes: Sequence[bytes]) -> str:
    """The tag of an object that was made of parts with these MD5s."""
    return f"{md5(b''.join(hashes), usedforsecurity=False).hexdigest()}-{len(hashes)}"


class PartedUploads(ABC):
    """Uploads in parts, numbered from 1, that go on in another process by their id. All parts but the last have one
    size, at least 5 MiB; nobody sees the object before `finish`."""

    @abstractmethod
    def begin(self, url: ObjectUrl) -> str:
        """The id of a new upload."""

    @abstractmethod
    def send(self, url: ObjectUrl, upload_id: str, number: int, data: bytes) -> str:
        """One part; its tag, which `finish` wants. NoSuchUpload where the upload is over."""

    @abstractmethod
    def finish(self, url: ObjectUrl, upload_id: str, tags: Mapping[int, str]) -> None:
        """Put the parts together. NoSuchUpload where the upload is over, and the object is not what they make."""

    @abstractmethod
    def give_up(self, url: ObjectUrl, upload_id: str) -> None:
        """Nothing of it stays; one that is over already is no error."""


class ObjectStore(ABC):
    """Raises what `failures` draws: NoSuchObject, NoSuchBucket, Refused, StoreUnreachable."""

    keeps_folders = True
    """Whether an object whose key ends with / can stand for an empty folder."""

    @property
    def parts(self) -> PartedUploads | None:
        """Where large objects can be written in parts that outlive a process."""
        return None

    @abstractmethod
    def buckets(self) -> list[str]: ...

    @abstractmethod
    def make_bucket(self, bucket: str) -> None:
        """ObjectExists where there is one of this name."""

    @abstractmethod
    def remove_bucket(self, bucket: str) -> None:
        """Only an empty one."""

    @abstractmethod
    def head(self, url: ObjectUrl) -> ObjectFacts: ...

    @abstractmethod
    def page(self, url: ObjectUrl, *, flat: bool, after: str | None = None, limit: int = LISTED) -> ListedPage:
        """What begins with the key of `url`, in order; unless `flat`, cut at the next / after it."""

    @abstractmethod
    def read(self, url: ObjectUrl, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from `start` up to `end`, which may be beyond the last one."""

    def stream(self, url: ObjectUrl, start: int, end: int, tag: str = "") -> Iterator[bytes]:
        """The same in pieces as they arrive; Changed where the object's tag is another one, as far as that is seen."""
        yield self.read(url, start, end)

    @abstractmethod
    def write(self, url: ObjectUrl, data: bytes, *, create: bool = False) -> None:
        """One object in one piece; with `create` ObjectExists where there is one."""

    @abstractmethod
    def begin(self, url: ObjectUrl, *, keep: bool = False) -> Upload:
        """Write an object of unknown size; with `keep` behind what is there."""

    @abstractmethod
    def upload(self, path: Path, url: ObjectUrl, moved: Callable[[int], None] = lambda _: None) -> None:
        """A file to one object that appears whole; `moved` hears of bytes that have gone."""

    @abstractmethod
    def download(self, url: ObjectUrl, path: Path, facts: ObjectFacts | None = None) -> None:
        """One object to a file that appears whole; `facts` spare a question where a listing told them."""

    @abstractmethod
    def copy(self, source: ObjectUrl, target: ObjectUrl, facts: ObjectFacts | None = None) -> None:
        """Within the store, without moving the bytes over this machine where the store can."""

    @abstractmethod
    def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Those that are not there count as deleted."""

    def remove(self, url: ObjectUrl) -> None:
        """One object. NoSuchObject where there is none."""
        self.head(url)
        self.delete(url.bucket, [url.key])

    def delete_below(self, folder: ObjectUrl) -> int:
        """All objects below a folder; how many those were."""
        deleted, keys = 0, (one.key for one in self.below(folder))
        while some := list(islice(keys, LISTED)):
            self.delete(folder.bucket, some)
            deleted += len(some)
        return deleted

    def link(self, url: ObjectUrl, seconds: int) -> tuple[str, datetime]:
        """An address from which anybody can get the object, and when it ends; no later than the keys do."""
        raise StoreError(f"A link to {url} cannot be made: its store gives none. Copy the object to an S3 endpoint.")

    def versions(self, url: ObjectUrl) -> list[Version]:
        """The newest VERSIONS of an object, the latest first."""
        raise NoVersions(f"The store of {url} keeps no versions.")

    def gone(self, folder: ObjectUrl) -> Iterator[Gone]:
        """The deleted objects below a folder, in the order of their keys."""
        raise NoVersions(f"The store of {folder} keeps no versions.")

    def restore(self, url: ObjectUrl, version: str) -> None:
        """Make a version the latest one again; those after it stay."""
        raise NoVersions(f"The store of {url} keeps no versions.")

    def pages(self, url: ObjectUrl, *, flat: bool) -> Iterator[ListedPage]:
        after: str | None = None
        while True:
            page = self.page(url, flat=flat, after=after)
            yield page
            after = page.next
            if after is None:
                return

    def below(self, folder: ObjectUrl) -> Iterator[ObjectFacts]:
        """Every object below a folder, at any depth, also those that stand for empty folders."""
        for page in _ahead(self.pages(folder.folder, flat=True)):
            yield from page.objects

    def is_object(self, url: ObjectUrl) -> bool:
        if url.is_folder:
            return False
        try:
            self.head(url)
        except NoSuchObject:
            return False
        return True

    def is_folder(self, url: ObjectUrl) -> bool:
        """A bucket, or something begins with the key and a /."""
        try:
            page = self.page(url.folder, flat=True, limit=1)
        except NoSuchObject:
            return False
        return not url.key or bool(page.objects)

    def pieces(self, url: ObjectUrl) -> Iterator[bytes]:
        """The whole object, a few MiB at a time."""
        size = self.head(url).size
        for start in range(0, size, PIECE):
            yield self.read(url, start, min(size, start + PIECE))


@contextmanager
def writing(store: ObjectStore, url: ObjectUrl, *, keep: bool = False) -> Iterator[Upload]:
    """An upload that is finished at the end of the block and aborted where the block fails."""
    upload = store.begin(url, keep=keep)
    try:
        yield upload
    except BaseException:
        upload.abort()
        raise
    upload.finish()


def _ahead(pages: Iterator[ListedPage]) -> Iterator[ListedPage]:
    """The same; while one is used, the next is asked for."""
    page = next(pages, None)
    if page is None or page.next is None:
        yield from [page] if page else []
        return
    with ThreadPoolExecutor(1) as pool:
        while page is not None:
            coming = pool.submit(next, pages, None)
            yield page
            page = coming.result()


def copy_between(
    here: ObjectStore, source: ObjectUrl, there: ObjectStore, target: ObjectUrl, facts: ObjectFacts | None = None
) -> None:
    """One object: inside its store, else over this machine, a few MiB at a time."""
    if here is there:
        here.copy(source, target, facts)
        return
    with writing(there, target) as upload:
        for piece in here.pieces(source):
            upload.write(piece)
