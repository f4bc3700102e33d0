"""The Hub of a cluster starts and stops what the platform wants, and nothing else."""

import asyncio
import json
from typing import Any

import pytest
from instances_stage import Stage, eventually
from kernels import Kernel

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.kubernetes import names
from jupyter_mlplat.backends.kubernetes.client import path_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
Json = dict[str, Any]


async def test_a_hub_killed_in_the_middle_of_a_start_ends_in_the_same_pod(stage: Stage) -> None:
    spec = stage.spec("i-middle")
    try:
        start = asyncio.create_task(stage.start(spec))
        await eventually(lambda: stage.pod(spec))
        uid = await stage.uid(spec)
        stage.kill_hub()
        await stage.start_hub()
        await start
        assert await stage.uid(spec) == uid
        assert await stage.reachable(spec)
        assert (await stage.api(spec, "GET", "api/kernels")).status_code == 200, "its token is still good"
    finally:
        await stage.remove(spec)


async def test_a_hub_that_gives_up_too_early_leaves_the_pod_which_is_taken_up_again(stage: Stage) -> None:
    spec = stage.spec("i-early")
    stage.kill_hub()
    await stage.start_hub(MLPLAT_HUB_START_TIMEOUT="6")
    stage.delay_seconds = 12
    try:
        start = asyncio.create_task(stage.start(spec))
        await eventually(lambda: stage.pod(spec))
        uid = await stage.uid(spec)
        await start
        assert spec.instance_id in stage.platform.asked, "the Hub gave up and asked whether to delete the pod"
        assert await stage.uid(spec) == uid
        assert await stage.reachable(spec)
    finally:
        stage.delay_seconds = 0
        stage.kill_hub()
        await stage.start_hub()
        await stage.remove(spec)


async def test_a_cull_style_stop_ends_no_instance_that_the_platform_wants(stage: Stage, one: InstanceSpec) -> None:
    async with Kernel(stage, one) as kernel:
        await kernel.run("kept = 7")
        uid = await stage.uid(one)
        answer = await stage.hub("DELETE", f"/users/alice/servers/{one.instance_id}")
        assert answer.status_code in (202, 204)
        await eventually(lambda: _not_reachable(stage, one))
        assert await stage.uid(one) == uid
        await stage.start(one)
        assert await stage.uid(one) == uid
        assert await stage.reachable(one)
        assert await kernel.run("print(kept)", anew=True) == "7\n"


async def _not_reachable(stage: Stage, spec: InstanceSpec) -> bool:
    return not await stage.reachable(spec)


async def test_the_hub_starts_nothing_without_a_permit_and_takes_nothing_from_whoever_asks(stage: Stage) -> None:
    for options in (None, {}, {"permit": "unknown"}, {"permit": "x", "image": "evil", "profile": "root"}):
        answer = await stage.hub("POST", "/users/alice/servers/i-forged", json=options)
        assert answer.status_code == 403
    foreign = stage.permitted(stage.spec("i-other")).permit
    answer = await stage.hub("POST", "/users/alice/servers/i-forged", json={"permit": foreign})
    assert answer.status_code == 403
    assert await stage.pod(stage.spec("i-forged")) is None


async def test_what_a_request_adds_to_a_permit_changes_nothing_of_the_pod(stage: Stage) -> None:
    spec = stage.permitted(stage.spec("i-plain"))
    more = {"permit": spec.permit, "image": "evil", "kubespawner_override": {"image": "evil", "privileged": True}}
    try:
        await stage.instances.offers([])
        await stage.cluster.create(
            path_of(stage.namespace, "persistentvolumeclaims"),
            {"metadata": {"name": names.claim_name(spec.instance_id)}, "spec": _small_claim()},
        )
        assert (await stage.hub("POST", f"/users/alice/servers/{spec.instance_id}", json=more)).status_code in (
            201,
            202,
        )
        pod = await eventually(lambda: stage.pod(spec))
        wanted = stage.instances.launch(spec).pod
        assert pod["spec"]["containers"][0]["image"] == spec.image_reference
        assert pod["spec"]["securityContext"] == wanted["spec"]["securityContext"]
        assert json.loads(pod["metadata"]["annotations"]["mlplat.io/runtime"])["instance_id"] == spec.instance_id
        assert "evil" not in json.dumps(pod)
    finally:
        await stage.remove(spec)


def _small_claim() -> Json:
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
