"""The JSON documents of an image, as values: descriptors, configs, manifests. Pure; follows the OCI image spec 1.1."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jupyter_mlplat.errors import InvalidInput

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
INDEX = "application/vnd.oci.image.index.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def hex_of(digest: str) -> str:
    """The 64 hexadecimal digits of a digest. InvalidInput where it is none, so that it can safely name a file."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(f"{digest!r} is no image digest: it must be sha256: and 64 hexadecimal digits.")
    return digest.removeprefix("sha256:")


def encode(document: dict[str, Any]) -> bytes:
    """The bytes of a document: the same for the same content."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


@dataclass(frozen=True)
class Descriptor:
    """Points at a blob. `size` is in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return plain | ({"annotations": self.annotations} if self.annotations else {})

    @classmethod
    def parse(cls, document: dict[str, Any]) -> "Descriptor":
        annotations = dict(document.get("annotations") or {})
        return cls(document["mediaType"], document["digest"], int(document["size"]), annotations)


@dataclass(frozen=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all layers, compressed."""
        return sum(layer.size for layer in self.layers)

    def document(self) -> dict[str, Any]:
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.config.document(),
            "layers": [layer.document() for layer in self.layers],
            "annotations": self.annotations,
        }

    @classmethod
    def parse(cls, data: bytes) -> "Manifest":
        document = json.loads(data)
        layers = tuple(Descriptor.parse(layer) for layer in document["layers"])
        return cls(Descriptor.parse(document["config"]), layers, dict(document.get("annotations") or {}))


@dataclass(frozen=True)
class ImageConfig:
    """What an image is and where it comes from. `history` has one sentence for each of `diff_ids`."""

    architecture: str
    os: str
    created: datetime
    author: str
    diff_ids: tuple[str, ...]
    history: tuple[str, ...]
    labels: dict[str, str]
    environment: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {
            "created": self.created.isoformat(),
            "author": self.author,
            "architecture": self.architecture,
            "os": self.os,
            "config": {"Env": list(self.environment), "Labels": self.labels},
            "rootfs": {"type": "layers", "diff_ids": list(self.diff_ids)},
            "history": [{"created_by": step} for step in self.history],
        }

    @classmethod
    def parse(cls, data: bytes) -> "ImageConfig":
        document = json.loads(data)
        inner = document.get("config") or {}
        return cls(
            architecture=document["architecture"],
            os=document["os"],
            created=datetime.fromisoformat(document["created"]),
            author=document.get("author", ""),
            diff_ids=tuple(document["rootfs"]["diff_ids"]),
            history=tuple(step.get("created_by", "") for step in document.get("history", [])),
            labels=dict(inner.get("Labels") or {}),
            environment=tuple(inner.get("Env") or ()),
        )
