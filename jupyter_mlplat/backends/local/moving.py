"""What an environment's files go through between the place where it lives and an image, where it lies at one path."""

import os
from functools import partial
from pathlib import Path

from jupyter_mlplat.environments.conda_prefix import Holder, all_holders, move, rewriting
from jupyter_mlplat.environments.relocation import Transform, transform_of

PREFIX = "opt/mlplat/env"
"""Where an environment lies in every image."""


class Moves:
    """How the files of the environment that lives in a folder become those of an image."""

    def __init__(self, environment: Path) -> None:
        self._prefixes = tuple({os.fspath(environment), os.path.realpath(environment)})
        self._holders = all_holders(environment)

    def of(self, path: str) -> Transform | None:
        """For the files that hold the path of the conda environment that they belong to; None for others."""
        found = self._holders.get(path)
        return partial(self._to_image, *found) if found else None

    def transform(self, path: str, size: int) -> Transform | None:
        """What a file goes through on its way into a layer; None for most. Size in bytes."""
        script, moved = transform_of(path, size, self._prefixes), self.of(path)
        if script is None or moved is None:
            return script or moved
        return lambda content: moved(script(content))

    def _to_image(self, inner: str, holder: Holder, content: bytes) -> bytes:
        for prefix in self._prefixes:
            content = rewriting(holder, f"{prefix}/{inner}", f"/{PREFIX}/{inner}")(content)
        return content


def settle(environment: Path, place: Path) -> None:
    """Make the conda environments inside one that came out of an image those of `place`, where it will live."""
    for records in sorted((environment / "envs").glob("*/conda-meta")):
        inner = f"envs/{records.parent.name}"
        move(records.parent, f"/{PREFIX}/{inner}", f"{place}/{inner}")
