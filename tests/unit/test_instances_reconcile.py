"""Instances and images reach the state that they should, whatever fails and wherever the platform is killed."""

import asyncio
from itertools import product

import pytest
from platform_stage import ALICE, EINOPS, Opened, Stage, preset

from jupyter_mlplat.backends import memory
from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.errors import BackendFailure, Conflict, NotFound
from jupyter_mlplat.images.models import Image, ImageFilter, ImageSave, ImageStatus
from jupyter_mlplat.instances import reconcile
from jupyter_mlplat.instances.models import (
    Instance,
    InstanceCreate,
    InstanceFilter,
    InstanceSwitch,
    Status,
    StepStatus,
    Target,
)
from jupyter_mlplat.instances.reconcile import Action, next_action


async def now(stage: Stage, instance: Instance) -> Instance:
    return await stage.instances.get(ALICE, instance.id)


async def look(stage: Stage, instance: Instance) -> Instance:
    """Reconcile once more, as if the time to look at the server had come."""
    stage.instance_work._looked = float("-inf")
    await stage.settle()
    return await now(stage, instance)


@pytest.mark.parametrize(
    ("status", "target", "switching", "live", "action"),
    [
        ("INIT", "RUNNING", False, False, Action.START),
        ("CREATING", "RUNNING", False, False, Action.START),
        ("STARTING", "RUNNING", False, False, Action.START),
        ("STOPPED", "RUNNING", False, False, Action.START),
        ("STOPPED", "RUNNING", True, False, Action.APPLY),
        ("STOPPED", "STOPPED", False, False, None),
        ("STOPPED", "STOPPED", True, False, Action.APPLY),
        ("RUNNING", "RUNNING", False, False, Action.OBSERVE),
        ("RUNNING", "RUNNING", True, True, Action.RESIZE),
        ("RUNNING", "RUNNING", True, False, Action.STOP),
        ("RUNNING", "STOPPED", False, False, Action.STOP),
        ("RUNNING", "STOPPED", True, True, Action.STOP),
        ("CREATING", "STOPPED", False, False, Action.STOP),
        ("STOPPING", "STOPPED", False, False, Action.STOP),
        ("STOPPING", "RUNNING", True, False, Action.STOP),
        ("START_FAILED", "STOPPED", False, False, None),
        ("START_FAILED", "STOPPED", True, False, Action.APPLY),
        ("ERROR", "STOPPED", False, False, None),
        ("DELETE_FAILED", "DELETED", False, False, None),
    ],
)
def test_next_action(status: str, target: str, switching: bool, live: bool, action: Action | None) -> None:
    found = next_action(Status(status), Target(target), saving=False, switching=switching, live=live)
    assert found is action


@pytest.mark.parametrize("status", [status for status in Status if status not in ("DELETED", "DELETE_FAILED")])
def test_a_deletion_goes_before_all_else(status: Status) -> None:
    for switching, live in product((True, False), repeat=2):
        action = next_action(status, Target.DELETED, saving=False, switching=switching, live=live)
        assert action is Action.DELETE


@pytest.mark.parametrize("status", list(Status))
def test_nothing_is_done_to_what_is_being_saved_or_deleted(status: Status) -> None:
    for target in Target:
        assert next_action(status, target, saving=True, switching=False, live=False) is None
        assert next_action(Status.DELETED, target, saving=False, switching=True, live=False) is None


