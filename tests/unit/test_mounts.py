"""Mounts: who may have what mounted, and what becomes of it. The store is moto's; nothing is really mounted."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from platform_stage import ADMIN, ALICE, BOB, Opened, Stage

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.backends.memory import (
    MounterIsAwayOnce,
    MountIsRefused,
    NothingCanBeMounted,
    SendingTakesLong,
)
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.errors import (
    AlreadyExists,
    BackendFailure,
    Conflict,
    InUse,
    InvalidInput,
    MlplatError,
    NotAllowed,
    NotFound,
    QuotaExceeded,
)
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.mounter.models import MountOrder
from jupyter_mlplat.mounts import reconcile
from jupyter_mlplat.mounts.models import Mount, MountCreate, MountStatus
from jupyter_mlplat.mounts.service import MOST
from jupyter_mlplat.storage.endpoint_models import EndpointAdd, EndpointChange
from jupyter_mlplat.storage.engine.connection import connection
from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.testing.moto_s3 import moto_s3

BUCKET = "digits"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a store with one bucket."""
    with moto_s3(BUCKET) as address:
        yield address


@dataclass
class Lab:
    """A running instance of alice's, whose endpoint has the bucket."""

    stage: Stage
    instance: Instance
    actor: Actor = field(default=ALICE)

    async def mount(self, source: str = f"obs://{BUCKET}/data", **fields: object) -> Mount:
        wanted = MountCreate.model_validate({"source": source} | fields)
        return await self.stage.mounts.create(self.actor, self.instance.id, wanted)

    async def mounted(self, source: str = f"obs://{BUCKET}/data", **fields: object) -> Mount:
        made = await self.mount(source, **fields)
        await self.stage.settle()
        return await self.stage.mounts.get(ALICE, self.instance.id, made.id)

    async def now(self) -> list[tuple[str, MountStatus, str]]:
        found = await self.stage.mounts.find(ALICE, self.instance.id)
        return [(mount.name, mount.status, mount.message) for mount in found.mounts]


async def lab(stage: Stage, address: str, **fields: object) -> Lab:
    wanted = {"name": "minio", "address": address, "access_key": "alice", "secret_key": "hush-hush", "keys": "own"}
    await stage.endpoints.add(ALICE, EndpointAdd.model_validate(wanted | fields))
    return Lab(stage, await stage.running_instance())


def order_of(mount: Mount) -> MountOrder:
    return MountOrder(
        mount_id=mount.id, instance_id=mount.instance_id, name=mount.name, bucket=BUCKET, prefix="data/",
        read_only=mount.read_only,
    )  # fmt: skip


async def test_a_folder_is_mounted_and_unmounted(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3)
    made = await here.mounted(read_only=True)
    assert (made.status, made.path, made.source) == (MountStatus.MOUNTED, "/data/data", f"obs://{BUCKET}/data/")
    assert made.endpoint == "minio" and made.read_only
    await here.stage.mounts.remove(ALICE, here.instance.id, made.id)
    await here.stage.settle()
    assert await here.now() == [] and here.stage.world.mounts == {}
    assert [type for type in await here.stage.happened(here.instance.id) if "Storage" in type] == [
        "MountStorage", "StorageMounted", "UnmountStorage", "StorageUnmounted",
    ]  # fmt: skip
    assert [record.action for record in await here.stage.audited()].count("instance:mount") == 2


async def test_it_goes_with_a_stop_and_comes_with_the_next_start(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3)
    await here.mounted()
    await here.stage.instances.stop(ALICE, here.instance.id)
    await here.stage.settle()
    assert await here.now() == [("data", MountStatus.UNMOUNTED, "")] and here.stage.world.mounts == {}
    with pytest.raises(Conflict, match=r"STOPPED\. Storage is mounted while it runs"):
        await here.mount(name="two")
    await here.stage.instances.start(ALICE, here.instance.id)
    await here.stage.settle()
    assert await here.now() == [("data", MountStatus.MOUNTED, "")]
    await here.stage.instances.stop(ALICE, here.instance.id)
    await here.stage.settle()
    await here.stage.instances.delete(ALICE, here.instance.id)
    await here.stage.settle()
    async with here.stage.database.read() as session:
        assert await reconcile.store.everything(session) == []


