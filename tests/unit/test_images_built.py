"""Images that are built from a Containerfile: on what, by whom, to which end."""

from typing import cast

import pytest
from platform_stage import ADMIN, ALICE, BOB, Opened, Stage
from pydantic import SecretStr

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.backends.imaging import BuildsImages, ImageBackend
from jupyter_mlplat.backends.local.images import LocalImages
from jupyter_mlplat.errors import AlreadyExists, Conflict, InvalidInput, NotAuthenticated, NotFound, QuotaExceeded
from jupyter_mlplat.images.builds import Builds
from jupyter_mlplat.images.models import Image, ImageBuild, ImageFilter, ImageUpdate, Origin, Visibility
from jupyter_mlplat.instances.models import InstanceCreate
from jupyter_mlplat.jobs.tokens import JobTokens

GOOD = "FROM python:3.11\nRUN pip install einops==0.8.1\n"
IN_LAB = Actor("alice", instance_id="i-one")


async def build(
    stage: Stage, containerfile: str = GOOD, tag: str = "1", actor: Actor = ALICE, name: str = "vision"
) -> Image:
    await stage.image_work.pending()
    if not stage.world.prepared:
        await stage.image_work.reconcile("prepare")
    bundle = await stage.bundle(actor)
    wanted = ImageBuild(name=name, tag=tag, bundle=bundle, containerfile=containerfile)
    return await stage.images.builds.submit(actor, wanted)


async def listed(stage: Stage, actor: Actor = ALICE) -> list[Image]:
    return (await stage.images.find(actor, ImageFilter(name="vision"))).data


async def log_of(stage: Stage, image_id: str, offset: int = 0, *, follow: bool = False, actor: Actor = ALICE) -> str:
    log = await stage.images.builds.log(actor, image_id, offset, follow)
    return b"".join([piece async for piece in log.pieces]).decode()


@pytest.fixture
def stage(stages: Opened) -> Stage:
    return stages()


@pytest.mark.both_databases
async def test_an_image_is_built_and_instances_run_on_it(stage: Stage) -> None:
    image = await build(stage)
    await stage.settle()
    (found,) = await listed(stage)
    assert (found.status, found.origin, found.built, found.parent_name) == (
        "ACTIVE", Origin.CUSTOMIZE, True, "python:3.11",
    )  # fmt: skip
    detail = await stage.images.get(ALICE, image.id)
    assert detail.containerfile == GOOD
    assert [package.name for package in detail.changes.added] == ["einops"] if detail.changes else False
    made = await stage.instances.create(ALICE, InstanceCreate(name="on-it", image_id=image.id))
    await stage.settle()
    assert (await stage.instances.get(ALICE, made.id)).status == "RUNNING"
    assert await stage.happened(image.id) == ["BuildRequested", "Built"]
    assert "image:build" in [record.action for record in await stage.audited()]
    assert not stage.world.building


async def test_its_log_can_be_read_by_who_may_see_it(stage: Stage) -> None:
    image = await build(stage)
    await stage.settle()
    assert await log_of(stage, image.id) == GOOD
    assert await log_of(stage, image.id, 17, follow=True) == GOOD[17:]
    assert await log_of(stage, image.id, actor=ADMIN) == GOOD
    with pytest.raises(NotFound):
        await log_of(stage, image.id, actor=BOB)
    preset = (await stage.images.find(ALICE, ImageFilter(name="python"))).data[0]
    with pytest.raises(NotFound, match="not built"):
        await log_of(stage, preset.id)


async def test_an_instance_may_build_for_its_owner(stage: Stage) -> None:
    image = await build(stage, actor=IN_LAB)
    assert (image.owner, image.instance_id) == ("alice", "i-one")


async def test_a_containerfile_that_fails_says_where_and_its_tag_is_free_again(stage: Stage) -> None:
    image = await build(stage, "FROM python:3.11\nRUN false\n")
    await stage.settle()
    (found,) = await listed(stage)
    assert found.status == "CREATE_FAILED" and "STEP 2/2: RUN false" in found.status_message
    assert "RUN false" in await log_of(stage, image.id)
    assert await stage.happened(image.id) == ["BuildRequested", "BuildFailed"]
    assert not stage.world.building
    await build(stage)
    await stage.images.delete(ALICE, image.id)
    with pytest.raises(NotFound):
        await log_of(stage, image.id)


async def test_what_is_unfit_for_instances_is_not_kept(stage: Stage) -> None:
    await build(stage, "FROM scratch\nCOPY . /\n")
    await stage.settle()
    (found,) = await listed(stage)
    assert found.status == "CREATE_FAILED" and "cannot be used: it has no Jupyter" in found.status_message


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("FROM nowhere:1", "the catalogue has no such image"),
        ("FROM python", "say which tag"),
        ("FROM library/python:3", "the catalogue has no such image"),
        ("FROM elsewhere.test/python:3", "elsewhere.test/python:3 is not allowed"),
        ("FROM registry.test/python@sha256:abc", "name the image by a tag"),
        ("FROM python:3.11\nCOPY --from=nowhere:1 / /", "FROM nowhere:1"),
        ("RUN true", "has no FROM"),
        ("FROM pytorch:2.8", "not made this preset yet"),
    ],
)
async def test_what_may_not_be_built_on_is_refused_at_once_with_what_to_do(
    stage: Stage, first: str, words: str
) -> None:
    with pytest.raises((InvalidInput, Conflict), match=words):
        await build(stage, f"{first}\n")
    assert not await listed(stage)


