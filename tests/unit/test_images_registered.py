"""Images that were built elsewhere: taken over, looked at, and given up."""

import pytest
from platform_stage import ALICE, BOB, Opened, Stage

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.backends.imaging import RegistersImages
from jupyter_mlplat.backends.local.images import LocalImages
from jupyter_mlplat.errors import AlreadyExists, InvalidInput, NotAllowed, NotFound
from jupyter_mlplat.images.models import Image, ImageFilter, ImageRegister, Origin
from jupyter_mlplat.instances.models import InstanceCreate


def wanted(source: str = "registry.test/vision:1", tag: str = "1") -> ImageRegister:
    return ImageRegister(name="vision", tag=tag, source=source)


async def listed(stage: Stage, actor: Actor = ALICE) -> list[Image]:
    return (await stage.images.find(actor, ImageFilter(name="vision"))).data


@pytest.mark.both_databases
async def test_an_image_is_taken_over_and_instances_run_on_it(stages: Opened) -> None:
    stage = stages()
    image = await stage.images.register(ALICE, wanted())
    await stage.settle()
    (found,) = await listed(stage)
    assert (found.status, found.origin, found.type) == ("ACTIVE", Origin.CUSTOMIZE, "DEDICATED")
    assert (found.source, found.reference) == ("registry.test/vision:1", "registry.test/vision:1")
    assert [package.name for package in (await stage.images.get(ALICE, image.id)).packages] == ["pip"]
    made = await stage.instances.create(ALICE, InstanceCreate(name="on-it", image_id=image.id))
    await stage.settle()
    assert (await stage.instances.get(ALICE, made.id)).status == "RUNNING"
    assert await stage.happened(image.id) == ["RegisterRequested", "Registered"]
    assert "image:register" in [record.action for record in await stage.audited()]


async def test_it_is_the_owners_alone(stages: Opened) -> None:
    stage = stages()
    image = await stage.images.register(ALICE, wanted())
    await stage.settle()
    assert not await listed(stage, BOB)
    with pytest.raises(NotFound):
        await stage.images.get(BOB, image.id)
    with pytest.raises(NotAllowed):
        await stage.images.register(Actor("alice", instance_id="i-one"), wanted(tag="2"))


async def test_a_source_that_is_not_allowed_and_a_tag_that_is_taken_are_refused_at_once(stages: Opened) -> None:
    stage = stages()
    with pytest.raises(InvalidInput, match="not allowed"):
        await stage.images.register(ALICE, wanted("10.0.0.1/vision:1"))
    await stage.images.register(ALICE, wanted())
    with pytest.raises(AlreadyExists):
        await stage.images.register(ALICE, wanted())


async def test_one_that_is_unfit_says_why_and_its_tag_is_free_again(stages: Opened) -> None:
    stage = stages()
    image = await stage.images.register(ALICE, wanted("registry.test/without-jupyter:1"))
    await stage.settle()
    (found,) = await listed(stage)
    assert (found.status, found.status_message) == (
        "CREATE_FAILED",
        "The image registry.test/without-jupyter:1 cannot be used: it has no Jupyter.",
    )
    assert await stage.happened(image.id) == ["RegisterRequested", "RegisterFailed"]
    await stage.images.register(ALICE, wanted())


async def test_a_killed_platform_goes_on_with_it(stages: Opened) -> None:
    for tick in range(1, 40):
        stage = stages()
        image = await stage.images.register(ALICE, wanted())
        over = not await stage.settle_killed_at(tick)
        stage.boot()
        await stage.settle()
        assert (await stage.images.get(ALICE, image.id)).status == "ACTIVE"
        if over:
            return


async def test_one_that_is_given_up_is_gone(stages: Opened) -> None:
    stage = stages()
    image = await stage.images.register(ALICE, wanted())
    await stage.images.cancel(ALICE, image.id)
    await stage.settle()
    assert not await listed(stage)
    assert await stage.happened(image.id) == ["RegisterRequested", "RegisterCancelled"]


def test_one_machine_runs_no_containers() -> None:
    assert not issubclass(LocalImages, RegistersImages)
