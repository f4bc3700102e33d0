"""Killed at any line, the platform brings an instance to where it should be."""

from collections.abc import Awaitable, Callable

import pytest
from platform_stage import ALICE, EINOPS, Opened, Stage, preset

from jupyter_mlplat.backends import memory
from jupyter_mlplat.images.models import ImageFilter, ImageSave, ImageStatus
from jupyter_mlplat.instances.models import (
    Instance,
    InstanceCreate,
    InstanceFilter,
    InstanceSwitch,
    Status,
)


async def begin_start(stage: Stage) -> Instance:
    await stage.preset()
    return await stage.instances.create(ALICE, InstanceCreate(name="one"))


async def begin_stop(stage: Stage) -> Instance:
    instance = await stage.running_instance()
    return await stage.instances.stop(ALICE, instance.id)


async def begin_delete(stage: Stage) -> Instance:
    instance = await stage.running_instance()
    return await stage.instances.delete(ALICE, instance.id)


async def begin_live_switch(stage: Stage) -> Instance:
    instance = await stage.running_instance()
    return await stage.instances.switch(ALICE, instance.id, InstanceSwitch(flavor="cpu.2u4g"))


async def begin_restart_switch(stage: Stage) -> Instance:
    instance = await stage.running_instance()
    torch = await preset(stage, "pytorch")
    wanted = InstanceSwitch(flavor="cpu.2u4g", image_id=torch.id, restart=True)
    return await stage.instances.switch(ALICE, instance.id, wanted)


async def begin_save(stage: Stage) -> Instance:
    instance = await stage.running_instance()
    stage.world.installed[instance.id] = [EINOPS]
    await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    return instance


Begin = Callable[[Stage], Awaitable[Instance]]


@pytest.mark.parametrize(
    ("begin", "least"),
    [(begin_start, 8), (begin_stop, 3), (begin_delete, 4), (begin_live_switch, 2), (begin_restart_switch, 10),
     (begin_save, 4)],
)  # fmt: skip
async def test_killed_at_any_line_the_instance_gets_where_it_should(stages: Opened, begin: Begin, least: int) -> None:
    tick, killed = 0, True
    while killed:
        tick += 1
        stage = stages()
        instance = await begin(stage)
        killed = await stage.settle_killed_at(tick)
        assert_arrived(begin, stage, instance, await rows(stage), f"killed at {tick}")
        if begin is begin_save:
            (image,) = (await stage.images.find(ALICE, ImageFilter(name="mine"))).data
            assert image.status == ImageStatus.ACTIVE and image.digest in stage.world.blobs
            assert not any(name.startswith("partial") for name in stage.world.blobs)
    assert tick > least


async def rows(stage: Stage) -> list[Instance]:
    return (await stage.instances.find(ALICE, InstanceFilter())).data


def assert_arrived(begin: Begin, stage: Stage, instance: Instance, found: list[Instance], when: str) -> None:
    if begin is begin_delete:
        assert (found, stage.world.work, stage.world.servers) == ([], set(), {}), when
        return
    (one,) = found
    if begin is begin_stop:
        assert (one.status, stage.world.servers) == (Status.STOPPED, {}), when
        return
    server = stage.world.servers[instance.id]
    assert (one.status, one.target_flavor, one.target_image_id) == (Status.RUNNING, None, None), when
    assert (server.flavor, server.starts) == (one.flavor, 1), when
    switched = begin in (begin_live_switch, begin_restart_switch)
    assert one.flavor == ("cpu.2u4g" if switched else "cpu.1u2g"), when
    image = "pytorch:2.8" if begin is begin_restart_switch else "python:3.11"
    assert (one.image_name, server.image_digest) == (image, memory.digest_of(image)), when
