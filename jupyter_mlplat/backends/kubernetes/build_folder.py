"""What the platform keeps of a build below `builds/ID` of its data folder (blocking).

`plan.json` says what the images below are, `pod` whose words count, `log` and `result.json` are what the pod has said.
All replicas see it, and it outlives them.
"""

import fcntl
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from jupyter_mlplat.builder.messages import Result
from jupyter_mlplat.core.files import full_disk_in_words, write_atomically
from jupyter_mlplat.errors import Conflict, InvalidInput
from jupyter_mlplat.oci.manifest import Descriptor, Manifest

LOG_BYTES = 64 << 20
_TAIL = 16 << 10


@dataclass(frozen=True)
class Below:
    """An image that a Containerfile names, in our registry: `digest` may be that of an index, the rest is of the one
    for our architecture. `config` is the image's own."""

    name: str
    repository: str
    digest: str
    media_type: str
    document: str
    config: dict[str, Any]

    @property
    def manifest(self) -> Manifest:
        return Manifest.parse(self.document.encode())

    @property
    def diff_ids(self) -> tuple[str, ...]:
        return tuple(self.config["rootfs"]["diff_ids"])

    def layers(self) -> dict[str, Descriptor]:
        """Its layers by the digests of their plain content."""
        return dict(zip(self.diff_ids, self.manifest.layers, strict=True))


@dataclass(frozen=True)
class Plan:
    """What is to be built, into which repository, on which images."""

    repository: str
    containerfile: str
    below: list[Below]

    @classmethod
    def parse(cls, data: bytes) -> "Plan":
        document = json.loads(data)
        return cls(document["repository"], document["containerfile"], [Below(**each) for each in document["below"]])


class BuildFolder:
    """The folder of one build."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def bundle(self) -> Path:
        return self.root / "bundle.tar.zst"

    @property
    def plan(self) -> Plan | None:
        """There once the images below are looked at."""
        try:
            return Plan.parse((self.root / "plan.json").read_bytes())
        except FileNotFoundError:
            return None

    def keep_plan(self, plan: Plan, bundle: Path) -> None:
        """The uploaded folder may be given up by its owner's jobs: the build has it under a name of its own."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.bundle.unlink(missing_ok=True)
        try:
            self.bundle.hardlink_to(bundle)
        except FileNotFoundError:
            raise
        except OSError:  # not on every file system
            shutil.copyfile(bundle, self.bundle)
        write_atomically(self.root / "plan.json", json.dumps(asdict(plan)).encode())

    @property
    def begun(self) -> bool:
        """Whether its pod has been here."""
        return (self.root / "pod").exists()

    def begin(self, pod: str) -> int:
        """How much of this pod's log is here; Conflict where another one came first."""
        try:
            with (self.root / "pod").open("x") as file:
                file.write(pod)
        except FileExistsError:
            self.check(pod)
        return self.log_size

    def check(self, pod: str) -> None:
        try:
            known = (self.root / "pod").read_text()
        except FileNotFoundError:
            known = ""
        if known != pod:
            raise Conflict("Another pod has begun this build.")

    @property
    def log_size(self) -> int:
        try:
            return self.log.stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, pod: str, offset: int, content: bytes) -> int:
        """Add what is new from `offset` on, without a gap; how much is here then."""
        self.check(pod)
        with full_disk_in_words(), self.log.open("ab") as file:
            # another replica may still be at work on an earlier request
            fcntl.flock(file, fcntl.LOCK_EX)
            have = file.seek(0, os.SEEK_END)
            if offset <= have < min(offset + len(content), LOG_BYTES):
                file.write(content[have - offset :])
            return file.tell()

    @property
    def tail(self) -> str:
        """The last words of the log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log_size - _TAIL))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    @property
    def result(self) -> Result | None:
        """What came of it, once its pod has said so."""
        try:
            return cast(Result, json.loads((self.root / "result.json").read_bytes()))
        except FileNotFoundError:
            return None

    def end(self, pod: str, content: bytes) -> None:
        """InvalidInput for what no messenger says."""
        self.check(pod)
        try:
            result = json.loads(content)
            if not isinstance(result, dict) or not isinstance(result.get("code"), int):
                raise ValueError
        except ValueError:
            raise InvalidInput("This is no result of a build.") from None
        write_atomically(self.root / "result.json", content)

    def give_up(self) -> None:
        """All but the log."""
        for name in ("plan.json", "pod", "result.json", self.bundle.name):
            (self.root / name).unlink(missing_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
