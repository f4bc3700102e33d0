"""Presets in the catalogue: what the back end offers, prepared at first use."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from jupyter_mlplat.backends.base import Checkpoint
from jupyter_mlplat.backends.imaging import ImageBackend, PresetImage
from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import MlplatError, NotFound
from jupyter_mlplat.images import editions, store
from jupyter_mlplat.images.models import ImageStatus, Origin, Visibility
from jupyter_mlplat.images.store import ImageRow

log = logging.getLogger(__name__)

PLATFORM = ""
"""The owner of the presets: nobody."""


class PresetPreparer:
    """Keeps the preset rows as the back end has them, and prepares an image before its first use."""

    def __init__(self, database: Database, backend: ImageBackend) -> None:
        self._database = database
        self._backend = backend

    async def refresh(self) -> None:
        """Bring the preset rows in line with what the back end offers, and learn what is in images not known yet."""
        offered = await self._backend.presets()
        async with self._database.transaction() as session:
            rows = {(row.name, row.tag): row for row in await store.presets(session)}
            for preset in offered:
                row = rows.pop((preset.name, preset.tag), None)
                if row is None:
                    row = ImageRow(id=new_id("m"), owner=PLATFORM, name=preset.name, tag=preset.tag)
                    session.add(row)
                _describe(row, preset)
            for row in rows.values():
                row.status = ImageStatus.ERROR
                row.status_message = "This preset is no longer offered."
        await self._learn()

    async def _learn(self) -> None:
        """Remember the contents of every image whose edition is not known; parents before their children."""
        async with self._database.read() as session:
            unknown = await store.without_edition(session)
        for row in unknown:
            try:
                contents = await self._backend.contents(row.digest or "")
            except MlplatError as error:
                log.warning("what is in %s is not known: %s", row.full_name, error)
                continue
            async with self._database.transaction() as session:
                await editions.note(session, row, contents.packages, contents.layers)

    async def prepare(self, image_id: str) -> AsyncGenerator[Checkpoint, None]:
        """Make a preset that has no digest yet; nothing for any other image."""
        async with self._database.read() as session:
            row = await store.get(session, image_id)
        if row is None:
            raise NotFound("The image is gone; choose another image.")
        if row.digest is not None:
            return
        async with aclosing(self._backend.prepare(row.full_name)) as checkpoints:
            async for checkpoint in checkpoints:
                yield checkpoint
        await self.refresh()


def _describe(row: ImageRow, preset: PresetImage) -> None:
    row.origin, row.visibility = Origin.PRESET, Visibility.PUBLIC
    row.status, row.status_message = ImageStatus.ACTIVE, ""
    row.description, row.size, row.architectures = preset.description, preset.size, list(preset.architectures)
    row.resource_categories, row.preferred = list(preset.categories), preset.default
    row.services, row.retires_on, row.instead = list(preset.services), preset.retires_on, preset.instead
    row.digest, row.reference = preset.digest, preset.reference
