"""The image that a build has left, put together of what its pod told and what the images below are. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from jupyter_mlplat.backends.imaging import BuildSpec
from jupyter_mlplat.backends.kubernetes.build_folder import Below
from jupyter_mlplat.backends.kubernetes.registry_image import MACHINES, PACKAGES_LABEL, RegistryImage
from jupyter_mlplat.builder.messages import Result
from jupyter_mlplat.core.package_name import package_key
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.oci.child import MOST_LAYERS, as_oci
from jupyter_mlplat.oci.manifest import CONFIG, LAYER, Descriptor, Manifest, digest_of, encode

Json = dict[str, Any]

TITLE, VERSION = "org.opencontainers.image.title", "org.opencontainers.image.version"


def parent_of(below: Sequence[Below], result: Result) -> Below | None:
    """The image that the built one stands on: whose layers are its lowest, the more the nearer."""
    diff_ids = tuple(layer["diff_id"] for layer in result["layers"])
    standing = [base for base in below if base.diff_ids == diff_ids[: len(base.diff_ids)]]
    return max(standing, key=lambda base: len(base.diff_ids), default=None)


def image_of(
    spec: BuildSpec, below: Sequence[Below], result: Result, labels: dict[str, str]
) -> tuple[RegistryImage, bytes]:
    """The image, and its config byte for byte; `labels` say where it comes from. InvalidInput where it is none."""
    try:
        return _image_of(below, result, labels)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InvalidInput(f"What was built is no whole image: {type(error).__name__}: {error}.") from error


def _image_of(below: Sequence[Below], result: Result, labels: dict[str, str]) -> tuple[RegistryImage, bytes]:
    config: Json = json.loads(result["config"])
    diff_ids = [layer["diff_id"] for layer in result["layers"]]
    if config["rootfs"]["diff_ids"] != diff_ids:
        raise InvalidInput("What was built is no whole image: its config names other layers.")
    if len(diff_ids) > MOST_LAYERS:
        raise InvalidInput(f"What was built has {len(diff_ids)} layers; {MOST_LAYERS} are the most.")
    parent = parent_of(below, result)
    inner = config.setdefault("config", {}) or {}
    before = (inner.get("Labels") or {}).get(PACKAGES_LABEL) if parent else None
    packages = json.dumps(packages_after(before, result))
    config["config"] = inner | {"Labels": {**(inner.get("Labels") or {}), **labels, PACKAGES_LABEL: packages}}
    step = f"{labels[TITLE]}:{labels[VERSION]}, built"
    config["history"] = _told(config.get("history") or [], len(parent.diff_ids) if parent else 0, step)
    data = encode(config)
    known = {diff_id: layer for base in below for diff_id, layer in base.layers().items()}
    layers = tuple(
        Descriptor(LAYER, layer["digest"], int(layer["size"])) if layer["digest"] else as_oci(known[layer["diff_id"]])
        for layer in result["layers"]
    )
    manifest = Manifest(Descriptor(CONFIG, digest_of(data), len(data)), layers)
    machine = str(config.get("architecture", ""))
    digest = digest_of(encode(manifest.document()))
    return RegistryImage(digest, manifest, config, (MACHINES.get(machine, machine),)), data


def _told(history: Sequence[Json], below: int, step: str) -> list[Json]:
    """The history with `step` as what made the layers above the lowest `below`: all of a stage make one of them."""
    told: list[Json] = []
    seen = 0
    for entry in history:
        seen += not entry.get("empty_layer")
        if entry.get("empty_layer") or seen <= below:
            told.append(entry)
        else:
            told += [entry | {"empty_layer": True}, {"created": entry.get("created"), "created_by": step}]
    return told


def packages_after(before: str | None, result: Result) -> list[tuple[str, str]]:
    """The packages below, as their image's label tells them, with what the build's own layers do to them."""
    listed: list[tuple[str, str]] = json.loads(before or "[]")
    gone = {package_key(name) for name in result.get("removed", [])}
    kept = {} if "*" in result.get("removed", []) else {package_key(name): (name, version) for name, version in listed}
    kept = {key: package for key, package in kept.items() if key not in gone}
    kept |= {package_key(name): (name, version) for name, version in result.get("added", [])}
    return [kept[key] for key in sorted(kept)]
