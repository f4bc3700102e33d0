"""REST of mounts, below their instances."""

from fastapi import APIRouter

from jupyter_mlplat.http import Caller, Parts
from jupyter_mlplat.mounts.models import Mount, MountCreate, MountList

router = APIRouter(prefix="/instances/{instance_id}/storage", tags=["mounts"])


@router.get("", operation_id="list_mounts")
async def list_mounts(actor: Caller, parts: Parts, instance_id: str) -> MountList:
    """The folders of buckets that the instance sees as files, or why there can be none here."""
    return await parts.mounts.find(actor, instance_id)


@router.post("", status_code=202, operation_id="create_mount")
async def create_mount(actor: Caller, parts: Parts, instance_id: str, wanted: MountCreate) -> Mount:
    """Mount a folder of a bucket in a running instance."""
    return await parts.mounts.create(actor, instance_id, wanted)


@router.get("/{mount_id}", operation_id="get_mount")
async def get_mount(actor: Caller, parts: Parts, instance_id: str, mount_id: str) -> Mount:
    return await parts.mounts.get(actor, instance_id, mount_id)


@router.delete("/{mount_id}", status_code=202, operation_id="remove_mount")
async def remove_mount(actor: Caller, parts: Parts, instance_id: str, mount_id: str) -> Mount:
    """Unmount it; what was written to it is sent to the bucket first. What is in the bucket stays."""
    return await parts.mounts.remove(actor, instance_id, mount_id)
