"""SSH on the memory back end: a house whose doors are noted, and keys that ssh-keygen made."""

import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

from platform_stage import Stage

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.ssh import Door, SshTarget, Visit
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.ssh.admission import Admission
from jupyter_mlplat.ssh.reconcile import SshReconciler
from jupyter_mlplat.ssh.service import SshService

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICyfZuiTbkO0DiukFTISSTn+bWX6hqPIik4gL+biQwNH"


class House(SshTarget):
    """Notes who was let in and which names the gateway knows."""

    def __init__(self) -> None:
        self.inside: dict[str, Visit] = {}
        self.known: list[str] = []
        self.keys: Sequence[str] = ()
        self.ready = True

    async def host_key(self, instance_id: str) -> str:
        return HOST_KEY

    async def admit(self, spec: InstanceSpec, keys: Sequence[str], visit: Visit) -> Door:
        if not self.ready:
            raise BackendFailure("It is not there yet.")
        self.keys = keys
        self.inside[visit.id] = visit
        return Door(("/usr/sbin/sshd", "-i"), {"PATH": "/bin"})

    async def visits(self, instance_id: str | None = None) -> list[Visit]:
        return [visit for visit in self.inside.values() if instance_id in (None, visit.instance_id)]

    async def cut(self, visit_id: str) -> None:
        del self.inside[visit_id]

    async def know(self, logins: Collection[str]) -> None:
        self.known = list(logins)


class Ssh:
    """The services of SSH on a stage."""

    def __init__(self, stage: Stage, house: House | None = None) -> None:
        self.stage, self.house = stage, house or House()
        settings = stage.settings.model_copy(update={"ssh_port": 2222, "ssh_host_key": HOST_KEY, "ssh_key_quota": 3})
        self.service = SshService(stage.database, self.house, stage.instances, settings)
        self.admission = Admission(stage.database, stage.broker, self.house, stage.instances)
        self.work = SshReconciler(stage.database, stage.broker, self.house)

    async def settle(self) -> None:
        """What the reconciler does after a commit."""
        for due in await self.work.pending():
            await self.work.reconcile(due)


def ssh_keygen(folder: Path, *options: str, comment: str = "alice@laptop") -> str:
    """The public line of a fresh key."""
    path = folder / f"key{len(list(folder.iterdir()))}"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", comment, "-f", str(path), *options], check=True)
    return path.with_suffix(".pub").read_text()


def fingerprint(folder: Path, public: str) -> str:
    """As ssh-keygen shows it."""
    path = folder / "shown.pub"
    path.write_text(public)
    return subprocess.run(["ssh-keygen", "-lf", str(path)], check=True, capture_output=True, text=True).stdout.split()[
        1
    ]
