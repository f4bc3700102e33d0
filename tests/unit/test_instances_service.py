"""What people may ask of instances and images, and how they are refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from platform_stage import ADMIN, ALICE, BOB, Stage
from pydantic import ValidationError
from sqlalchemy import select

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.backends import memory
from jupyter_mlplat.backends.imaging import PresetImage
from jupyter_mlplat.errors import (
    AlreadyExists,
    Conflict,
    InUse,
    InvalidInput,
    NotAllowed,
    NotFound,
    QuotaExceeded,
    SoldOut,
)
from jupyter_mlplat.flavors.models import Effect
from jupyter_mlplat.images.models import ImageFilter, ImageSave
from jupyter_mlplat.instances.models import (
    InstanceCreate,
    InstanceFilter,
    InstanceSwitch,
    InstanceUpdate,
    Status,
    Tag,
    WorkFolder,
)
from jupyter_mlplat.instances.store import PermitRow
from jupyter_mlplat.testing.postgresql import FreshDatabase

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def stage(tmp_path: Path, fresh_database: FreshDatabase) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, fresh_database(tmp_path))
    await stage.preset()
    yield stage
    await stage.database.close()


async def create(stage: Stage, name: str, actor: Actor = ALICE, **fields: object) -> str:
    return (await stage.instances.create(actor, InstanceCreate.model_validate({"name": name} | fields))).id


@pytest.mark.parametrize("name", ["n" * 65, "../x", "🚀", "", "a b", "-a", "a/b", "a\n"])
def test_names_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        InstanceCreate(name=name)


@pytest.mark.parametrize("name", ["n" * 64, "a-b_c9", "笔记本-1"])
async def test_names_that_can_be_are_taken(stage: Stage, name: str) -> None:
    assert await create(stage, name)


async def test_a_name_is_its_owners_alone_and_free_again_after_deletion(stage: Stage) -> None:
    first = await create(stage, "one")
    with pytest.raises(AlreadyExists):
        await create(stage, "one")
    await create(stage, "one", BOB)
    await stage.instances.delete(ALICE, first)
    await stage.settle()
    second = await create(stage, "one")
    other = await create(stage, "two")
    with pytest.raises(AlreadyExists):
        await stage.instances.update(ALICE, other, InstanceUpdate(name="one"))
    assert (await stage.instances.update(ALICE, second, InstanceUpdate(name="one"))).name == "one"


async def test_the_quota_is_kept(stage: Stage) -> None:
    for name in ("one", "two", "three"):
        await create(stage, name)
    with pytest.raises(QuotaExceeded):
        await create(stage, "four")
    await create(stage, "one", BOB)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"image_id": "m-none"}, InvalidInput),
        ({"flavor": "none"}, InvalidInput),
        ({"flavor": "cpu.8u32g"}, SoldOut),
        ({"flavor": "npu.1.8u32g"}, SoldOut),
    ],
)
async def test_what_is_not_there_is_refused(stage: Stage, fields: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        await create(stage, "one", **fields)
    assert (await stage.instances.find(ALICE, InstanceFilter())).total == 0
    assert [one for one in await stage.audited() if one.action == "instance:create"] == []


async def test_another_users_instance_does_not_exist(stage: Stage) -> None:
    instance = await stage.running_instance()
    for attempt in (
        stage.instances.get(BOB, instance.id),
        stage.instances.start(BOB, instance.id),
        stage.instances.stop(BOB, instance.id),
        stage.instances.delete(BOB, instance.id),
        stage.instances.update(BOB, instance.id, InstanceUpdate(name="his")),
        stage.instances.switch(BOB, instance.id, InstanceSwitch(flavor="cpu.2u4g")),
        stage.instances.choices(BOB, instance.id),
        stage.instances.events(BOB, instance.id, 10, 0),
        stage.images.save(BOB, instance.id, ImageSave(name="his", tag="1")),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await stage.instances.find(BOB, InstanceFilter())).total == 0
    assert (await stage.instances.find(ADMIN, InstanceFilter())).total == 1


async def test_an_instance_may_do_what_it_needs_and_no_more(stage: Stage) -> None:
    first, second = await stage.running_instance("one"), await stage.running_instance("two")
    itself = Actor("alice", instance_id=first.id)
    assert (await stage.instances.get(itself, second.id)).name == "two"
    await stage.instances.switch(itself, first.id, InstanceSwitch(flavor="cpu.2u4g"))
    await stage.settle()
    for attempt in (
        create(stage, "three", itself),
        stage.instances.delete(itself, first.id),
        stage.instances.stop(itself, second.id),
        stage.instances.switch(itself, second.id, InstanceSwitch(flavor="cpu.2u4g")),
        stage.images.save(itself, second.id, ImageSave(name="two", tag="1")),
    ):
        with pytest.raises(NotAllowed):
            await attempt
    await stage.instances.stop(itself, first.id)


async def test_a_token_of_an_administrators_instance_is_no_administrator(stage: Stage) -> None:
    instance = await stage.running_instance()
    itself = Actor("root", admin=True, instance_id="i-roots")
    with pytest.raises(NotFound):
        await stage.instances.get(itself, instance.id)
    assert (await stage.instances.find(itself, InstanceFilter())).total == 0


async def test_start_and_stop_are_refused_where_they_mean_nothing(stage: Stage) -> None:
    instance = await stage.running_instance()
    with pytest.raises(Conflict):
        await stage.instances.start(ALICE, instance.id)
    await stage.instances.stop(ALICE, instance.id)
    with pytest.raises(Conflict):
        await stage.instances.stop(ALICE, instance.id)
    await stage.settle()
    with pytest.raises(Conflict):
        await stage.instances.stop(ALICE, instance.id)
    with pytest.raises(Conflict, match="only a running instance"):
        await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))


async def test_the_choices_say_what_a_switch_does(stage: Stage) -> None:
    instance = await stage.running_instance()
    effects = {choice.flavor.id: choice for choice in await stage.instances.choices(ALICE, instance.id)}
    assert effects["cpu.1u2g"].effect is Effect.CURRENT
    assert effects["cpu.2u4g"].effect is Effect.LIVE
    assert effects["gpu.1.8u32g"].effect is Effect.RESTART
    assert effects["gpu.1.8u32g"].flavor.sold_out


async def test_a_switch_to_nothing_or_to_the_same_is_no_switch(stage: Stage) -> None:
    instance = await stage.running_instance()
    with pytest.raises(InvalidInput):
        await stage.instances.switch(ALICE, instance.id, InstanceSwitch())
    same = InstanceSwitch(flavor=instance.flavor, image_id=instance.image_id)
    after = await stage.instances.switch(ALICE, instance.id, same)
    assert (after.target_flavor, after.target_image_id) == (None, None)
    with pytest.raises(SoldOut):
        await stage.instances.switch(ALICE, instance.id, InstanceSwitch(flavor="gpu.1.8u32g", restart=True))


async def test_a_permit_is_good_once_and_only_while_the_instance_is_to_run(stage: Stage) -> None:
    instance = await stage.running_instance()
    permit = await permit_of(stage, instance.id)
    assert (await stage.instances.redeem(permit)).instance_id == instance.id
    for spent in (permit, "never given"):
        with pytest.raises(NotAllowed):
            await stage.instances.redeem(spent)
    other = await stage.running_instance("two")
    await stage.instances.stop(ALICE, other.id)
    with pytest.raises(NotAllowed):
        await stage.instances.redeem(await permit_of(stage, other.id))


async def permit_of(stage: Stage, instance_id: str) -> str:
    async with stage.database.read() as session:
        found = await session.scalar(select(PermitRow.id).where(PermitRow.instance_id == instance_id))
    assert found
    return found


async def test_filters(stage: Stage) -> None:
    await create(stage, "alpha", tags=[Tag(key="team", value="vision")], flavor="cpu.2u4g")
    await create(stage, "beta")
    await create(stage, "al_ha")

    async def names(**wanted: object) -> list[str]:
        page = await stage.instances.find(ALICE, InstanceFilter.model_validate({"sort_key": "name"} | wanted))
        assert page.total == len(page.data)
        return [one.name for one in page.data]

    assert await names(name="al", sort_dir="asc") == ["al_ha", "alpha"]
    assert await names(name="l_h") == ["al_ha"]
    assert await names(flavor="cpu.2u4g") == ["alpha"]
    assert await names(tag="team") == await names(tag="team=vision") == ["alpha"]
    assert await names(tag="team=speech") == []
    assert await names(status=Status.RUNNING) == []


async def test_images_of_others_are_hidden_and_presets_are_nobodys(stage: Stage) -> None:
    instance = await stage.running_instance()
    image = await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    await stage.settle()
    assert (await stage.images.find(BOB, ImageFilter(name="mine"))).total == 0
    for attempt in (stage.images.get(BOB, image.id), stage.images.delete(BOB, image.id)):
        with pytest.raises(NotFound):
            await attempt
    with pytest.raises(NotFound):
        await create(stage, "his", BOB, image_id=image.id)
    preset = await stage.preset()
    with pytest.raises(NotAllowed):
        await stage.images.delete(ALICE, preset.id)


async def test_an_image_in_use_cannot_be_deleted(stage: Stage) -> None:
    instance = await stage.running_instance()
    image = await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    with pytest.raises(Conflict):
        await stage.images.delete(ALICE, image.id)
    await stage.settle()
    user = await create(stage, "two", image_id=image.id)
    with pytest.raises(InUse, match="two"):
        await stage.images.delete(ALICE, image.id)
    await stage.instances.delete(ALICE, user)
    await stage.settle()
    await stage.images.delete(ALICE, image.id)


async def test_a_name_and_tag_is_taken_once(stage: Stage) -> None:
    instance = await stage.running_instance()
    for taken in (ImageSave(name="python", tag="3.11"), ImageSave(name="pytorch", tag="2.8")):
        with pytest.raises(AlreadyExists):
            await stage.images.save(ALICE, instance.id, taken)
    await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    await stage.settle()
    with pytest.raises(AlreadyExists):
        await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))


async def test_every_change_is_audited_with_who_and_from_where(stage: Stage) -> None:
    instance = await stage.running_instance()
    await stage.instances.update(ALICE, instance.id, InstanceUpdate(description="new"))
    await stage.instances.switch(ALICE, instance.id, InstanceSwitch(flavor="cpu.2u4g"))
    await stage.settle()
    await stage.instances.stop(ALICE, instance.id)
    await stage.settle()
    await stage.instances.start(ALICE, instance.id)
    await stage.instances.delete(ALICE, instance.id)
    records = await stage.audited()
    assert [one.action.removeprefix("instance:") for one in records] == [
        "create", "update", "switch", "stop", "start", "delete"
    ]  # fmt: skip
    assert {(one.actor, one.source, one.request_id, one.result, one.resource_id) for one in records} == {
        ("alice", "10.0.0.1", "q-1", "ok", instance.id)
    }


async def test_a_preset_that_is_no_longer_offered_cannot_be_chosen(stage: Stage) -> None:
    class OnlyPython(memory.MemoryImages):
        async def presets(self) -> list[PresetImage]:
            return [one for one in await super().presets() if one.name == "python"]

    torch = (await stage.images.find(ALICE, ImageFilter(name="pytorch"))).data[0]
    stage.images_are = OnlyPython
    stage.boot()
    await stage.preset()
    with pytest.raises(Conflict):
        await create(stage, "one", image_id=torch.id)


def work(percent: int) -> WorkFolder:
    return WorkFolder(used_bytes=percent * 2**30, size_bytes=100 * 2**30)


async def messages(stage: Stage, instance_id: str) -> list[str]:
    return [event.message for event in (await stage.instances.events(ALICE, instance_id, 100, 0)).data]


async def test_a_work_folder_that_is_nearly_full_is_told_once_until_there_was_room(stage: Stage) -> None:
    instance_id = await create(stage, "one")
    server = Actor("alice", instance_id=instance_id)
    assert (await stage.instances.get(ALICE, instance_id)).work is None
    for percent in (50, 91, 95, 89, 92, 80, 97):
        await stage.instances.report_work(server, instance_id, work(percent))
    told = [words for words in await messages(stage, instance_id) if "nearly full" in words]
    assert ["9.0 of 100.0 GiB are free" in told[0], "3.0 of" in told[1], len(told)] == [True, True, 2]
    assert (await stage.instances.get(ALICE, instance_id)).work == work(97)


async def test_neither_another_instance_nor_an_administrator_tells_of_a_work_folder(stage: Stage) -> None:
    instance_id, other = await create(stage, "one"), await create(stage, "two")
    for actor in (ADMIN, Actor("alice", instance_id=other)):
        with pytest.raises(NotAllowed):
            await stage.instances.report_work(actor, instance_id, work(50))
    with pytest.raises(NotFound):
        await stage.instances.report_work(BOB, instance_id, work(50))


async def test_a_work_folder_grows_where_it_is_a_volume(stage: Stage) -> None:
    instance_id = await create(stage, "one")
    with pytest.raises(Conflict, match="no size of their own"):
        await stage.instances.update(ALICE, instance_id, InstanceUpdate(name="other", work_gib=20))
    stage.instances_are = memory.WorkGrows
    stage.boot()
    assert (await stage.instances.get(ALICE, instance_id)).name == "one", "a refusal changes nothing"
    with pytest.raises(Conflict, match="can only grow"):
        await stage.instances.update(ALICE, instance_id, InstanceUpdate(work_gib=9))
    with pytest.raises(QuotaExceeded, match="100 GiB"):
        await stage.instances.update(ALICE, instance_id, InstanceUpdate(work_gib=101))
    with pytest.raises(NotFound):
        await stage.instances.update(BOB, instance_id, InstanceUpdate(work_gib=20))
    await stage.instances.update(ALICE, instance_id, InstanceUpdate(work_gib=20))
    assert (await messages(stage, instance_id))[-1] == "The work folder grows to 20 GiB"
    assert (await stage.audited())[-1].detail == "work folder of 20 GiB"
