"""Where things lie in the pod of a build.

`in` is written by the messenger, `out` by buildah and by whatever the Containerfile runs: nothing there can be trusted.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    root: Path

    @property
    def incoming(self) -> Path:
        return self.root / "in"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def context(self) -> Path:
        return self.incoming / "context"

    @property
    def containerfile(self) -> Path:
        return self.incoming / "Containerfile"

    @property
    def bases(self) -> Path:
        """One line for each image below: the number of its folder, and its name."""
        return self.incoming / "bases"

    @property
    def ready(self) -> Path:
        """There once all else is."""
        return self.incoming / "ready"

    def base(self, number: int) -> Path:
        """The OCI layout of an image below."""
        return self.incoming / f"base-{number}"


LOG, CODE, RESULT = "log", "code", "result"
"""What buildah leaves in `out`: its words, then its exit code, and the image as a folder of its manifest and blobs."""
