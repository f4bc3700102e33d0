"""Pages of instances: the list, a new one, one in detail, the way into its Lab, and the dialogs of each change."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import count
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.console.connecting import connection
from jupyter_mlplat.console.guard import PageRoute
from jupyter_mlplat.console.render import page
from jupyter_mlplat.console.states import is_open
from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.events.models import Event
from jupyter_mlplat.flavors.models import Category, FlavorOffer
from jupyter_mlplat.http import Caller, Parts, Services
from jupyter_mlplat.images import store as image_store
from jupyter_mlplat.images.models import Image, ImageFilter, ImageStatus, Origin, SavePreviewRequest
from jupyter_mlplat.instances.models import Instance, InstanceFilter
from jupyter_mlplat.oci.left_out import EXCLUDED

router = APIRouter(route_class=PageRoute, include_in_schema=False)

MANY = 500
EVENTS = 100
CATEGORIES = {Category.CPU: "CPU", Category.GPU: "GPU", Category.ASCEND: "Ascend NPU"}


@router.get("/")
async def instances(request: Request, actor: Caller, parts: Parts, name: str = "") -> Response:
    """Where people land: their instances; everybody's for an administrator, their own first."""
    found = await parts.instances.find(actor, InstanceFilter(limit=MANY, name=name[:64] or None))
    found.data.sort(key=lambda instance: instance.owner != actor.user)
    return page(request, "instances.html", found=found, flavors=known_flavors(parts, found.data), name=name)


@router.get("/instances/new")
async def new_instance(request: Request, actor: Caller, parts: Parts, image: str = "") -> Response:
    """What a new instance is made of; `image` is chosen beforehand."""
    images = (await parts.images.find(actor, ImageFilter(limit=MANY, status=ImageStatus.ACTIVE))).data
    offers = await parts.flavors.offers()
    return page(
        request,
        "instance_new.html",
        groups=_grouped(images, actor.user),
        images=images,
        chosen=image or await _preferred_image(parts),
        flavor_groups=_by_category(offers),
        flavor=next((offer.id for offer in offers if not offer.sold_out), ""),
        name=await _free_name(parts, actor),
    )


@router.get("/instances/{instance_id}")
async def instance(request: Request, actor: Caller, parts: Parts, instance_id: str) -> Response:
    found = await parts.instances.get(actor, instance_id)
    return page(
        request,
        "instance.html",
        instance=found,
        flavors=known_flavors(parts, [found]),
        events=await _last_events(parts, actor, instance_id),
        ssh=await connection(parts, actor, found) if found.owner == actor.user else None,
        mounts=(await parts.mounts.find(actor, instance_id)).mounts,
    )


@router.get("/instances/{instance_id}/open")
async def open_instance(request: Request, actor: Caller, parts: Parts, instance_id: str) -> Response:
    """To its Lab as soon as that is there; until then what is under way, or what to do."""
    found = await parts.instances.get(actor, instance_id)
    if is_open(found):
        return RedirectResponse(found.url, status_code=303)
    events = await _last_events(parts, actor, instance_id)
    return page(request, "instance_open.html", instance=found, events=events, mine=found.owner == actor.user)


