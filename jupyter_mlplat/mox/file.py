"""The file API: each function takes paths of this machine, obs://BUCKET/KEY and s3://BUCKET/KEY.

Which object store is meant: what `set_auth` was given, else the variables S3_ENDPOINT, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, else, inside an instance, the platform's built-in store and its owner's endpoints. Errors are
those of `jupyter_mlplat.storage.engine.failures`, which are also Python's own (FileNotFoundError, PermissionError, …).
"""

import glob as _glob
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jupyter_mlplat.mox import copying, looking
from jupyter_mlplat.mox.handle import File
from jupyter_mlplat.mox.looking import Stat
from jupyter_mlplat.mox.paths import AnyPath, is_remote, joined, place, scheme
from jupyter_mlplat.mox.shifting import shift
from jupyter_mlplat.storage.engine import current, failures
from jupyter_mlplat.storage.engine.base import writing
from jupyter_mlplat.storage.engine.current import store_for
from jupyter_mlplat.storage.engine.landing import landing, put_all
from jupyter_mlplat.storage.object_urls import ObjectUrl

__all__ = [
    "File", "MoxFileNameDuplicateException", "MoxFileNotExistsException", "MoxFileReadException",
    "MoxFileRespException",
    "append", "append_remote", "copy", "copy_parallel", "exists", "get_size", "glob", "is_directory", "list_directory",
    "make_dirs", "mk_dir", "read", "remove", "rename", "scan_dir", "set_auth", "shift", "stat", "walk", "write",
]  # fmt: skip


MoxFileNotExistsException = failures.NoSuchObject
MoxFileNameDuplicateException = failures.FileAndFolder
MoxFileReadException = failures.StoreUnreachable
MoxFileRespException = failures.StoreError
"""moxing's names of the errors; the last is the base of all."""


def read(url: AnyPath, client_id: str | None = None, binary: bool = False) -> Any:
    """All of a file: text (UTF-8), or with `binary` bytes."""
    where = place(url)
    data = store_for(where.bucket).read(where) if isinstance(where, ObjectUrl) else where.read_bytes()
    return data if binary else data.decode()


def write(url: AnyPath, data: str | bytes, binary: bool = False) -> None:
    """Replace a file by text or, with `binary`, bytes; readers see the old or the new one."""
    where, content = place(url), _bytes(data)
    if isinstance(where, ObjectUrl):
        store_for(where.bucket).write(where, content)
        return
    with landing(where) as descriptor:
        put_all(descriptor, content)


def append(url: AnyPath, data: str | bytes, binary: bool = False) -> None:
    """Put text or bytes behind what is in a file; it is made where it is not there."""
    where, content = place(url), _bytes(data)
    if isinstance(where, Path):
        with where.open("ab") as file:
            file.write(content)
        return
    with writing(store_for(where.bucket), where, keep=True) as upload:
        upload.write(content)


def append_remote(src_url: AnyPath, dst_url: AnyPath, client_id: str | None = None) -> None:
    """Put what is in one file behind what is in another."""
    source, target = place(src_url), place(dst_url)
    if isinstance(target, Path):
        append(target, read(src_url, binary=True), binary=True)
    else:
        copying.append_one(source, target)


def copy(src_url: AnyPath, dst_url: AnyPath, client_id: str | None = None) -> None:
    """One file, in any direction. A target that is a folder, or ends with /, keeps the file's name."""
    source, target = place(src_url), place(dst_url)
    if isinstance(source, ObjectUrl) and source.is_folder:
        raise failures.IsAFolder(f"{source} is a folder. Copy it with copy_parallel.")
    if _is_target_folder(dst_url, target):
        target = place(joined(dst_url, source.name))
    copying.copy_one(source, target)


def copy_parallel(
    src_url: AnyPath,
    dst_url: AnyPath,
    file_list: Sequence[str] | None = None,
    threads: int = copying.THREADS,
    is_processing: bool = True,
    use_queue: bool = True,
) -> None:
    """All that is in a folder into another one, in any direction; a path of a single file is copied as `copy` does.

    `file_list` names the files below `src_url` that are wanted. Always threads: `is_processing` and `use_queue` change
    nothing.
    """
    if file_list is None and not is_directory(src_url) and exists(src_url):
        copy(src_url, dst_url)
        return
    copying.carry_out(copying.plan(place(src_url), place(dst_url), file_list), threads)


def exists(url: AnyPath) -> bool:
    """Whether a file or a folder is there."""
    where = place(url)
    if isinstance(where, Path):
        return where.exists()
    store = store_for(where.bucket)
    return store.is_object(where) or store.is_folder(where)


def is_directory(url: AnyPath) -> bool:
    """Whether a folder is there: in object storage, whether keys begin so."""
    where = place(url)
    return where.is_dir() if isinstance(where, Path) else store_for(where.bucket).is_folder(where)


def stat(url: AnyPath) -> Stat:
    """Length, time and kind; raises MoxFileNotExistsException where there is nothing."""
    where = place(url)
    if isinstance(where, ObjectUrl):
        return looking.facts_of(where)
    facts = where.stat()
    return Stat(facts.st_size, facts.st_mtime_ns, is_directory=where.is_dir())


def get_size(url: AnyPath, recursive: bool = False) -> int:
    """Bytes of a file, or with `recursive` of all that is in a folder (always so for folders of this machine)."""
    where = place(url)
    if isinstance(where, ObjectUrl):
        return looking.size_of(where, recursive=recursive)
    if not where.is_dir():
        return where.stat().st_size
    return sum(path.stat().st_size for path in where.rglob("*") if path.is_file())


