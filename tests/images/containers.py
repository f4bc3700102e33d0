"""Containers of the images that `make test-images` has built."""

import json
import os
import subprocess
from pathlib import Path

from build_images import compression

from jupyter_mlplat.backends.local.presets import catalog_folder

HERE = Path(__file__).parent
SHOWN = {HERE: "/tests", catalog_folder(): "/images"}
"""What containers see of this machine."""


def buildah(*command: str, check: bool = True) -> str:
    """What buildah prints."""
    environment = {**os.environ, "STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"}
    done = subprocess.run(["buildah", *command], env=environment, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


class Container:
    """A container of an image; its processes run in it as on a node, but without a network of their own."""

    def __init__(self, image: str, tag: str = "dev") -> None:
        self.name = image
        self.image = f"localhost/mlplat/{image}:{tag}"
        self.id = buildah("from", "--pull-never", self.image)

    def run(self, *command: str, user: str = "1000:1000") -> str:
        shown = [word for path, place in SHOWN.items() for word in ("--volume", f"{path}:{place}:ro")]
        return buildah("run", "--user", user, *shown, self.id, "--", *command)

    def remove(self) -> None:
        buildah("rm", self.id)

    def root(self) -> Path:
        """Its file system, to be looked at."""
        return Path(buildah("mount", self.id))

    def size(self, folder: Path) -> int:
        """The bytes of its layers as a registry keeps them."""
        buildah("push", "--quiet", *compression(self.name), self.image, f"oci:{folder}:image")
        blobs = folder / "blobs" / "sha256"
        index = json.loads((folder / "index.json").read_text())
        manifest = json.loads((blobs / index["manifests"][0]["digest"].removeprefix("sha256:")).read_text())
        return sum(layer["size"] for layer in manifest["layers"])