async def test_it_is_for_what_the_image_below_is_for(stage: Stage) -> None:
    assert (await build(stage)).resource_categories == ["CPU"]
    await stage.settle()
    bundle = await stage.bundle()
    wanted = {"bundle": bundle, "containerfile": "FROM vision:1\n", "name": "vision"}
    first = ImageBuild.model_validate({**wanted, "tag": "2", "resource_categories": ["GPU"], "services": ["TRAIN"]})
    chosen = await stage.images.builds.submit(ALICE, first)
    assert (chosen.resource_categories, chosen.services) == (["GPU"], ["TRAIN"])
    await stage.settle()
    upon = await build(stage, "FROM vision:2\n", tag="3")
    assert (upon.resource_categories, upon.services) == (["GPU"], ["TRAIN"])


async def test_an_allowed_registry_may_be_built_on(stage: Stage) -> None:
    image = await build(stage, "FROM registry.test/base:1\n")
    assert image.status == "INIT"


async def test_images_of_others_are_built_on_only_where_they_are_shared(stage: Stage) -> None:
    below = await build(stage)
    await stage.settle()
    with pytest.raises(InvalidInput, match="no such image that you can use"):
        await build(stage, "FROM vision:1\n", actor=BOB, name="mine")
    await stage.images.update(ALICE, below.id, ImageUpdate(visibility=Visibility.PUBLIC))
    image = await build(stage, "FROM vision:1\n", actor=BOB, name="mine")
    await stage.settle()
    assert [parent.name for parent in (await stage.images.get(BOB, image.id)).parents] == ["vision:1", "python:3.11"]


async def test_a_tag_that_is_taken_is_refused_before_anything_is_built(stage: Stage) -> None:
    await build(stage)
    with pytest.raises(AlreadyExists):
        await build(stage)
    with pytest.raises(AlreadyExists):
        await build(stage, name="python", tag="3.11")


async def test_a_user_has_few_builds_at_a_time(stage: Stage) -> None:
    await build(stage, tag="1")
    await build(stage, tag="2")
    with pytest.raises(QuotaExceeded, match="allows: 2"):
        await build(stage, tag="3")


async def test_without_the_folder_nothing_is_built(stage: Stage) -> None:
    await build(stage)
    with pytest.raises(NotFound, match="Upload it first"):
        wanted = ImageBuild(name="v", tag="1", bundle=f"sha256:{'0' * 64}", containerfile=GOOD)
        await stage.images.builds.submit(ALICE, wanted)


async def test_a_killed_platform_goes_on_with_it(stages: Opened) -> None:
    for tick in range(1, 60):
        again = stages()
        image = await build(again)
        over = not await again.settle_killed_at(tick)
        assert (await again.images.get(ALICE, image.id)).status == "ACTIVE"
        assert not again.world.building
        if over:
            return


async def test_one_that_is_given_up_leaves_nothing(stage: Stage) -> None:
    image = await build(stage)
    stage.world.building.add(image.id)
    await stage.images.cancel(ALICE, image.id)
    await stage.settle()
    assert not await listed(stage) and not stage.world.building
    assert await stage.happened(image.id) == ["BuildRequested", "BuildCancelled"]


async def test_one_that_is_cut_off_in_the_middle_leaves_nothing(stages: Opened) -> None:
    for tick in range(1, 60):
        again = stages()
        image = await build(again, "FROM python:3.11\nRUN false\n")
        over = not await again.settle_killed_at(tick)
        assert (await listed(again))[0].status == "CREATE_FAILED" and not again.world.building, tick
        assert image.id in again.world.build_logs
        if over:
            return


async def test_one_machine_builds_nothing_and_says_why(stage: Stage) -> None:
    assert not issubclass(LocalImages, BuildsImages)
    local = Builds(stage.database, cast(ImageBackend, object()), stage.groups, stage.settings)
    with pytest.raises(Conflict, match="runs no containers, so it builds no images"):
        await local.submit(ALICE, ImageBuild(name="v", tag="1", bundle=f"sha256:{'0' * 64}", containerfile=GOOD))


async def test_only_the_pod_of_a_build_under_way_is_let_in(stage: Stage) -> None:
    image = await build(stage)
    stage.settings.hub_secret = SecretStr("of the hub")
    tokens = JobTokens("of the hub")
    token = tokens.of(image.id, 1)
    with pytest.raises(NotFound, match="without a pod"):
        await stage.images.builds.door(image.id, token)
    for wrong in ("", "1.guess", tokens.of(image.id, 2), tokens.of("m-other", 1)):
        with pytest.raises(NotAuthenticated):
            await stage.images.builds.door(image.id, wrong)
    await stage.settle()
    with pytest.raises(NotAuthenticated):
        await stage.images.builds.door(image.id, token)
