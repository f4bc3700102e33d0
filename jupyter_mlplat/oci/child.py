"""The documents of an image that stands on another: what the parent says stays, layers and labels are added. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jupyter_mlplat.errors import Conflict
from jupyter_mlplat.oci.manifest import CONFIG, LAYER, Descriptor, Manifest, digest_of, encode

MOST_LAYERS = 120
"""Runtimes stack no more than 127."""

_OCI_TYPES = {
    "application/vnd.docker.container.image.v1+json": CONFIG,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}


@dataclass(frozen=True)
class NewLayer:
    """A layer to add; `size` is in compressed bytes."""

    digest: str
    diff_id: str
    size: int


@dataclass(frozen=True)
class Note:
    """Who makes the child, when, and in one sentence from what."""

    author: str
    created: datetime
    step: str


def child_config(parent: bytes, layers: Sequence[NewLayer], labels: Mapping[str, str], note: Note) -> bytes:
    """The parent's config with the layers and labels added: entry point, user and variables stay as they are."""
    document: dict[str, Any] = json.loads(parent)
    inner = document.setdefault("config", {}) or {}
    inner["Labels"] = {**(inner.get("Labels") or {}), **labels}
    created = note.created.isoformat()
    document |= {"config": inner, "author": note.author, "created": created}
    document["rootfs"]["diff_ids"] += [layer.diff_id for layer in layers]
    step = {"created": created, "created_by": note.step, "author": note.author}
    document["history"] = [*(document.get("history") or []), *(step for _ in layers)]
    return encode(document)


def child_manifest(parent: Manifest, config: bytes, layers: Sequence[NewLayer]) -> Manifest:
    """The manifest of the child. Conflict where it would have more layers than runtimes take."""
    if len(parent.layers) + len(layers) > MOST_LAYERS:
        raise Conflict(
            f"The image stands on {len(parent.layers)} layers, more than can be added to. Start an instance from a "
            "preset image, install there what is needed, and save that."
        )
    below = tuple(map(as_oci, parent.layers))
    added = tuple(Descriptor(LAYER, layer.digest, layer.size) for layer in layers)
    return Manifest(Descriptor(CONFIG, digest_of(config), len(config)), below + added)


def as_oci(layer: Descriptor) -> Descriptor:
    """A layer's descriptor as an OCI manifest holds it."""
    return Descriptor(_OCI_TYPES.get(layer.media_type, layer.media_type), layer.digest, layer.size)


def choose_platform(index: Mapping[str, Any], architecture: str) -> str | None:
    """The digest of the manifest for Linux on `architecture` (`amd64`, `arm64`); None where the index has none."""
    for entry in index.get("manifests", []):
        platform = entry.get("platform") or {}
        if platform.get("os") == "linux" and platform.get("architecture") == architecture:
            return str(entry["digest"])
    return None
