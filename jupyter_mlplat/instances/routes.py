"""REST of instances."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from jupyter_mlplat.backends.base import ServerLaunch
from jupyter_mlplat.core.models import Page, PageRequest
from jupyter_mlplat.events.models import Event
from jupyter_mlplat.flavors.models import FlavorChoice
from jupyter_mlplat.http import Caller, Parts, hub_only
from jupyter_mlplat.images.models import Image, ImageSave, SavePreview, SavePreviewRequest
from jupyter_mlplat.instances.models import (
    Instance,
    InstanceCreate,
    InstanceFilter,
    InstanceSwitch,
    InstanceUpdate,
    Wanted,
    WorkFolder,
)

router = APIRouter(prefix="/instances", tags=["instances"])
internal = APIRouter(prefix="/internal", tags=["internal"], dependencies=[Depends(hub_only)])


@router.get("", operation_id="list_instances")
async def list_instances(actor: Caller, parts: Parts, wanted: Annotated[InstanceFilter, Query()]) -> Page[Instance]:
    """The caller's instances; for an administrator everybody's."""
    return await parts.instances.find(actor, wanted)


@router.post("", status_code=202, operation_id="create_instance")
async def create_instance(actor: Caller, parts: Parts, wanted: InstanceCreate) -> Instance:
    """Create an instance; it starts in the background."""
    return await parts.instances.create(actor, wanted)


@router.get("/{instance_id}", operation_id="get_instance")
async def get_instance(actor: Caller, parts: Parts, instance_id: str) -> Instance:
    return await parts.instances.get(actor, instance_id)


@router.patch("/{instance_id}", operation_id="update_instance")
async def update_instance(actor: Caller, parts: Parts, instance_id: str, wanted: InstanceUpdate) -> Instance:
    """Change name, description or tags, or let the work folder grow."""
    return await parts.instances.update(actor, instance_id, wanted)


@router.put("/{instance_id}/work", operation_id="report_work_folder")
async def report_work_folder(actor: Caller, parts: Parts, instance_id: str, seen: WorkFolder) -> Instance:
    """How full the work folder is: told by the instance's own server."""
    return await parts.instances.report_work(actor, instance_id, seen)


@router.delete("/{instance_id}", status_code=202, operation_id="delete_instance")
async def delete_instance(actor: Caller, parts: Parts, instance_id: str) -> Instance:
    """Stop the instance and remove it with its work folder."""
    return await parts.instances.delete(actor, instance_id)


@router.post("/{instance_id}/start", status_code=202, operation_id="start_instance")
async def start_instance(actor: Caller, parts: Parts, instance_id: str) -> Instance:
    return await parts.instances.start(actor, instance_id)


@router.post("/{instance_id}/stop", status_code=202, operation_id="stop_instance")
async def stop_instance(actor: Caller, parts: Parts, instance_id: str) -> Instance:
    return await parts.instances.stop(actor, instance_id)


@router.post("/{instance_id}/switch", status_code=202, operation_id="switch_instance")
async def switch_instance(actor: Caller, parts: Parts, instance_id: str, wanted: InstanceSwitch) -> Instance:
    """Change flavor or image: live where the back end can, else by a restart that `restart` agrees to."""
    return await parts.instances.switch(actor, instance_id, wanted)


@router.get("/{instance_id}/flavors", operation_id="list_instance_flavors")
async def list_instance_flavors(actor: Caller, parts: Parts, instance_id: str) -> list[FlavorChoice]:
    """Where the instance may switch to, and what that does."""
    return await parts.instances.choices(actor, instance_id)


@router.get("/{instance_id}/events", operation_id="list_instance_events")
async def list_instance_events(
    actor: Caller, parts: Parts, instance_id: str, page: Annotated[PageRequest, Query()]
) -> Page[Event]:
    return await parts.instances.events(actor, instance_id, page.limit, page.offset)


@router.post("/{instance_id}/images", status_code=202, operation_id="save_image")
async def save_image(actor: Caller, parts: Parts, instance_id: str, wanted: ImageSave) -> Image:
    """Save the environment of a running instance as an image."""
    return await parts.images.save(actor, instance_id, wanted)


@router.post("/{instance_id}/images/preview", operation_id="preview_image")
async def preview_image(actor: Caller, parts: Parts, instance_id: str, wanted: SavePreviewRequest) -> SavePreview:
    """What a save of the instance's environment would put into the image now."""
    return await parts.images.preview(actor, instance_id, wanted)


@internal.post("/permits/{permit}/redeem", operation_id="redeem_permit", include_in_schema=False)
async def redeem_permit(parts: Parts, permit: str) -> ServerLaunch:
    """Trade a permit for how to start a server; for the Hub's spawner alone."""
    return await parts.instances.redeem(permit)


@internal.get("/instances/{instance_id}/wanted", operation_id="is_instance_wanted", include_in_schema=False)
async def is_instance_wanted(parts: Parts, instance_id: str) -> Wanted:
    """Whether an instance is to run; for the Hub's spawner alone."""
    return await parts.instances.wanted(instance_id)