@pytest.mark.parametrize(
    ("source", "fields", "error", "words"),
    [
        ("nonsense", {}, InvalidInput, "no object path"),
        ("obs://", {}, InvalidInput, "no object path"),
        ("obs://nowhere/x", {}, NotFound, "no bucket nowhere"),
        ("obs://data/x", {}, Conflict, "the platform's own store, which cannot be mounted"),
        (f"obs://{BUCKET}/a b", {}, InvalidInput, "cannot be the name of a mount"),
    ],
)
async def test_what_cannot_be_mounted_is_said(
    stages: Opened, s3: str, source: str, fields: dict[str, object], error: type[MlplatError], words: str
) -> None:
    here = await lab(stages(), s3)
    with pytest.raises(error, match=words):
        await here.mount(source, **fields)
    assert await here.now() == []


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "-x", "x" * 65, "é"])
def test_names_lead_nowhere_else(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 64 letters"):
        MountCreate(source="obs://b/f", name=name)


async def test_a_name_is_there_once_and_their_number_is_bounded(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3)
    await here.mount()
    with pytest.raises(AlreadyExists, match="/data/data already"):
        await here.mount()
    for number in range(MOST - 1):
        await here.mount(name=f"n{number}")
    with pytest.raises(QuotaExceeded, match="as many as it may"):
        await here.mount(name="more")


async def test_nobody_else_sees_or_changes_them(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3)
    made = await here.mounted()
    service, home = here.stage.mounts, here.instance.id
    strangers = [BOB, Actor("bob", instance_id="i-2")]
    for who in strangers:
        with pytest.raises(NotFound):
            await service.find(who, home)
        with pytest.raises(NotFound):
            await service.create(who, home, MountCreate(source=f"obs://{BUCKET}/x"))
        with pytest.raises(NotFound):
            await service.remove(who, home, made.id)
    sibling = Actor("alice", instance_id="i-another")
    with pytest.raises(NotAllowed):
        await service.remove(sibling, home, made.id)
    with pytest.raises(NotAllowed):
        await service.create(ADMIN, home, MountCreate(source=f"obs://{BUCKET}/x"))
    assert len((await service.find(ADMIN, home)).mounts) == 1
    own = await here.stage.running_instance("bobs", BOB)
    with pytest.raises(NotFound, match="no bucket"):
        await service.create(BOB, own.id, MountCreate(source=f"obs://{BUCKET}/x"))
    with pytest.raises(NotFound, match="no mount"):
        await service.remove(BOB, own.id, made.id)


async def test_an_instance_mounts_for_itself(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3)
    here.actor = Actor("alice", instance_id=here.instance.id)
    assert (await here.mounted()).status == MountStatus.MOUNTED


async def test_keys_that_do_not_leave_the_platform_mount_nothing(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3, keys="none", buckets=[BUCKET])
    with pytest.raises(NotAllowed, match="gives no keys to instances"):
        await here.mount()


async def test_an_endpoint_for_one_prefix_mounts_no_other(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3, buckets=[BUCKET], prefix="data/")
    with pytest.raises(InvalidInput, match=f"below obs://{BUCKET}/data/ alone"):
        await here.mount(f"obs://{BUCKET}/other")
    with pytest.raises(InvalidInput, match="alone"):
        await here.mount(f"obs://{BUCKET}/datax")
    assert (await here.mounted(f"obs://{BUCKET}/data/deep")).status == MountStatus.MOUNTED


async def test_where_nothing_can_be_mounted_it_is_said(stages: Opened, s3: str) -> None:
    here = await lab(stages(mounts_are=NothingCanBeMounted), s3)
    with pytest.raises(Conflict, match="does not let its programs use FUSE"):
        await here.mount()
    assert "FUSE" in (await here.stage.mounts.find(ALICE, here.instance.id)).absent


async def test_a_mounter_that_is_away_is_waited_for(stages: Opened, s3: str) -> None:
    here = await lab(stages(mounts_are=MounterIsAwayOnce), s3)
    await here.mount()
    with pytest.raises(BackendFailure):
        await here.stage.settle()
    assert await here.now() == [
        ("data", MountStatus.MOUNTING, "No mounter is ready on node1, so nothing can be mounted there now.")
    ]
    await here.stage.settle()
    assert await here.now() == [("data", MountStatus.MOUNTED, "")]


async def test_a_bucket_that_is_gone_fails_in_words_and_comes_back(
    stages: Opened, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "AGAIN_SECONDS", 0.0)
    here = await lab(stages(), s3, buckets=["later"])
    await here.mount("obs://later/x")
    (todo,) = [one for one in await here.stage.mount_work.pending() if one != reconcile.LOOK]
    await here.stage.mount_work.reconcile(todo)
    ((_, status, message),) = await here.now()
    assert status == MountStatus.MOUNT_FAILED and "no bucket later" in message
    S3Store(connection("alice", "hush-hush", s3)).make_bucket("later")
    await here.stage.settle()
    assert (await here.now())[0][1] == MountStatus.MOUNTED


async def test_what_an_instance_cannot_have_is_said_once(stages: Opened, s3: str) -> None:
    here = await lab(stages(mounts_are=MountIsRefused), s3)
    made = await here.mounted()
    assert made.status == MountStatus.MOUNT_FAILED
    assert made.message.endswith("Stop it and start it again.")
    for _ in range(3):
        await here.stage.mount_work.reconcile(made.id)
    assert (await here.stage.happened(here.instance.id)).count("StorageFailed") == 1


async def test_one_that_has_died_is_said_and_mounted_anew(
    stages: Opened, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await lab(stages(), s3)
    made = await here.mounted()
    here.stage.world.mounts[order_of(made)] = "rclone has ended"
    here.stage.boot()
    await here.stage.settle()
    assert await here.now() == [("data", MountStatus.MOUNTED, "")]
    assert here.stage.world.mounts == {order_of(made): ""}
    assert "StorageLost" in await here.stage.happened(here.instance.id)


async def test_keys_are_renewed_before_they_end(stages: Opened, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = await lab(stages(), s3)
    made = await here.mounted()
    keys = here.stage.world.mount_keys
    before = keys[made.id].expires_at
    await here.stage.mount_work.reconcile(reconcile.LOOK)
    assert keys[made.id].expires_at == before, "they are good for a while yet"
    monkeypatch.setattr(reconcile, "RENEW_BEFORE", timedelta(minutes=20))
    await here.stage.mount_work.reconcile(reconcile.LOOK)
    assert keys[made.id].expires_at > before
    assert before > now()


async def test_rotated_keys_reach_a_mount(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3)
    made = await here.mounted()
    change = EndpointChange.model_validate({"access_key": "new", "secret_key": "newer"})
    await here.stage.endpoints.change(ALICE, "minio", change)
    here.stage.boot()
    await here.stage.mount_work.reconcile(reconcile.LOOK)
    assert here.stage.world.mount_keys[made.id].access_key == "new"


async def test_keys_that_cannot_be_renewed_are_said(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3)
    await here.mounted()
    with pytest.raises(InUse, match=f"obs://{BUCKET}/data/ of it is mounted"):
        await here.stage.endpoints.remove(ALICE, "minio")
    await here.stage.endpoints.change(ALICE, "minio", EndpointChange.model_validate({"keys": "none"}))
    here.stage.boot()
    await here.stage.mount_work.reconcile(reconcile.LOOK)
    ((_, status, message),) = await here.now()
    assert status == MountStatus.MOUNTED and message.startswith("No new keys: The endpoint minio gives no keys")


async def test_an_endpoint_that_is_narrowed_gives_no_more_keys(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3)
    await here.mounted()
    await here.stage.endpoints.change(ALICE, "minio", EndpointChange.model_validate({"prefix": "other/"}))
    here.stage.boot()
    await here.stage.mount_work.reconcile(reconcile.LOOK)
    ((_, _, message),) = await here.now()
    assert f"minio is not for obs://{BUCKET}/data/ any more" in message


async def test_what_has_something_to_send_gets_keys_too(stages: Opened, s3: str) -> None:
    here = await lab(stages(mounts_are=SendingTakesLong), s3)
    made = await here.mounted()
    here.stage.boot()
    here.stage.world.mount_keys.clear()
    await here.stage.mounts.remove(ALICE, here.instance.id, made.id)
    with pytest.raises(BackendFailure):
        await here.stage.settle()
    assert made.id in here.stage.world.mount_keys


async def test_one_that_cannot_be_taken_away_keeps_no_other_from_being_looked_after(stages: Opened, s3: str) -> None:
    here = await lab(stages(mounts_are=SendingTakesLong), s3)
    made = await here.mounted()
    old = order_of(made).model_copy(update={"mount_id": "m-old"})
    here.stage.world.mounts |= {old: "", order_of(made): "rclone has ended"}
    await here.stage.mount_work.reconcile(reconcile.LOOK)
    assert (await here.now())[0][1] == MountStatus.MOUNTING and old in here.stage.world.mounts


async def test_where_mounts_are_switched_off_they_can_be_removed(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3)
    made = await here.mounted()
    here.stage.mounts_are = NothingCanBeMounted
    here.stage.boot()
    await here.stage.mounts.remove(ALICE, here.instance.id, made.id)
    await here.stage.settle()
    assert await here.now() == []
    await here.stage.endpoints.remove(ALICE, "minio")


async def test_what_is_still_to_be_sent_is_waited_for(stages: Opened, s3: str) -> None:
    here = await lab(stages(mounts_are=SendingTakesLong), s3)
    made = await here.mounted()
    await here.stage.mounts.remove(ALICE, here.instance.id, made.id)
    with pytest.raises(BackendFailure):
        await here.stage.settle()
    assert await here.now() == [("data", MountStatus.UNMOUNTING, "2 files are still to be sent to data.")]
    await here.stage.settle()
    assert await here.now() == []


async def test_what_nobody_knows_of_is_taken_away(stages: Opened, s3: str) -> None:
    here = await lab(stages(), s3)
    made = await here.mounted()
    here.stage.world.mounts[order_of(made).model_copy(update={"mount_id": "m-old"})] = ""
    await here.stage.mount_work.reconcile(reconcile.LOOK)
    assert here.stage.world.mounts == {order_of(made): ""}


async def test_killed_at_any_point_it_comes_to_the_same(stages: Opened, s3: str) -> None:
    for tick in range(1, 30):
        here = await lab(stages(), s3)
        await here.mount()
        killed = await here.stage.settle_killed_at(tick)
        assert await here.now() == [("data", MountStatus.MOUNTED, "")], tick
        if not killed:
            return
    raise AssertionError("it never ended by itself")
