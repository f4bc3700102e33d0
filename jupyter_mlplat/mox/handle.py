"""`File`: a file or an object, open for reading or writing."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.mox.paths import AnyPath, is_remote
from jupyter_mlplat.storage.engine.failures import FileAndFolder
from jupyter_mlplat.storage.object_urls import ObjectUrl

_MODES = frozenset({"r", "w", "a", "x", "rb", "wb", "ab", "xb"})
_plain_open = open  # `shift` replaces the name in builtins


class File:
    """What `open` gives, for paths of both kinds: iterate it, read it, write it, use it in `with`.

    An object that is written is there when the file is closed, whole; where the block fails it is not there at all.
    Text is UTF-8 unless an encoding is given.
    """

    def __init__(self, name: AnyPath, mode: str = "r", **options: Any) -> None:
        """`mode` is one of r, w, a, x, with b for bytes (in either place); for files of this machine also with +."""
        self.name = os.fspath(name)
        self.mode = mode
        ordered = "".join(sorted(mode.replace("t", ""), key="rwaxb+".index))
        self._file: Any = (
            _remote(self.name, ordered, options) if is_remote(self.name) else _local(name, ordered, options)
        )

    def size(self) -> int:
        """Bytes of what is there now under this name."""
        from jupyter_mlplat.mox.file import get_size

        return get_size(self.name)

    def write(self, data: Any) -> int:
        written: int = self._file.write(data)
        return written

    def writelines(self, lines: Iterable[Any]) -> None:
        for line in lines:
            self._file.write(line)

    def read(self, n: int = -1) -> Any:
        return self._file.read(n)

    def close(self) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        if name == "_file":
            raise AttributeError(name)
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __next__(self) -> Any:
        return next(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None and is_remote(self.name):
            binary = self._file.buffer if isinstance(self._file, io.TextIOWrapper) else self._file
            if binary.writable():
                binary.discard()
                return
        self.close()


def _local(name: AnyPath, mode: str, options: dict[str, Any]) -> Any:
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    return _plain_open(name, mode, **options)


def _remote(name: str, mode: str, options: dict[str, Any]) -> Any:
    if mode not in _MODES:
        raise InvalidInput(f"An object cannot be opened with {mode!r}: r, w, a or x, with b for bytes. Copy it first.")
    url = ObjectUrl.parse(name)
    if url.is_folder:
        raise FileAndFolder(f"{name} is a folder; a file's path has no / at its end.")
    from jupyter_mlplat.storage.filesystem import ObjectFileSystem

    options.pop("buffering", None)
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    return ObjectFileSystem().open(name, mode, **{key: value for key, value in options.items() if value is not None})
