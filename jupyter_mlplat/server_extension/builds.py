"""`mlplat/builds`: the folder of a Containerfile in the work folder becomes an image that the platform builds."""

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.web import authenticated

from jupyter_mlplat.errors import Conflict, InvalidInput, MlplatError
from jupyter_mlplat.server_extension.base import MlplatHandler
from jupyter_mlplat.server_extension.packing import UNKNOWN_DIGEST, entry_file, limits_in_force, send_beside, what_goes
from jupyter_mlplat.server_extension.platform import fetch

if TYPE_CHECKING:
    from jupyter_mlplat.images.models import ImageBuild
    from jupyter_mlplat.jobs.bundle import Limits

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


class BuildPreviewHandler(MlplatHandler):
    """What a build would send and stand on, before anything is sent."""

    _track_activity = False

    @authenticated
    async def get(self) -> None:
        """`?path=` is the Containerfile, work-relative. Problems are what is known to keep it from being built."""
        file = entry_file(self.work_folder, self.get_query_argument("path", "", strip=False))
        body = await asyncio.to_thread(preview, self.work_folder, file, await limits_in_force())
        if words := await _in_the_way():
            body["problems"] = [words]
        self.answer(body)


class BuildHandler(MlplatHandler):
    """Packs, uploads and has it built; the answer is the platform's."""

    @authenticated
    async def post(self) -> None:
        """`{path, name, tag, …}` with the fields of ImageBuild."""
        body = self.body_object()
        path = body.pop("path", "")
        file = entry_file(self.work_folder, path if isinstance(path, str) else "")
        wanted = await asyncio.to_thread(build_of, body, file)
        if words := await _in_the_way():
            raise Conflict(words)
        wanted.bundle = await send_beside(file, await limits_in_force())
        self.pass_on(await fetch("POST", "images/builds", wanted.model_dump(mode="json")))


def preview(root: Path, file: Path, limits: "Limits | None" = None) -> dict[str, Any]:
    """The body of `GET builds/preview`; blocks while it looks through the folder."""
    sent = what_goes(root, file, limits)
    stands_on: list[str] = []
    try:
        stands_on = _stands_on(_text(file))
    except MlplatError as error:
        sent["problems"].insert(0, error.message)
    return sent | {"name": image_name(file), "stands_on": stands_on}


def build_of(fields: dict[str, Any], file: Path) -> "ImageBuild":
    """The build that is asked for, its files still unknown. InvalidInput says what is wrong with it."""
    from pydantic import ValidationError

    from jupyter_mlplat.core.text import describe
    from jupyter_mlplat.images.models import ImageBuild

    text = _text(file)
    _stands_on(text)
    try:
        return ImageBuild(**(fields | {"containerfile": text, "bundle": UNKNOWN_DIGEST}))
    except ValidationError as error:
        raise InvalidInput(describe(error.errors())) from None


def image_name(file: Path) -> str:
    """A name for what is built from this file: that of its folder."""
    return _NOT_IN_NAMES.sub("-", file.parent.name.lower()).strip("-")[:128].strip("-") or "my-image"


def _stands_on(text: str) -> list[str]:
    from jupyter_mlplat.images.containerfile import read

    return list(read(text).named)


def _text(file: Path) -> str:
    from jupyter_mlplat.images.containerfile import load

    return load(file)


async def _in_the_way() -> str:
    """Why nothing can be built just now, in words; empty where it can."""
    offer = (await fetch("GET", "images/builds")).json()
    if not offer["absent"] and offer["running"] >= offer["most"]:
        return f"You have as many builds under way as your quota allows: {offer['most']}. Wait, or cancel one."
    return str(offer["absent"])
