"""An image in our registry: what it says of itself, and whether instances can run it. Pure."""

import json
import platform
from dataclasses import dataclass
from typing import Any

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.images.models import Layer, Package
from jupyter_mlplat.oci.manifest import Manifest

Json = dict[str, Any]

PACKAGES_LABEL = "mlplat.packages"
PYTHON_LABEL = "mlplat.python"
USER = "1000"
"""Whom instances run as."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MACHINES = {name: machine for machine, name in ARCHITECTURES.items()}


@dataclass(frozen=True)
class RegistryImage:
    """An image in our registry: `digest` names it, be it an index; the rest is that of one architecture."""

    digest: str
    manifest: Manifest
    config: Json
    architectures: tuple[str, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers with the steps that made them; the steps that made none are passed over."""
        history = [step for step in self.config.get("history") or [] if not step.get("empty_layer")]
        steps = [str(step.get("created_by") or "") for step in history]
        steps = steps if len(steps) == len(self.manifest.layers) else [""] * len(self.manifest.layers)
        return tuple(
            Layer(digest=layer.digest, size=layer.size, step=step)
            for layer, step in zip(self.manifest.layers, steps, strict=True)
        )

    @property
    def labels(self) -> dict[str, str]:
        return dict((self.config.get("config") or {}).get("Labels") or {})


def check_usable(ref: str, image: RegistryImage) -> None:
    """InvalidInput, in words, for an image that no instance could run."""
    wanted = ARCHITECTURES.get(platform.machine(), platform.machine())
    found = image.config.get("architecture")
    user = str((image.config.get("config") or {}).get("User") or "root")
    problems = []
    if found != wanted:
        problems.append(f"it is for {found}, the platform runs on {wanted}: build it for {wanted}")
    if PYTHON_LABEL not in image.labels:
        problems.append(
            f"it has no label {PYTHON_LABEL}, so it was not made for instances, which need /opt/mlplat/lab with "
            "JupyterLab and /opt/mlplat/env: build it on images/python"
        )
    if user.partition(":")[0] != USER:
        problems.append(f"its user is {user}: end its Containerfile with USER {USER}:{USER}")
    if problems:
        raise InvalidInput(f"The image {ref} cannot be used: {'; '.join(problems)}.")


def architectures_of(index: Json) -> tuple[str, ...]:
    """The architectures that an index has images for; attestations, which are listed as `unknown`, are none. Pure."""
    found = [str((entry.get("platform") or {}).get("architecture", "unknown")) for entry in index["manifests"]]
    return tuple(dict.fromkeys(each for each in found if each != "unknown"))


def packages_of(image: RegistryImage) -> tuple[Package, ...]:
    """What the image says of itself; nothing where it was not saved here."""
    listed = json.loads(image.labels.get(PACKAGES_LABEL) or "[]")
    return tuple(Package(name=name, version=version) for name, version in listed)


def blobs_of(manifest: Manifest) -> list[Any]:
    return [manifest.config, *manifest.layers]
