"""The data folder: what lies where, and whether it can be used."""

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.errors import InvalidInput, NoSpace


@dataclass(frozen=True)
class DataFolder:
    """The paths that the embedded platform uses; see docs/architecture.md."""

    root: Path

    @classmethod
    def at(cls, path: Path | str) -> "DataFolder":
        """The folder at an absolute path without links, so that it is known again under every name."""
        return cls(Path(path).expanduser().resolve())

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def instances(self) -> Path:
        return self.root / "instances"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def lock(self) -> Path:
        return self.run / "supervisor.lock"

    @property
    def record(self) -> Path:
        return self.run / "supervisor.json"

    @property
    def nursery_socket(self) -> Path:
        return self.run / "nursery.sock"

    @property
    def ssh(self) -> Path:
        """The names that the SSH gateway takes, and who is inside."""
        return self.run / "ssh"

    @property
    def tunnels(self) -> Path:
        """Who comes to the gateway through HTTPS."""
        return self.ssh / "tunnels"

    @property
    def gateway_host_key(self) -> Path:
        return self.secrets / "ssh_host_key"

    @property
    def gateway_token(self) -> Path:
        return self.secrets / "gateway_token"

    @property
    def logins(self) -> Path:
        return self.secrets / "logins.json"

    @property
    def profile(self) -> Path:
        return self.root / "profile.json"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def prepare(self) -> None:
        """Make the folders. InvalidInput where they cannot be made or written, NoSpace on a full disk."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.run, self.logs, self.instances, self.jobs):
                folder.mkdir(exist_ok=True)
            for private in (self.secrets, self.root / "hub"):
                private.mkdir(mode=0o700, exist_ok=True)
                private.chmod(0o700)
            with tempfile.TemporaryFile(dir=self.run) as probe:
                probe.write(b"\0" * 4096)
                probe.flush()
                os.fsync(probe.fileno())
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> InvalidInput | NoSpace:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return NoSpace(f"The disk that holds {self.root} is full. Make room, or choose another --data-dir.")
        reason = error.strerror or str(error)
        return InvalidInput(
            f"The data folder {self.root} cannot be used: {reason} ({error.filename or self.root}). "
            "Make it writable for you, or choose another one with --data-dir."
        )
