"""Copies and syncs of files and objects, by the engine that Lab's copies have; run again they go on."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from jupyter_mlplat.core.files import full_disk_in_words
from jupyter_mlplat.errors import BackendFailure, InvalidInput, NotFound
from jupyter_mlplat.storage.engine.places import Places
from jupyter_mlplat.storage.object_urls import ObjectUrl, is_object_url
from jupyter_mlplat.storage.transfers.carrying import Carrier, abandon
from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.order import OnConflict, Order

Told = Callable[[int, int], None]
"""Called with the bytes that have arrived and those in all, a few times a second."""

_EVERYWHERE = Path("/")


@dataclass(frozen=True)
class Copied:
    """How many files that were (those deleted among them), and their bytes."""

    files: int
    size: int


def order_of(source: str, target: str, places: Places, *, recursive: bool) -> Order:
    """What one copy command means. InvalidInput and NotFound say what cannot be meant."""
    order = Order.read(_asked(_as_folder(source) if recursive else source, target))
    url = ObjectUrl.parse(source) if is_object_url(source) else None
    if not recursive and (url.is_folder if url else Path(source).is_dir()):
        raise InvalidInput(f"{source} is a folder. Copy it with -r.")
    if url and not recursive:
        places.store_for(url.bucket).head(url)
    elif not url and not (Path(source).is_dir() if recursive else Path(source).is_file()):
        raise NotFound(f"There is no {'folder' if recursive else 'file'} {source}.")
    return order


def sync_of(source: str, target: str, *, delete: bool) -> Order:
    """The target becomes like the source, both being folders."""
    return Order.read(_asked(_as_folder(source), _as_folder(target)) | {"sync": True, "delete": delete})


def carry_out(order: Order, places: Places, told: Told | None) -> Copied:
    """Do it; the same order goes on with the large files of a run that broke off. BackendFailure names what failed."""
    folder = _folder_of(order, places.api)
    carrier = Carrier(folder, _EVERYWHERE, places.store_for, lambda figures: _tell(told, figures))
    outcome = carrier.run(anew=True)
    if outcome.failed:
        raise BackendFailure(outcome.message)
    abandon(folder, places.store_for)
    shutil.rmtree(folder.path, ignore_errors=True)
    return Copied(carrier.progress.files, carrier.progress.done)


def _asked(source: str, target: str) -> dict[str, Any]:
    return {"source": _whole(source), "target": _whole(target), "on_conflict": OnConflict.OVERWRITE}


def _whole(path: str) -> str:
    """Absolute; a / at its end, which says that it is a folder, stays."""
    if is_object_url(path):
        return path
    return os.path.abspath(path) + ("/" if path.endswith("/") else "")  # noqa: PTH100 links stay as they are


def _as_folder(path: str) -> str:
    return str(ObjectUrl.parse(path).folder) if is_object_url(path) else path


def _folder_of(order: Order, api: str) -> TransferFolder:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    name = sha256(json.dumps([api, asdict(order)]).encode()).hexdigest()[:16]
    path = state / "mlplat" / "transfers" / name
    with full_disk_in_words():
        return TransferFolder(path) if (path / "order.json").exists() else TransferFolder.make(path, order)


def _tell(told: Told | None, figures: dict[str, Any]) -> None:
    if told is not None and figures["total"]:  # 0 until it is known
        told(figures["done"], figures["total"])
