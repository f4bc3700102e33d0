"""Images."""

from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

from jupyter_mlplat.errors import BackendFailure, NotFound
from jupyter_mlplat.images.models import Image, ImageDetail, ImageStatus, Origin
from jupyter_mlplat.sdk.identifiers import looks_like_id
from jupyter_mlplat.sdk.waiting import wait_until
from jupyter_mlplat.sdk.wire import Wire

ImageList = list[Image]

FAILED = frozenset({ImageStatus.CREATE_FAILED, ImageStatus.ERROR})


class Images:
    """`client.images`. Every method takes an image's id; `find` turns NAME or NAME:TAG into an image."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(
        self,
        *,
        name: str | None = None,
        origin: Origin | None = None,
        status: ImageStatus | None = None,
        limit: int | None = None,
    ) -> ImageList:
        """Images that match: presets, the caller's own, and public ones."""
        filters = {"name": name, "origin": origin and origin.value, "status": status and status.value}
        return self._wire.all("/images", Image, limit, filters)

    def get(self, image_id: str) -> ImageDetail:
        """One image with the packages in it."""
        return self._wire.call("GET", _path(image_id), ImageDetail)

    def find(self, reference: str) -> Image:
        """The image that is meant by NAME (its newest tag), NAME:TAG or an id."""
        if looks_like_id(reference):
            with suppress(NotFound):
                return self.get(reference)
        name, _, tag = reference.partition(":")
        matches = [found for found in self.list(name=name) if found.name == name and tag in ("", found.tag)]
        if not matches:
            raise NotFound(f"There is no image {reference!r}. `mlplat image list` shows those that there are.")
        return max(matches, key=lambda found: (found.status is ImageStatus.ACTIVE, found.created_at))

    def delete(self, image_id: str) -> Image:
        return self._wire.call("DELETE", _path(image_id), Image)

    def wait(
        self, image_id: str, *, timeout: float | None = 3600, seen: Callable[[Image], None] | None = None
    ) -> ImageDetail:
        """The image once it is ACTIVE; `seen` gets each reading. Raises BackendFailure where it cannot be saved."""
        return wait_until(lambda: self.get(image_id), _active, what=f"the image {image_id}", timeout=timeout, seen=seen)


def _active(now: Image) -> bool:
    if now.status in FAILED:
        raise BackendFailure(f"The image {now.name}:{now.tag} was not saved: {now.status_message}")
    if now.status is ImageStatus.DELETED:
        raise NotFound(f"The image {now.name}:{now.tag} was deleted.")
    return now.status is ImageStatus.ACTIVE


def _path(image_id: str) -> str:
    return f"/images/{quote(image_id, safe='')}"
