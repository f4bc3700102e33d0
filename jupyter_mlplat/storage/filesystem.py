"""obs:// for fsspec, and with it for pandas, pyarrow, dask and torch.

It is registered for `obs` by the package's entry point. `fsspec.register_implementation("s3", ObjectFileSystem,
clobber=True)` puts it behind s3:// too. Folders are what keys have in common up to a /: making one does nothing.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from jupyter_mlplat.storage.engine import current
from jupyter_mlplat.storage.engine.base import ObjectFacts, ObjectStore, Upload, copy_between
from jupyter_mlplat.storage.engine.connection import connection
from jupyter_mlplat.storage.engine.failures import IsAFolder, NoSuchObject
from jupyter_mlplat.storage.object_urls import ObjectUrl

Info = dict[str, Any]
BLOCK = 8 << 20


class ObjectFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Paths are BUCKET/KEY. Without options it goes where `jupyter_mlplat.mox` goes."""

    protocol = ("obs", "s3")
    root_marker = ""

    def __init__(
        self,
        key: str | None = None,
        secret: str | None = None,
        endpoint_url: str | None = None,
        token: str | None = None,
        region: str | None = None,
        verify: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._connection = None
        if key or secret or endpoint_url:
            self._connection = connection(key, secret, endpoint_url, token=token, region=region, verify=verify)

    def store(self, bucket: str) -> ObjectStore:
        return current.store_of(self._connection) if self._connection else current.store_for(bucket)

    def buckets(self) -> list[str]:
        return current.store_of(self._connection).buckets() if self._connection else current.buckets()

    def info(self, path: str, **_: Any) -> Info:
        url = self._url(path)
        if url.key:
            try:
                return _file(url.bucket, self.store(url.bucket).head(url))
            except NoSuchObject as error:
                missing = error
        else:
            missing = NoSuchObject(f"There is no bucket {url.bucket}.")
        if not url.bucket or self.store(url.bucket).is_folder(url):
            return _folder(url.prefix.rstrip("/"))
        raise missing

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        url = self._url(path)
        found = self._entries(url) if url.bucket else [_folder(name) for name in self.buckets()]
        if not found and url.bucket and self.info(path)["type"] == "file":
            found = [self.info(path)]
        return found if detail else [entry["name"] for entry in found]

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: Any
    ) -> Any:
        """All objects below a path, in order; with one listing unless a depth is given."""
        url = self._url(path)
        if maxdepth is not None or not url.bucket:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail)
        found = self._below(url, withdirs=withdirs)
        if not found and self.store(url.bucket).is_object(url):
            found = {url.prefix: self.info(path)}
        return dict(sorted(found.items())) if detail else sorted(found)

    def _entries(self, url: ObjectUrl) -> list[Info]:
        found: list[Info] = []
        for page in self.store(url.bucket).pages(url.folder, flat=False):
            found += [_folder(f"{url.bucket}/{name.rstrip('/')}") for name in page.folders]
            found += [_file(url.bucket, facts) for facts in page.objects if facts.key != url.folder.key]
        return found

    def _below(self, url: ObjectUrl, *, withdirs: bool) -> dict[str, Info]:
        found: dict[str, Info] = {}
        for facts in self.store(url.bucket).below(url):
            if withdirs:
                for name in _folders_of(facts.key, url):
                    found.setdefault(f"{url.bucket}/{name}", _folder(f"{url.bucket}/{name}"))
            if not facts.key.endswith("/"):
                found[f"{url.bucket}/{facts.key}"] = _file(url.bucket, facts)
        return found

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        url = self._url(path)
        if (start or 0) < 0 or (end or 0) < 0:
            size = self.store(url.bucket).head(url).size
            start, end = slice(start, end).indices(size)[:2]
        return self.store(url.bucket).read(url, start or 0, end)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        url = self._url(path)
        self.store(url.bucket).write(url, bytes(value), create=mode == "create")

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        source, target = self._url(path1), self._url(path2)
        copy_between(self.store(source.bucket), source, self.store(target.bucket), target)

    def get_file(self, rpath: str, lpath: Any, **options: Any) -> None:
        if isinstance(lpath, str | Path):
            self._get(self._url(rpath), Path(lpath))
        else:
            super().get_file(rpath, lpath, **options)

    def _get(self, url: ObjectUrl, path: Path) -> None:
        try:
            self.store(url.bucket).download(url, path)
        except NoSuchObject:
            if not self.store(url.bucket).is_folder(url):
                raise
            path.mkdir(parents=True, exist_ok=True)

    def put_file(self, lpath: Any, rpath: str, mode: str = "overwrite", **_: Any) -> None:
        if Path(lpath).is_dir():
            return
        if mode == "create" and self.exists(rpath):
            raise FileExistsError(rpath)
        url = self._url(rpath)
        self.store(url.bucket).upload(Path(lpath), url)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """A bucket; nothing for a folder in one."""
        url = self._url(path)
        if not url.key:
            self.store(url.bucket).make_bucket(url.bucket)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        url = self._url(path)
        if not self.store(url.bucket).is_folder(ObjectUrl(url.bucket)):
            self.store(url.bucket).make_bucket(url.bucket)
        elif not url.key and not exist_ok:
            raise FileExistsError(path)

    def rmdir(self, path: str) -> None:
        """An empty bucket; a folder is gone with the last object in it."""
        url = self._url(path)
        if not url.key:
            self.store(url.bucket).remove_bucket(url.bucket)

    def _rm(self, path: str) -> None:
        url = self._url(path)
        self.store(url.bucket).head(url)
        self.store(url.bucket).delete(url.bucket, [url.key])

    def rm(self, path: str | list[str], recursive: bool = False, maxdepth: int | None = None) -> None:
        """Objects; with `recursive` all below a path, but not the bucket."""
        for one in self.expand_path(path):
            if recursive and maxdepth is None:
                self._rm_below(self._url(one))
            elif recursive:
                super().rm(one, recursive=True, maxdepth=maxdepth)
            elif self.isdir(one):
                raise IsAFolder(f"{self._url(one)} is a folder. Delete it with recursive=True.")
            else:
                self._rm(one)

    def _rm_below(self, url: ObjectUrl) -> None:
        keys = [facts.key for facts in self.store(url.bucket).below(url)]
        if url.key and self.store(url.bucket).is_object(url):
            keys.append(url.key)
        self.store(url.bucket).delete(url.bucket, keys)

    def modified(self, path: str) -> Any:
        return self.info(path)["LastModified"]

    def checksum(self, path: str) -> str:
        return str(self.info(path)["ETag"])

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> "ObjectFile":
        if mode == "xb" and self.exists(path):
            raise FileExistsError(path)
        return ObjectFile(self, path, mode, block_size or BLOCK, **options)

    def _url(self, path: str) -> ObjectUrl:
        return ObjectUrl.of_key(self._strip_protocol(path))