@pytest.mark.both_databases
async def test_an_instance_starts_step_by_step(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    torch = await preset(stage, "pytorch")
    made = await stage.instances.create(ALICE, InstanceCreate(name="one", image_id=torch.id))
    await stage.settle()
    instance = await now(stage, made)
    assert (instance.status, instance.status_message) == (Status.RUNNING, "")
    assert {step.status for step in instance.steps} == {StepStatus.COMPLETED}
    assert all(step.started_at and step.finished_at for step in instance.steps)
    happened = await stage.happened(instance.id)
    assert happened == ["Created", "Scheduled", "BuildingImage", "PullingImage", "NotebookHealthy"]
    assert stage.world.servers[instance.id].image_digest == memory.digest_of("pytorch:2.8")


@pytest.mark.both_databases
async def test_stop_keeps_the_work_folder_and_start_finds_it(stages: Opened) -> None:
    stage = stages()
    instance = await stage.running_instance()
    await stage.instances.stop(ALICE, instance.id)
    await stage.settle()
    assert (await now(stage, instance)).status == Status.STOPPED
    assert (stage.world.servers, stage.world.work) == ({}, {instance.id})
    await stage.instances.start(ALICE, instance.id)
    await stage.settle()
    assert (await now(stage, instance)).status == Status.RUNNING


@pytest.mark.both_databases
async def test_a_deleted_instance_leaves_nothing_but_its_records(stages: Opened) -> None:
    stage = stages()
    instance = await stage.running_instance()
    await stage.instances.delete(ALICE, instance.id)
    await stage.settle()
    with pytest.raises(NotFound):
        await now(stage, instance)
    assert (stage.world.servers, stage.world.work) == ({}, set())
    assert (await stage.happened(instance.id))[-1] == "Deleted"


async def test_a_start_that_fails_says_why_and_can_be_tried_again(stages: Opened) -> None:
    stage = stages(instances_are=memory.FailsAtPrepare)
    instance = await stage.running_instance()
    assert (instance.status, instance.target) == (Status.CREATE_FAILED, Target.STOPPED)
    assert "Choose another image" in instance.status_message
    assert [step.status for step in instance.steps][:2] == [StepStatus.COMPLETED, StepStatus.FAILED]
    assert (await stage.happened(instance.id))[-1] == "FailedCreate"
    stage.instances_are = memory.MemoryInstances
    stage.boot()
    await stage.instances.start(ALICE, instance.id)
    await stage.settle()
    assert (await now(stage, instance)).status == Status.RUNNING


async def test_a_start_that_is_called_off_and_then_refused_has_not_failed(stages: Opened) -> None:
    class StoppedThenRefused(memory.MemoryInstances):
        async def _spawn(self, spec: InstanceSpec) -> None:
            await stage.instances.stop(ALICE, spec.instance_id)
            raise Conflict("The request carries no permit.")

    stage = stages(instances_are=StoppedThenRefused)
    instance = await stage.running_instance()
    assert instance.status == Status.STOPPED
    assert "FailedCreate" not in await stage.happened(instance.id)


async def test_a_start_that_hangs_is_cut_off_once_it_is_to_stop(stages: Opened) -> None:
    begun = asyncio.Event()

    class Hangs(memory.MemoryInstances):
        async def _spawn(self, spec: InstanceSpec) -> None:
            begun.set()
            await asyncio.Event().wait()

    stage = stages(instances_are=Hangs)
    starting = asyncio.create_task(stage.running_instance())
    await begun.wait()
    (instance,) = (await stage.instances.find(ALICE, InstanceFilter())).data
    await stage.instances.stop(ALICE, instance.id)
    await stage.instance_work.pending()
    assert (await starting).status == Status.STOPPED


async def test_a_hub_that_is_away_is_waited_for_and_told(stages: Opened) -> None:
    stage = stages(instances_are=memory.HubIsAwayOnce)
    with pytest.raises(BackendFailure):
        await stage.running_instance()
    (instance,) = (await stage.instances.find(ALICE, InstanceFilter())).data
    assert (instance.status, instance.status_message) == (Status.CREATING, "The Hub does not answer. Try again soon.")
    await stage.settle()
    assert (await now(stage, instance)).status == Status.RUNNING
    assert (await stage.happened(instance.id)).count("Scheduled") == 1


async def test_a_server_that_died_is_started_anew(stages: Opened) -> None:
    stage = stages(instances_are=memory.ServerDiesOnce)
    instance = await look(stage, await stage.running_instance())
    assert instance.status == Status.RUNNING
    assert "ServerEnded" in await stage.happened(instance.id)
    assert instance.id in stage.world.servers


async def test_a_server_that_dies_again_and_again_is_given_up(stages: Opened) -> None:
    stage = stages(instances_are=memory.ServerDies)
    instance = await stage.running_instance()
    for _ in range(reconcile.MAX_RESTARTS):
        assert (await look(stage, instance)).status == Status.RUNNING
    instance = await look(stage, instance)
    assert instance.status == Status.ERROR
    assert "4 times (exit code 137)" in instance.status_message
    assert stage.world.servers == {}


async def test_a_switch_of_the_flavor_is_live(stages: Opened) -> None:
    stage = stages()
    instance = await stage.running_instance()
    await stage.instances.switch(ALICE, instance.id, InstanceSwitch(flavor="cpu.2u4g"))
    await stage.settle()
    instance = await now(stage, instance)
    assert (instance.status, instance.flavor, instance.target_flavor) == (Status.RUNNING, "cpu.2u4g", None)
    server = stage.world.servers[instance.id]
    assert (server.flavor, server.starts) == ("cpu.2u4g", 1)


async def test_a_switch_that_is_refused_leaves_the_old_flavor(stages: Opened) -> None:
    stage = stages(instances_are=memory.ResizeIsRefused)
    instance = await stage.running_instance()
    await stage.instances.switch(ALICE, instance.id, InstanceSwitch(flavor="cpu.2u4g"))
    await stage.settle()
    instance = await now(stage, instance)
    assert (instance.status, instance.flavor, instance.target_flavor) == (Status.RUNNING, "cpu.1u2g", None)
    assert (await stage.happened(instance.id))[-1] == "UpdateFlavorFailed"


async def test_a_switch_of_the_image_restarts(stages: Opened) -> None:
    stage = stages()
    instance = await stage.running_instance()
    torch = await preset(stage, "pytorch")
    with pytest.raises(Conflict, match="Confirm the restart"):
        await stage.instances.switch(ALICE, instance.id, InstanceSwitch(image_id=torch.id))
    await stage.instances.switch(ALICE, instance.id, InstanceSwitch(image_id=torch.id, restart=True))
    await stage.settle()
    instance = await now(stage, instance)
    assert (instance.status, instance.image_name) == (Status.RUNNING, "pytorch:2.8")
    assert stage.world.servers[instance.id].image_digest == memory.digest_of("pytorch:2.8")


async def test_files_that_cannot_be_removed_are_told_and_deleting_is_tried_again(stages: Opened) -> None:
    stage = stages(instances_are=memory.DeleteLeavesFiles)
    instance = await stage.running_instance()
    await stage.instances.delete(ALICE, instance.id)
    await stage.settle()
    assert (await now(stage, instance)).status == Status.DELETE_FAILED
    stage.instances_are = memory.MemoryInstances
    stage.boot()
    await stage.instances.delete(ALICE, instance.id)
    await stage.settle()
    assert stage.world.work == set()


async def saved(stage: Stage) -> tuple[Instance, Image]:
    instance = await stage.running_instance()
    stage.world.installed[instance.id] = [EINOPS]
    await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    await stage.settle()
    return await now(stage, instance), (await stage.images.find(ALICE, ImageFilter(name="mine"))).data[0]


@pytest.mark.both_databases
async def test_a_saved_image_has_what_was_installed(stages: Opened) -> None:
    stage = stages()
    instance, image = await saved(stage)
    detail = await stage.images.get(ALICE, image.id)
    assert (detail.status, detail.parent_digest, detail.added) == (
        ImageStatus.ACTIVE, memory.digest_of("python:3.11"), memory.LAYER_BYTES
    )  # fmt: skip
    assert EINOPS in detail.packages
    assert (detail.instance_id, detail.owner, detail.progress) == (instance.id, "alice", None)
    assert instance.status == Status.RUNNING
    assert (await stage.happened(instance.id))[-2:] == ["Snapshotting", "SnapshotEnded"]
    assert await stage.happened(image.id) == ["SaveRequested", "Saving", "Saved"]


async def test_an_image_deleted_before_anybody_looked_again_gives_its_space_back(stages: Opened) -> None:
    stage = stages()
    instance = await stage.running_instance()
    stage.world.installed[instance.id] = [EINOPS]
    made = await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    await stage.image_work.reconcile(made.id)
    digest = (await stage.images.get(ALICE, made.id)).digest
    assert digest in stage.world.blobs
    await stage.images.delete(ALICE, made.id)
    await stage.settle()
    assert digest not in stage.world.blobs


async def test_word_of_a_save_that_comes_late_changes_nothing(stages: Opened) -> None:
    stage = stages()
    instance = await stage.running_instance()
    image = await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    late = [(part, one) for part in stage.work for one in await part.pending()]
    await stage.settle()
    for part, one in late:
        await part.reconcile(one)
    assert (await stage.images.get(ALICE, image.id)).status == ImageStatus.ACTIVE
    assert (await now(stage, instance)).status == Status.RUNNING


async def test_saving_twice_without_a_change_makes_no_second_layer(stages: Opened) -> None:
    stage = stages()
    instance = await stage.running_instance()
    image = await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    await stage.settle()
    again = await stage.images.get(ALICE, image.id)
    assert (again.status, again.digest, again.added) == (ImageStatus.ACTIVE, again.parent_digest, 0)


@pytest.mark.parametrize("fake", [memory.SaveRunsOutOfDisk, memory.SaveHitsABug])
async def test_a_save_that_fails_lists_nothing_and_gives_the_space_back(
    stages: Opened, fake: type[memory.MemoryImages]
) -> None:
    stage = stages(images_are=fake)
    instance, image = await saved(stage)
    assert (image.status, image.digest) == (ImageStatus.CREATE_FAILED, None)
    assert image.status_message
    assert instance.status == Status.RUNNING
    await look(stage, instance)
    stage.boot()
    await stage.settle()
    assert set(stage.world.blobs) == {memory.digest_of("python:3.11")}
    stage.images_are = memory.MemoryImages
    stage.boot()
    assert (await saved_again(stage, instance)).status == ImageStatus.ACTIVE


async def saved_again(stage: Stage, instance: Instance) -> Image:
    image = await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    await stage.settle()
    return await stage.images.get(ALICE, image.id)


async def test_a_store_that_is_away_is_waited_for(stages: Opened) -> None:
    stage = stages(images_are=memory.StoreIsAwayOnce)
    with pytest.raises(BackendFailure):
        await saved(stage)
    await stage.settle()
    (image,) = (await stage.images.find(ALICE, ImageFilter(name="mine"))).data
    assert image.status == ImageStatus.ACTIVE


async def test_a_deleted_images_space_is_given_back(stages: Opened) -> None:
    stage = stages()
    _, image = await saved(stage)
    assert image.digest in stage.world.blobs
    await stage.images.delete(ALICE, image.id)
    await stage.settle()
    assert set(stage.world.blobs) == {memory.digest_of("python:3.11")}
    with pytest.raises(NotFound):
        await stage.images.get(ALICE, image.id)


async def test_nothing_else_is_done_while_an_image_is_saved(stages: Opened) -> None:
    stage = stages()
    instance = await stage.running_instance()
    await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    for attempt in (
        stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="2")),
        stage.instances.stop(ALICE, instance.id),
        stage.instances.delete(ALICE, instance.id),
        stage.instances.switch(ALICE, instance.id, InstanceSwitch(flavor="cpu.2u4g")),
    ):
        with pytest.raises(Conflict, match="being saved"):
            await attempt
