"""Which groups people are in, while the Hub answers and while it does not; what is shared with a group."""

import asyncio

import boto3
import pytest
from platform_stage import ADMIN, ALICE, BOB, Opened, Stage

from jupyter_mlplat.access import groups
from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.groups import HubGroups
from jupyter_mlplat.errors import BackendFailure, Conflict, InvalidInput, NotAllowed, NotFound
from jupyter_mlplat.images.models import Image, ImageFilter, ImageSave, ImageUpdate, Visibility
from jupyter_mlplat.instances.models import InstanceCreate, InstanceFilter
from jupyter_mlplat.storage.endpoint_models import CredentialsAsked, EndpointAdd, EndpointChange
from jupyter_mlplat.testing.moto_s3 import moto_s3

CAROL = Actor("carol")
BOBS_LAB = Actor("bob", instance_id="i-two")
WITH_VISION = ImageUpdate(visibility=Visibility.GROUP, groups=["vision"])
SECRET = "hush-hush"  # noqa: S105


class Hub(HubGroups):
    """Answers as it is told to: groups, or an error."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", "token")
        self.answer: frozenset[str] | Exception = frozenset({"vision"})
        self.asked = 0
        self.free = asyncio.Event()
        self.free.set()

    async def _ask(self, user: str) -> frozenset[str]:
        self.asked += 1
        await self.free.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_the_hub_is_asked_once_in_a_while() -> None:
    hub = Hub()
    assert set(await asyncio.gather(*(hub.of("alice") for _ in range(20)))) == {frozenset({"vision"})}
    assert hub.asked == 1
    hub.answer, hub.answers.fresh = frozenset(), 0
    assert await hub.of("alice") == frozenset()


async def test_while_the_hub_is_away_the_last_answer_holds_and_of_others_nobody_can_say() -> None:
    hub = Hub()
    hub.answers.fresh = 0
    await hub.of("alice")
    hub.answer = BackendFailure("away")
    assert await hub.of("alice") == await hub.known("alice") == {"vision"}
    with pytest.raises(BackendFailure):
        await hub.of("bob")
    assert await hub.known("bob") == frozenset()


async def test_who_only_looks_does_not_wait_for_a_busy_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "LOOK_SECONDS", 0.01)
    hub = Hub()
    hub.free.clear()
    assert await hub.known("alice") == frozenset()
    hub.free.set()
    assert await hub.of("alice") == {"vision"}
    assert hub.asked == 1


async def test_a_hub_that_does_not_answer_is_said() -> None:
    with pytest.raises(BackendFailure, match="nobody knows your groups"):
        await HubGroups("http://127.0.0.1:9", "token").of("alice")


def staged(stages: Opened) -> Stage:
    stage = stages()
    stage.groups.members |= {
        "alice": {"vision", "team"},
        "bob": {"vision"},
        "carol": {"Vision", 'x"vision', "vision tools"},
    }
    return stage


async def an_image(stage: Stage) -> Image:
    source = await stage.running_instance("source")
    made = await stage.images.save(ALICE, source.id, ImageSave(name="mine", tag="1"))
    await stage.settle()
    return made


async def seen(stage: Stage, actor: Actor) -> list[str]:
    return [image.name for image in (await stage.images.find(actor, ImageFilter(origin="IMAGE_SAVE"))).data]


@pytest.mark.both_databases
async def test_an_image_is_shared_with_a_group_and_taken_back(stages: Opened) -> None:
    stage = staged(stages)
    image = await an_image(stage)
    shared = await stage.images.update(ALICE, image.id, WITH_VISION)
    assert (shared.visibility, shared.groups) == ("GROUP", ["vision"])
    assert [await seen(stage, actor) for actor in (BOB, BOBS_LAB, CAROL, ADMIN)] == [["mine"], ["mine"], [], ["mine"]]
    assert (await stage.images.get(BOB, image.id)).used_by == []
    assert (await stage.instances.create(BOB, InstanceCreate(name="on", image_id=image.id))).image_id == image.id
    with pytest.raises(NotFound):
        await stage.images.get(CAROL, image.id)
    with pytest.raises(NotFound):
        await stage.instances.create(CAROL, InstanceCreate(name="on", image_id=image.id))
    for attempt in (stage.images.update(BOB, image.id, WITH_VISION), stage.images.delete(BOB, image.id)):
        with pytest.raises(NotAllowed):
            await attempt
    taken = await stage.images.update(ALICE, image.id, ImageUpdate(visibility=Visibility.PRIVATE))
    assert (taken.groups, await seen(stage, BOB)) == ([], [])
    await stage.settle()
    assert (await stage.instances.find(BOB, InstanceFilter())).data[0].status == "RUNNING"


async def test_a_new_description_takes_nothing_back(stages: Opened) -> None:
    stage = staged(stages)
    image = await an_image(stage)
    await stage.images.update(ALICE, image.id, WITH_VISION)
    await stage.images.update(ALICE, image.id, ImageUpdate(description="better"))
    assert (await stage.images.get(BOB, image.id)).description == "better"


async def test_one_shares_with_ones_own_groups(stages: Opened) -> None:
    stage = staged(stages)
    image = await an_image(stage)
    with pytest.raises(InvalidInput, match=r"alice is not in the group visoin\. The groups of alice are: team, vision"):
        await stage.images.update(ALICE, image.id, ImageUpdate(visibility=Visibility.GROUP, groups=["visoin"]))
    await stage.images.update(ADMIN, image.id, WITH_VISION)
    stage.groups.members["alice"] = set()
    kept = await stage.images.update(ALICE, image.id, WITH_VISION)
    assert kept.groups == ["vision"]


async def test_others_see_their_own_groups_of_it_alone(stages: Opened) -> None:
    stage = staged(stages)
    image = await an_image(stage)
    await stage.images.update(ALICE, image.id, ImageUpdate(visibility=Visibility.GROUP, groups=["team", "vision"]))
    (listed,) = (await stage.images.find(BOB, ImageFilter(origin="IMAGE_SAVE"))).data
    assert listed.groups == (await stage.images.get(BOB, image.id)).groups == ["vision"]
    assert (await stage.images.get(ADMIN, image.id)).groups == ["team", "vision"]


@pytest.mark.parametrize(
    "fields", [{"visibility": "GROUP"}, {"groups": ["vision"]}, {"visibility": "PUBLIC", "groups": ["vision"]}]
)
async def test_groups_and_their_visibility_belong_together(stages: Opened, fields: dict[str, object]) -> None:
    stage = staged(stages)
    image = await an_image(stage)
    with pytest.raises(InvalidInput, match="Name one group or more"):
        await stage.images.update(ALICE, image.id, ImageUpdate.model_validate(fields))


async def add(stage: Stage, actor: Actor, name: str, **fields: object) -> None:
    given = {"name": name, "address": "http://127.0.0.1:9", "access_key": "ak", "secret_key": SECRET, "keys": "own",
             "region": "us-east-1"}  # fmt: skip
    await stage.endpoints.add(actor, EndpointAdd.model_validate(given | fields))


@pytest.mark.both_databases
async def test_an_endpoint_is_shared_with_a_group_and_taken_back(stages: Opened) -> None:
    stage = staged(stages)
    await add(stage, ALICE, "store", buckets=["sets"])
    await stage.endpoints.change(ALICE, "store", EndpointChange(groups=["vision"]))
    own, theirs = await stage.endpoints.get(ALICE, "store"), await stage.endpoints.get(BOB, "store.alice")
    assert (own.groups, own.access_key, own.owner) == (["vision"], "ak", "alice")
    assert (theirs.groups, theirs.access_key, theirs.owner) == ([], "", "alice")
    assert [one.name for one in await stage.endpoints.find(BOBS_LAB)] == ["local", "store.alice"]
    assert [one.name for one in await stage.endpoints.find(CAROL)] == ["local"]
    assert (await stage.access.place(BOBS_LAB, "sets")).endpoint == "store.alice"
    given = await stage.access.credentials(BOBS_LAB, CredentialsAsked(bucket="sets"))
    assert (given.endpoint, given.secret_key) == ("store.alice", SECRET)
    for attempt in (
        stage.endpoints.change(BOB, "store.alice", EndpointChange(prefix="x")),
        stage.endpoints.test(BOB, "store.alice"),
        stage.endpoints.remove(BOB, "store.alice"),
    ):
        with pytest.raises(NotAllowed):
            await attempt
    for actor in (CAROL, ADMIN):
        with pytest.raises(NotFound):
            await stage.access.credentials(actor, CredentialsAsked(endpoint="store.alice"))
    await stage.endpoints.change(ALICE, "store", EndpointChange(groups=[]))
    with pytest.raises(NotFound):
        await stage.access.credentials(BOBS_LAB, CredentialsAsked(endpoint="store.alice"))


@pytest.mark.both_databases
async def test_names_of_groups_are_told_apart_to_the_letter(stages: Opened) -> None:
    stage = staged(stages)
    stage.groups.members |= {"alice": {'x"vision', "VISION"}, "bob": {"vision"}}
    await add(stage, ALICE, "store", buckets=["sets"])
    await stage.endpoints.change(ALICE, "store", EndpointChange(groups=["VISION", 'x"vision']))
    assert [one.name for one in await stage.endpoints.find(BOB)] == ["local"]
    stage.groups.members["bob"] = {'x"vision'}
    assert [one.name for one in await stage.endpoints.find(BOB)] == ["local", "store.alice"]


async def test_a_bucket_is_not_gone_while_the_hub_is_away(stages: Opened) -> None:
    stage = staged(stages)
    await add(stage, BOB, "store", buckets=["own"])
    stage.groups.away = True
    assert (await stage.access.place(BOB, "own")).endpoint == "store"
    assert [one.name for one in await stage.endpoints.find(BOB)] == ["local", "store"]
    with pytest.raises(BackendFailure):
        await stage.access.place(BOB, "sets")


async def test_ones_own_new_bucket_goes_before_a_shared_one(stages: Opened) -> None:
    stage = staged(stages)
    await add(stage, ALICE, "store", buckets=["far"])
    await stage.endpoints.change(ALICE, "store", EndpointChange(groups=["vision"]))
    with moto_s3() as address:
        await add(stage, BOB, "mine", address=address)
        store = boto3.client("s3", endpoint_url=address, aws_access_key_id="ak", aws_secret_access_key=SECRET,
                             region_name="us-east-1")  # fmt: skip
        store.create_bucket(Bucket="far")
        assert (await stage.access.place(BOB, "far")).endpoint == "mine"


async def test_what_is_wrong_with_it_is_told_to_its_owner(stages: Opened) -> None:
    stage = staged(stages)
    await add(stage, ALICE, "store")
    await stage.endpoints.change(ALICE, "store", EndpointChange(groups=["vision"]))
    assert "127.0.0.1" in (await stage.endpoints.get(ALICE, "store")).message
    assert (await stage.endpoints.get(BOB, "store.alice")).message == "It does not work. Ask alice, who can test it."


async def test_ones_own_bucket_goes_before_a_shared_one(stages: Opened) -> None:
    stage = staged(stages)
    stage.groups.members["dave"] = {"vision"}
    for owner in (ALICE, Actor("dave")):
        await add(stage, owner, "store", buckets=["sets"])
        await stage.endpoints.change(owner, "store", EndpointChange(groups=["vision"]))
    with pytest.raises(Conflict, match=r"store\.alice and store\.dave both serve a bucket sets\. Ask their owners"):
        await stage.access.place(BOB, "sets")
    await add(stage, BOB, "store", buckets=["sets"])
    assert (await stage.access.place(BOB, "sets")).endpoint == "store"


async def test_keys_that_stay_are_said_with_whom_to_ask(stages: Opened) -> None:
    stage = staged(stages)
    await add(stage, ALICE, "store", buckets=["sets"], keys="none")
    await stage.endpoints.change(ALICE, "store", EndpointChange(groups=["vision"]))
    with pytest.raises(NotAllowed, match=r"store\.alice gives no keys to instances and jobs\. Ask alice to let it"):
        await stage.access.credentials(BOBS_LAB, CredentialsAsked(bucket="sets"))
    with pytest.raises(InvalidInput, match="alice is not in the group tools"):
        await stage.endpoints.change(ALICE, "store", EndpointChange(groups=["tools"]))