@router.get("/instances/{instance_id}/preview")
async def preview_image(
    request: Request,
    actor: Caller,
    parts: Parts,
    instance_id: str,
    exclude: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """What a save would put into the image; a part of the dialog that saves."""
    wanted = preview_request(exclude or [])
    found = await parts.instances.get(actor, instance_id)
    seen = await parts.images.preview(actor, instance_id, wanted)
    left = set(wanted.exclude)
    return page(request, "instance_preview.html", instance=found, preview=seen, left=left, excluded=EXCLUDED)


@router.get("/instances/{instance_id}/{change}")
async def change_instance(request: Request, actor: Caller, parts: Parts, instance_id: str, change: str) -> Response:
    """The dialog of one change; as a page of its own where no script opens it."""
    if change not in DIALOGS:
        raise NotFound(f"The console has no page {change!r} for an instance.")
    found = await parts.instances.get(actor, instance_id)
    values = await DIALOGS[change](parts, actor, found)
    return page(request, f"instance_{change}.html", instance=found, **values)


def preview_request(exclude: list[str]) -> SavePreviewRequest:
    try:
        return SavePreviewRequest(exclude=exclude)
    except ValidationError as error:
        raise InvalidInput(f"These paths cannot be left out: {error.errors()[0]['msg']}.") from error


async def _plain(_parts: Services, _actor: Actor, _instance: Instance) -> dict[str, Any]:
    return {}


async def _flavor_choices(parts: Services, actor: Actor, instance: Instance) -> dict[str, Any]:
    return {"choices": await parts.instances.choices(actor, instance.id)}


async def _image_choices(parts: Services, actor: Actor, instance: Instance) -> dict[str, Any]:
    images = (await parts.images.find(actor, ImageFilter(limit=MANY, status=ImageStatus.ACTIVE))).data
    return {"groups": _grouped(images, actor.user)}


async def _suggested_tag(parts: Services, actor: Actor, instance: Instance) -> dict[str, Any]:
    stem = instance.image_name.partition(":")[0]
    taken = {image.tag for image in (await parts.images.find(actor, ImageFilter(limit=MANY, name=f"{stem}:"))).data}
    return {"name": stem, "tag": next(tag for n in count(1) if (tag := f"v{n}") not in taken)}


async def _own_keys(parts: Services, actor: Actor, instance: Instance) -> dict[str, Any]:
    return {"keys": await parts.ssh.keys(actor), "chosen": (await parts.ssh.host(actor, instance.id)).keys}


DIALOGS: dict[str, Callable[[Services, Actor, Instance], Awaitable[dict[str, Any]]]] = {
    "stop": _plain,
    "rename": _plain,
    "delete": _plain,
    "flavor": _flavor_choices,
    "image": _image_choices,
    "save": _suggested_tag,
    "keys": _own_keys,
}


def known_flavors(parts: Services, instances: Iterable[Instance]) -> dict[str, str]:
    """The names of the flavors that the instances have or switch to; the id where the catalogue lost one."""
    wanted = {flavor for instance in instances for flavor in (instance.flavor, instance.target_flavor) if flavor}
    return {flavor: flavor_name(parts, flavor) for flavor in wanted}


def flavor_name(parts: Services, flavor_id: str) -> str:
    try:
        return parts.flavors.get(flavor_id).name
    except InvalidInput:
        return flavor_id


def _grouped(images: Iterable[Image], user: str) -> list[tuple[str, list[Image]]]:
    """The images under the headings that they are looked for."""
    groups: dict[str, list[Image]] = {"Your images": [], "Presets": [], "Shared with you": []}
    for image in images:
        mine = "Your images" if image.owner == user else "Shared with you"
        groups["Presets" if image.origin == Origin.PRESET else mine].append(image)
    return [(heading, members) for heading, members in groups.items() if members]


def _by_category(offers: Sequence[FlavorOffer]) -> list[tuple[str, list[FlavorOffer]]]:
    """The flavors under the names of their kinds of machine, each group in the order of the catalogue."""
    groups = {category: [offer for offer in offers if offer.category == category] for category in CATEGORIES}
    return [(CATEGORIES[category], members) for category, members in groups.items() if members]


async def _preferred_image(parts: Services) -> str:
    async with parts.database.read() as session:
        image = await image_store.preferred(session)
    return image.id if image else ""


async def _free_name(parts: Services, actor: Actor) -> str:
    """A name that no instance of the user has: notebook, notebook-2, notebook-3."""
    found = await parts.instances.find(actor, InstanceFilter(limit=MANY, owner=actor.user))
    taken = {instance.name for instance in found.data}
    return next(name for n in count(1) if (name := "notebook" if n == 1 else f"notebook-{n}") not in taken)


async def _last_events(parts: Services, actor: Actor, instance_id: str) -> list[Event]:
    """The newest events, newest first."""
    total = (await parts.instances.events(actor, instance_id, 1, 0)).total
    last = await parts.instances.events(actor, instance_id, EVENTS, max(0, total - EVENTS))
    return last.data[::-1]
