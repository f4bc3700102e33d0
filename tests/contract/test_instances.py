"""What every back end keeps of the contract of `InstanceBackend` and `LiveResize`."""

from dataclasses import replace

import pytest
from contract_stage import HUGE, LARGE, NPU, SMALL, Stage, cut_off, steps

from jupyter_mlplat.backends.base import LiveResize, ServerState
from jupyter_mlplat.instances.models import StepName

pytestmark = pytest.mark.hub


async def test_a_start_goes_through_its_steps_and_ends_with_a_server(stage: Stage) -> None:
    spec = await stage.instance()
    checkpoints = await steps(stage.instances.start(spec))
    reached = [checkpoint.step for checkpoint in checkpoints if checkpoint.step]
    assert list(dict.fromkeys(reached)) == [step for step in StepName if step in reached], "in their order"
    assert reached[-1] is StepName.INITIALISE
    assert (await stage.instances.observe(spec)).state is ServerState.RUNNING
    assert await stage.has_work(spec)
    assert await stage.flavor_in_force(spec) == SMALL.id


async def test_an_instance_that_never_was_is_gone(stage: Stage) -> None:
    assert (await stage.instances.observe(await stage.instance())).state is ServerState.GONE


@pytest.mark.parametrize("restarted", [False, True], ids=["at-once", "after-a-restart"])
async def test_a_start_adopts_the_server_that_is_there(stage: Stage, restarted: bool) -> None:
    spec = await stage.running()
    server = await stage.server(spec)
    if restarted:
        await stage.reopen()
        assert (await stage.instances.observe(spec)).state is ServerState.RUNNING
    await steps(stage.instances.start(await stage.permit(spec)))
    assert await stage.server(spec) == server is not None
    assert (await stage.instances.observe(spec)).state is ServerState.RUNNING


@pytest.mark.parametrize("after", [1, 2, 3, 4, 5])
async def test_a_start_cut_off_anywhere_is_gone_on_with(stage: Stage, after: int) -> None:
    spec = await stage.instance()
    await cut_off(stage.instances.start(spec), after)
    await stage.reopen()
    await steps(stage.instances.start(await stage.permit(spec)))
    assert (await stage.instances.observe(spec)).state is ServerState.RUNNING
    assert stage.package in await stage.installed(spec)


async def test_a_server_that_ended_by_itself_is_gone_and_can_be_started_anew(stage: Stage) -> None:
    spec = await stage.running()
    server = await stage.server(spec)
    await stage.end_server(spec)
    assert (await stage.instances.observe(spec)).state is ServerState.GONE
    await steps(stage.instances.start(await stage.permit(spec)))
    assert (await stage.instances.observe(spec)).state is ServerState.RUNNING
    assert await stage.server(spec) != server


async def test_a_stop_ends_the_server_and_keeps_the_work_folder(stage: Stage) -> None:
    spec = await stage.running()
    assert await steps(stage.instances.stop(spec))
    assert (await stage.instances.observe(spec)).state is ServerState.GONE
    assert await stage.server(spec) is None
    assert await stage.has_work(spec)
    await steps(stage.instances.start(await stage.permit(spec)))
    assert (await stage.instances.observe(spec)).state is ServerState.RUNNING


async def test_nothing_to_stop_is_no_error(stage: Stage) -> None:
    never = await stage.instance()
    await steps(stage.instances.stop(never))
    spec = await stage.running()
    for _ in range(2):
        await steps(stage.instances.stop(spec))
    assert (await stage.instances.observe(spec)).state is ServerState.GONE


async def test_a_stop_cut_off_is_gone_on_with(stage: Stage) -> None:
    spec = await stage.running()
    await cut_off(stage.instances.stop(spec), 1)
    await stage.reopen()
    await steps(stage.instances.stop(spec))
    assert (await stage.instances.observe(spec)).state is ServerState.GONE


async def test_a_delete_removes_the_work_folder_and_may_come_again(stage: Stage) -> None:
    spec = await stage.running()
    await steps(stage.instances.stop(spec))
    for _ in range(2):
        await steps(stage.instances.delete(spec))
        assert not await stage.has_work(spec)
    await steps(stage.instances.delete(await stage.instance()))


async def test_an_instance_gets_the_image_that_its_spec_names(stage: Stage) -> None:
    spec = await stage.running()
    await stage.install(spec, "gamma", "3.0")
    before = await stage.installed(spec)
    await steps(stage.instances.stop(spec))
    other = await stage.running(instance_id=spec.instance_id, image_digest=stage.other_digest)
    after = await stage.installed(other)
    assert after and after != before


async def test_a_launch_is_that_of_its_instance(stage: Stage) -> None:
    one, two = await stage.instance(), await stage.instance()
    launch = stage.instances.launch(one)
    assert (launch.instance_id, launch.owner) == (one.instance_id, one.owner)
    assert launch == stage.instances.launch(one) != stage.instances.launch(two)


async def test_offers_come_in_the_order_given_and_say_why_not(stage: Stage) -> None:
    wanted = [HUGE, SMALL, NPU, LARGE]
    offers = await stage.instances.offers(wanted)
    assert [offer.id for offer in offers] == [flavor.id for flavor in wanted]
    assert [offer.sold_out for offer in offers] == [True, False, True, False]
    assert all(bool(offer.reason) == offer.sold_out for offer in offers)
    assert await stage.instances.offers([]) == []


async def test_a_live_resize_leaves_the_server_running(stage: Stage) -> None:
    assert isinstance(stage.instances, LiveResize)
    assert stage.instances.can_resize(SMALL, LARGE) and not stage.instances.can_resize(SMALL, NPU)
    spec = await stage.running()
    server = await stage.server(spec)
    for flavor in (LARGE, LARGE, SMALL):
        await stage.instances.resize(replace(spec, flavor=flavor))
        assert await stage.flavor_in_force(spec) == flavor.id
    assert await stage.server(spec) == server
    assert (await stage.instances.observe(spec)).state is ServerState.RUNNING
