"""A save can be looked at beforehand and given up; the instance goes on, and nothing half-made stays."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from platform_stage import ALICE, BOB, Stage
from pydantic import ValidationError

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.backends.base import Checkpoint
from jupyter_mlplat.backends.imaging import SavedImage, SaveSpec
from jupyter_mlplat.backends.memory import MemoryImages
from jupyter_mlplat.errors import Conflict, NotFound
from jupyter_mlplat.images.models import Image, ImageSave, ImageStatus, Package, SavePreviewRequest
from jupyter_mlplat.images.pace import Pace
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.instances.models import Status

EINOPS = Package(name="einops", version="0.8.1")
TORCH = Package(name="torch", version="2.13.0")
SITE = "opt/mlplat/env/lib/python3.11/site-packages"


class SaveTakesForEver(MemoryImages):
    cleared = False

    async def save(self, spec: SaveSpec) -> AsyncGenerator[Checkpoint | SavedImage, None]:
        try:
            yield Checkpoint("Writing changed files", done=1, total=2)
            await asyncio.Event().wait()
        finally:
            type(self).cleared = True


class CancelledAtTheLastMoment(MemoryImages):
    """The wish comes when the image is complete already."""

    stage: Stage

    async def save(self, spec: SaveSpec) -> AsyncGenerator[Checkpoint | SavedImage, None]:
        async for step in super().save(spec):
            if isinstance(step, SavedImage):
                await self.stage.images.cancel(ALICE, spec.image_id)
            yield step


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def begin_save(stage: Stage) -> Image:
    instance = await stage.running_instance()
    stage.world.installed[instance.id] = [EINOPS]
    return await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))


async def status(stage: Stage, image: Image) -> str:
    async with stage.database.read() as session:
        return (await session.get_one(ImageRow, image.id)).status


async def come_to(stage: Stage, image: Image, wanted: str) -> None:
    """Return once the image has that status; each commit is looked at."""
    with stage.broker.subscribe() as word:
        while await status(stage, image) != wanted:
            await word.wait(1)


async def instance_status(stage: Stage, image: Image) -> Status:
    return (await stage.instances.get(ALICE, image.instance_id or "")).status


async def test_a_save_under_way_is_given_up_at_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, images_are=SaveTakesForEver)
    image = await begin_save(stage)
    running = asyncio.create_task(stage.image_work.run())
    try:
        await come_to(stage, image, ImageStatus.CREATING)
        await stage.images.cancel(ALICE, image.id)
        await come_to(stage, image, ImageStatus.DELETED)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert SaveTakesForEver.cleared
    assert await instance_status(stage, image) == Status.RUNNING
    assert (await stage.happened(image.id))[-1] == "SaveCancelled"
    with pytest.raises(NotFound):
        await stage.images.get(ALICE, image.id)
    again = await stage.images.save(ALICE, image.instance_id or "", ImageSave(name="mine", tag="1"))
    assert again.status == ImageStatus.INIT, "the name is free again"


async def test_a_save_that_has_not_begun_never_does(stage: Stage) -> None:
    image = await begin_save(stage)
    await stage.images.cancel(ALICE, image.id)
    await stage.images.cancel(ALICE, image.id)
    await stage.settle()
    assert await status(stage, image) == ImageStatus.DELETED
    assert await instance_status(stage, image) == Status.RUNNING
    assert [one.action for one in await stage.audited()].count("image:cancel") == 1


async def test_a_wish_that_comes_at_the_last_moment_leaves_nothing_either(tmp_path: Path) -> None:
    stage = Stage(tmp_path, images_are=CancelledAtTheLastMoment)
    CancelledAtTheLastMoment.stage = stage
    image = await begin_save(stage)
    before = set(stage.world.blobs)
    await stage.settle()
    assert await status(stage, image) == ImageStatus.DELETED
    assert set(stage.world.blobs) == before, "what was made is collected"


async def test_who_may_cancel(stage: Stage) -> None:
    image = await begin_save(stage)
    with pytest.raises(NotFound):
        await stage.images.cancel(BOB, image.id)
    await stage.images.cancel(Actor("alice", instance_id=image.instance_id), image.id)
    await stage.settle()


async def test_what_is_done_cannot_be_cancelled(stage: Stage) -> None:
    image = await begin_save(stage)
    await stage.settle()
    with pytest.raises(Conflict, match="nothing to cancel"):
        await stage.images.cancel(ALICE, image.id)


async def test_a_preview_says_what_will_be_in_the_image(stage: Stage) -> None:
    instance = await stage.running_instance()
    stage.world.installed[instance.id] = [EINOPS, TORCH]
    out = [f"/{SITE}/torch"]
    seen = await stage.images.preview(ALICE, instance.id, SavePreviewRequest(exclude=out))
    assert (seen.parent_name, seen.packages.added, seen.total_packages) == ("python:3.11", [EINOPS], 2)
    made = await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1", exclude=out))
    await stage.settle()
    detail = await stage.images.get(ALICE, made.id)
    assert detail.changes == seen.packages
    with pytest.raises(NotFound):
        await stage.images.preview(BOB, instance.id, SavePreviewRequest())
    await stage.instances.stop(ALICE, instance.id)
    await stage.settle()
    with pytest.raises(Conflict, match="only a running instance"):
        await stage.images.preview(ALICE, instance.id, SavePreviewRequest())


@pytest.mark.parametrize("path", ["", "/", "a/../b", "a//b", "./a", "a\0b", "a\nb", "a\ud800"])
def test_paths_that_lead_nowhere_are_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        SavePreviewRequest(exclude=[path])


def test_a_speed_is_that_of_the_writing_alone() -> None:
    clock = [0.0]
    pace = Pace(lambda: clock[0])

    def at(second: float, done: int, message: str = "Writing") -> int:
        clock[0] = second
        return pace.progress("m-1", Checkpoint(message, done=done, total=100)).speed

    assert at(0, 0, "Looking") == 0
    assert at(10, 0) == 0, "looking took ten seconds"
    assert at(12, 50) == 25
    assert at(14, 100) == 25
    assert at(20, 0, "Waiting") == 0
    assert at(30, 10) == 0 and at(31, 20) == 10, "it is written again"
