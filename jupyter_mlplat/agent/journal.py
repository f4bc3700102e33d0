"""Remembers which layers are in the registry, so that a save that was broken off goes on from them."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from jupyter_mlplat.core.files import write_atomically

_KEPT = 500


@dataclass(frozen=True)
class WrittenLayer:
    """A layer that was uploaded to `repository`."""

    digest: str
    diff_id: str
    size: int
    repository: str


class Journal:
    """One file in `folder`; it is only a memory, so what cannot be read is forgotten."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "layers.json"
        self._layers: dict[str, WrittenLayer] = {}
        with suppress(OSError, ValueError, TypeError):
            self._layers = {key: WrittenLayer(**each) for key, each in json.loads(self._file.read_bytes()).items()}

    def find(self, fingerprint: str) -> WrittenLayer | None:
        return self._layers.get(fingerprint)

    def note(self, fingerprint: str, layer: WrittenLayer) -> None:
        """Keep it, and the last few hundred before it. Blocking."""
        self._layers.pop(fingerprint, None)
        kept = list(self._layers.items())[-_KEPT + 1 :]
        self._layers = {**dict(kept), fingerprint: layer}
        write_atomically(self._file, json.dumps({key: asdict(each) for key, each in self._layers.items()}).encode())
