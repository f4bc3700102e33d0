"""With whom images are shared, and which one something new may run on."""

from collections.abc import Collection
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.errors import Conflict, InvalidInput
from jupyter_mlplat.images import store
from jupyter_mlplat.images.models import Image, ImageStatus, Visibility
from jupyter_mlplat.images.store import ImageRow

SomeImage = TypeVar("SomeImage", bound=Image)


def is_shared(image: Image | ImageRow, groups: Collection[str]) -> bool:
    """Whether an image is everybody's to see and use, or of one of these groups."""
    return image.visibility == Visibility.PUBLIC or bool(set(image.groups) & set(groups))


def as_seen(image: SomeImage, actor: Actor, groups: Collection[str]) -> SomeImage:
    """The image as a caller of those groups sees it: of the groups that it is shared with, others only their own."""
    if actor.user == image.owner or actor.admin:
        return image
    return image.model_copy(update={"groups": [group for group in image.groups if group in groups]})


async def usable(session: AsyncSession, actor: Actor, groups: Collection[str], image_id: str | None) -> ImageRow:
    """The image that the caller, of those groups, wants for something new; without an id the preferred one.

    InvalidInput where there is none, NotFound where it is not shared with them, Conflict where it is not ready.
    """
    image = await (store.get(session, image_id) if image_id else store.preferred(session))
    if image is None:
        raise InvalidInput(f"There is no image {image_id!r}. `mlplat image list` shows those that you can use.")
    require(actor, "image:use", owner=image.owner, resource_id=image.id, shared=is_shared(image, groups))
    if image.status != ImageStatus.ACTIVE:
        raise Conflict(f"Image {image.full_name} is {image.status}; only an ACTIVE one can be used.")
    return image