def list_directory(
    url: AnyPath,
    recursive: bool = False,
    remove_sep: bool = True,
    skip_file: bool = False,
    skip_dir: bool = False,
) -> list[str]:
    """Names in a folder, or with `recursive` paths of all below it, relative to it and in order.

    Names of folders end with / where `remove_sep` is False.
    """
    where = place(url)
    if isinstance(where, Path):
        found = looking.local_listing(where, recursive=recursive)
    else:
        found = looking.listing(os.fspath(url), recursive=recursive)
    wanted = [(name, folder) for name, folder in found if not (skip_dir if folder else skip_file)]
    return [name if remove_sep or not folder else f"{name}/" for name, folder in wanted]


def scan_dir(url: AnyPath) -> Any:
    """What `os.scandir` gives: entries with name, path, is_dir(), is_file(), stat()."""
    return looking.Scan(os.fspath(url)) if is_remote(url) else os.scandir(url)


def walk(
    url: AnyPath, topdown: bool = True, onerror: Any = None, followlinks: bool = False
) -> Iterator[tuple[str, list[str], list[str]]]:
    """What `os.walk` gives; for objects always from the top."""
    if is_remote(url):
        return looking.walk(os.fspath(url))
    return os.walk(os.fspath(url), topdown=topdown, onerror=onerror, followlinks=followlinks)


def glob(url: AnyPath, recursive: bool = False) -> list[str]:
    """The paths that match a pattern with *, ?, [] and, for objects or with `recursive`, **."""
    pattern = os.fspath(url)
    if not is_remote(pattern):
        return _glob.glob(pattern, recursive=recursive)  # noqa: PTH207 - strings, as they were given
    from jupyter_mlplat.storage.filesystem import ObjectFileSystem

    return sorted(scheme(pattern) + path for path in ObjectFileSystem().glob(pattern))


def make_dirs(url: AnyPath) -> None:
    """A folder with all above it; nothing where it is there. The bucket must be there."""
    where = place(url)
    if isinstance(where, ObjectUrl) and is_directory(url):
        return
    copying.make_folder(where)


def mk_dir(url: AnyPath) -> None:
    """One folder; FileNotFoundError where the one above it is not there."""
    where = place(url)
    if isinstance(where, Path):
        where.mkdir()
        return
    above = ObjectUrl(where.bucket, where.key.rstrip("/").rpartition("/")[0])
    if not store_for(above.bucket).is_folder(above):
        raise MoxFileNotExistsException(f"There is no folder {above.folder}. Make it first, or use make_dirs.")
    if exists(url):
        raise failures.ObjectExists(f"{where} is there already.")
    copying.make_folder(where)


def remove(url: AnyPath, recursive: bool = False) -> None:
    """A file, or with `recursive` a folder with all that is in it. A bucket is emptied but stays."""
    where = place(url)
    if isinstance(where, ObjectUrl):
        _remove_objects(where, recursive=recursive)
    elif not where.is_dir() or where.is_symlink():
        where.unlink()
    elif recursive:
        shutil.rmtree(where)
    else:
        raise failures.IsAFolder(f"{where} is a folder. Delete it with recursive=True.")


def rename(src_url: AnyPath, dst_url: AnyPath) -> None:
    """A file or a folder. Objects are copied, then deleted: it takes as long, and a failure leaves both."""
    source, target = place(src_url), place(dst_url)
    if isinstance(source, Path) and isinstance(target, Path):
        source.rename(target)
        return
    if is_directory(src_url):
        copying.carry_out(copying.plan(source, target))
    else:
        copying.copy_one(source, target)
    remove(src_url, recursive=True)


def set_auth(
    ak: str | None = None,
    sk: str | None = None,
    server: str | None = None,
    port: int | None = None,
    is_secure: bool | None = None,
    ssl_verify: bool | None = None,
    long_conn_mode: bool | None = None,
    path_style: bool | None = None,
    retry: int | None = None,
    retry_wait: float | None = None,
    client_timeout: float | None = None,
    list_max_keys: int | None = None,
    security_token: str | None = None,
    region: str | None = None,
    **ignored: Any,
) -> None:
    """From now on use these keys and this endpoint; what is not given stays as it was, or as the variables say.

    `server` is a host, host:port or URL. Settings of moxing that mean nothing here (long_conn_mode, retry_wait,
    list_max_keys, negotiation, …) are taken and ignored.
    """
    settings = {
        "access": ak, "secret": sk, "server": server, "port": port, "secure": is_secure, "verify": ssl_verify,
        "path_style": path_style, "retries": retry, "timeout": client_timeout, "token": security_token,
        "region": region,
    }  # fmt: skip
    current.use(**{name: value for name, value in settings.items() if value is not None})


def _remove_objects(url: ObjectUrl, *, recursive: bool) -> None:
    store = store_for(url.bucket)
    if store.is_object(url):
        store.delete(url.bucket, [url.key])
    elif not store.is_folder(url):
        raise MoxFileNotExistsException(f"There is nothing at {url}.")
    elif recursive:
        store.delete(url.bucket, [facts.key for facts in store.below(url)])
    else:
        raise failures.IsAFolder(f"{url} is a folder. Delete it with recursive=True.")


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)


def _is_target_folder(path: AnyPath, target: Path | ObjectUrl) -> bool:
    if isinstance(target, ObjectUrl):
        return target.is_folder
    return target.is_dir() or os.fspath(path).endswith("/")
