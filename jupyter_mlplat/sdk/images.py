"""Images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from jupyter_mlplat.errors import BackendFailure, NotFound
from jupyter_mlplat.flavors.models import Category
from jupyter_mlplat.images.containerfile import load, with_arguments
from jupyter_mlplat.images.models import (
    Image,
    ImageBuild,
    ImageComparison,
    ImageDetail,
    ImageRegister,
    ImageStatus,
    ImageUpdate,
    Origin,
    Service,
    Visibility,
)
from jupyter_mlplat.jobs.survey import survey
from jupyter_mlplat.sdk.bundles import Sent, limits, send
from jupyter_mlplat.sdk.identifiers import looks_like_id
from jupyter_mlplat.sdk.logs import GrowingLog
from jupyter_mlplat.sdk.waiting import wait_until
from jupyter_mlplat.sdk.wire import Wire

ImageList = list[Image]

MAKING = frozenset({ImageStatus.INIT, ImageStatus.CREATING})
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
        visibility: Visibility | None = None,
        owner: str | None = None,
        category: Category | None = None,
        service: Service | None = None,
        arch: str | None = None,
        package: str | None = None,
        outdated: bool | None = None,
        limit: int | None = None,
    ) -> ImageList:
        """Images that match: presets, the caller's own, and public ones. `package` is one that is in them."""
        filters = {
            "name": name,
            "origin": origin,
            "status": status,
            "visibility": visibility,
            "owner": owner,
            "category": category,
            "service": service,
            "arch": arch,
            "package": package,
            "outdated": outdated,
        }
        given = {key: _plain(value) for key, value in filters.items() if value is not None}
        return self._wire.all("/images", Image, limit, given)

    def get(self, image_id: str) -> ImageDetail:
        """One image with what is in it, what it stands on and who uses it."""
        return self._wire.call("GET", _path(image_id), ImageDetail)

    def register(self, wanted: ImageRegister) -> Image:
        """Have an image that was built elsewhere taken over; `wait` until that is done."""
        return self._wire.call("POST", "/images", Image, json=wanted.model_dump(mode="json"))

    def build(
        self,
        folder: str | Path,
        name: str,
        tag: str,
        *,
        file: str | None = None,
        description: str = "",
        categories: Sequence[Category] = (),
        services: Sequence[Service] = (),
        arguments: Mapping[str, str] = MappingProxyType({}),
        sent: Sent | None = None,
    ) -> Image:
        """Have an image built from the Containerfile of a folder; `wait` until that is done.

        `file` is the Containerfile's path in the folder; without it `Containerfile`, or else `Dockerfile`. Files that
        `.mlplatignore` leaves out do not go. `arguments` are values for its ARGs: the Containerfile that
        is sent has them in it. `sent` is called with (bytes sent, bytes in all) while the folder goes up.
        """
        found = containerfile(Path(folder), file)
        fields = {"resource_categories": list(categories), "services": list(services)}
        wanted = ImageBuild.model_validate(
            {
                "name": name,
                "tag": tag,
                "description": description,
                "containerfile": with_arguments(load(found), arguments),
                "bundle": f"sha256:{'0' * 64}",
                **{key: value for key, value in fields.items() if value},
            }
        )
        seen = survey(Path(folder), found.relative_to(Path(folder)).as_posix(), limits(self._wire))
        wanted.bundle = send(self._wire, seen, sent)
        return self._wire.call("POST", "/images/builds", Image, json=wanted.model_dump(mode="json"))

    def log(self, image_id: str, *, offset: int = 0, follow: bool = False) -> Iterator[str]:
        """The log of a build from a byte offset, piece by piece; with `follow` until the build ends."""
        log = GrowingLog(self._wire, f"{_path(image_id)}/log", lambda: self._has_ended(image_id))
        yield from log.text(offset, follow=follow)

    def _has_ended(self, image_id: str) -> bool:
        try:
            return self.get(image_id).status not in MAKING
        except NotFound:  # given up
            return True

    def compare(self, image_id: str, other_id: str) -> ImageComparison:
        """How the image `other_id` differs from `image_id`."""
        return self._wire.call("GET", f"{_path(image_id)}/comparison", ImageComparison, params={"other": other_id})

    def update(
        self,
        image_id: str,
        *,
        description: str | None = None,
        visibility: Visibility | None = None,
        groups: Sequence[str] = (),
    ) -> Image:
        """Describe an image anew, or change who may see and use it; `groups` go with the visibility GROUP."""
        wanted = ImageUpdate(description=description, visibility=visibility, groups=list(groups))
        body = wanted.model_dump(mode="json", exclude_defaults=True)
        return self._wire.call("PATCH", _path(image_id), Image, json=body)

    def find(self, reference: str) -> Image:
        """The image that is meant by NAME (its newest tag), NAME:TAG or an id; one's own before others'."""
        if looks_like_id(reference):
            with suppress(NotFound):
                return self.get(reference)
        name, _, tag = reference.partition(":")
        matches = [found for found in self.list(name=name) if found.name == name and tag in ("", found.tag)]
        if not matches:
            raise NotFound(f"There is no image {reference!r}. `mlplat image list` shows those that there are.")
        if len({found.owner for found in matches}) > 1:
            matches = [found for found in matches if found.owner == self._wire.user] or matches
        return max(matches, key=lambda found: (found.status is ImageStatus.ACTIVE, found.created_at))

    def cancel(self, image_id: str) -> Image:
        """Give up a save, a copy or a build that is under way."""
        return self._wire.call("POST", f"{_path(image_id)}/cancel", Image)

    def delete(self, image_id: str) -> Image:
        return self._wire.call("DELETE", _path(image_id), Image)

    def wait(
        self, image_id: str, *, timeout: float | None = 3600, seen: Callable[[Image], None] | None = None
    ) -> ImageDetail:
        """The image once it is ACTIVE; `seen` gets each reading. Raises BackendFailure where it cannot be saved."""
        return wait_until(lambda: self.get(image_id), _active, what=f"the image {image_id}", timeout=timeout, seen=seen)


def containerfile(folder: Path, file: str | None = None) -> Path:
    """The Containerfile of a folder; NotFound where there is none."""
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.")
    names = [file] if file else ["Containerfile", "Dockerfile"]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise NotFound(f"There is no {' and no '.join(names)} in the folder {folder}.")


def _plain(value: str | bool) -> str:
    """A filter as it stands in an address."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _active(now: Image) -> bool:
    if now.status in FAILED:
        done = "built" if now.built else "saved"
        raise BackendFailure(f"The image {now.name}:{now.tag} was not {done}: {now.status_message}")
    if now.status is ImageStatus.DELETED:
        raise NotFound(f"The image {now.name}:{now.tag} was deleted.")
    return now.status is ImageStatus.ACTIVE


def _path(image_id: str) -> str:
    return f"/images/{quote(image_id, safe='')}"
