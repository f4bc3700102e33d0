"""Mounts: folders of buckets that instances see as files."""

from collections.abc import Callable
from urllib.parse import quote

from jupyter_mlplat.errors import BackendFailure, NotFound
from jupyter_mlplat.mounts.models import Mount, MountCreate, MountList, MountStatus
from jupyter_mlplat.sdk.waiting import wait_until
from jupyter_mlplat.sdk.wire import Wire

FAILED = frozenset({MountStatus.MOUNT_FAILED, MountStatus.UNMOUNT_FAILED})
GOING = frozenset({MountStatus.MOUNTING, MountStatus.UNMOUNTING})


class Mounts:
    """`client.mounts`. Every method takes the id of the instance first."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, instance_id: str) -> MountList:
        """The mounts of an instance, and why there can be none here."""
        return self._wire.call("GET", _path(instance_id), MountList)

    def create(self, instance_id: str, source: str, *, name: str | None = None, read_only: bool = False) -> Mount:
        """Mount obs://BUCKET/FOLDER in a running instance; `name` is the last part of that unless given."""
        wanted = MountCreate.model_construct(source=source, name=name, read_only=read_only)
        return self._wire.call("POST", _path(instance_id), Mount, json=wanted.model_dump(mode="json"))

    def find(self, instance_id: str, text: str) -> Mount:
        """The mount of that name, path or id."""
        found = [mount for mount in self.list(instance_id).mounts if text in (mount.name, mount.path, mount.id)]
        if not found:
            raise NotFound(f"Nothing is mounted at {text!r}. `mlplat mount list NAME` shows what is.")
        return found[0]

    def remove(self, instance_id: str, mount_id: str) -> Mount:
        """Unmount it, once what was written to it is sent; what is in the bucket stays."""
        return self._wire.call("DELETE", _path(instance_id, mount_id), Mount)

    def wait(self, mount: Mount, *, seen: Callable[[Mount], None] | None = None, timeout: float | None = None) -> Mount:
        """Until it is mounted, or gone where it is being removed; BackendFailure, with the reason, if that fails."""

        def read() -> Mount:
            try:
                return self._wire.call("GET", _path(mount.instance_id, mount.id), Mount)
            except NotFound:
                return mount.model_copy(update={"status": MountStatus.UNMOUNTED, "message": ""})

        what = f"{mount.path} of the instance {mount.instance_id}"
        settled = wait_until(read, lambda one: one.status not in GOING, what=what, timeout=timeout, seen=seen)
        if settled.status in FAILED:
            raise BackendFailure(settled.message)
        return settled


def _path(instance_id: str, mount_id: str = "") -> str:
    parts = ["/instances", quote(instance_id, safe=""), "storage", quote(mount_id, safe="")]
    return "/".join(part for part in parts if part)