class ObjectFile(AbstractBufferedFile):  # type: ignore[misc]
    """One object open for reading, or for writing: then it is there once the file is closed, and not where it fails."""

    _upload: Upload | None = None

    def __init__(self, fs: ObjectFileSystem, path: str, mode: str, block_size: int, **options: Any) -> None:
        self._object = ObjectUrl.of_key(path)
        super().__init__(fs, path, mode, block_size, **options)
        if mode == "ab" and fs.exists(path):
            self.loc = fs.info(path)["size"]

    def _fetch_range(self, start: int, end: int) -> bytes:
        return bytes(self.fs.store(self._object.bucket).read(self._object, start, end))

    def _initiate_upload(self) -> None:
        self._upload = self.fs.store(self._object.bucket).begin(self._object, keep="a" in self.mode)

    def _upload_chunk(self, final: bool = False) -> bool:
        assert self._upload is not None
        self._upload.write(self.buffer.getvalue())
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        if self._upload is not None:
            self._upload.finish()

    def discard(self) -> None:
        """Close it so that nothing of what was written is ever seen."""
        if self._upload is not None:
            self._upload.abort()
        self.closed = True

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None and self.writable():
            self.discard()
        self.close()


def _file(bucket: str, facts: ObjectFacts) -> Info:
    return {
        "name": f"{bucket}/{facts.key}",
        "size": facts.size,
        "type": "file",
        "LastModified": facts.modified_at,
        "ETag": facts.tag,
    }


def _folder(name: str) -> Info:
    return {"name": name, "size": 0, "type": "directory"}


def _folders_of(key: str, root: ObjectUrl) -> Iterable[str]:
    """The folders that a key below `root` lies in, `root` itself first, without the / at their ends."""
    start = root.folder.key
    if root.key:
        yield root.key.rstrip("/")
    parts = key[len(start) :].split("/")[:-1]
    for count in range(1, len(parts) + 1):
        yield start + "/".join(parts[:count])
