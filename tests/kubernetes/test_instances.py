"""Instances on a real cluster: what a start says and survives, what a switch leaves running, why things fail."""

import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import psutil
import pytest
from instances_stage import REGISTRY, SOON, Stage, eventually, running, with_settings
from kernels import Kernel
from kubectl import Kubectl

from jupyter_mlplat.backends.base import InstanceSpec, ServerState
from jupyter_mlplat.backends.kubernetes import names
from jupyter_mlplat.backends.kubernetes.client import path_of
from jupyter_mlplat.backends.kubernetes.diagnosis import is_running
from jupyter_mlplat.backends.kubernetes.instances import KubernetesInstances
from jupyter_mlplat.errors import Conflict, MlplatError, NotFound, SoldOut
from jupyter_mlplat.flavors.models import Accelerator, Category, Flavor
from jupyter_mlplat.instances.models import StepName

pytestmark = pytest.mark.asyncio(loop_scope="module")
GIB = 1024**3


async def fails(stage: Stage, spec: InstanceSpec, instances: KubernetesInstances | None = None) -> str:
    """The words with which a start fails; everything is cleared away as the reconciler does."""
    stage.instances, before = instances or stage.instances, stage.instances
    try:
        with pytest.raises(MlplatError) as failure:
            await stage.start(spec)
        return failure.value.message
    finally:
        await stage.remove(spec)
        stage.instances = before


async def test_a_start_goes_through_its_steps_and_says_what_happens(stage: Stage) -> None:
    spec = stage.spec("i-steps")
    try:
        checkpoints = await stage.start(spec)
        steps = [checkpoint.step for checkpoint in checkpoints if checkpoint.step]
        assert list(dict.fromkeys(steps)) == list(StepName)
        assert any(checkpoint.message.startswith("Placed on node") for checkpoint in checkpoints)
        assert await stage.reachable(spec)
        assert (await stage.instances.observe(spec)).state is ServerState.RUNNING
    finally:
        await stage.remove(spec)
    assert await stage.pod(spec) is None
    assert (await stage.instances.observe(spec)).state is ServerState.GONE


async def test_the_server_knows_who_it_is_and_only_its_owner_gets_in(stage: Stage, one: InstanceSpec) -> None:
    answer = (await stage.api(one, "GET", "mlplat/instance")).json()
    assert (answer["instance_id"], answer["user"]) == (one.instance_id, "alice")
    assert answer["runtime"]["environment"] == "/opt/mlplat/env"
    memory = (await stage.api(one, "GET", "mlplat/readings")).json()["memory"]
    assert (memory["limit_bytes"], memory["enforced"]) == (GIB, True)
    assert "uid=1000(ma-user)" in await stage.exec(one, "id")


async def test_the_work_folder_survives_a_stop_and_goes_with_a_delete(stage: Stage) -> None:
    spec = stage.spec("i-work")
    await stage.start(spec)
    await stage.exec(spec, "sh", "-c", "echo kept > /home/ma-user/work/file; echo lost > /home/ma-user/file")
    stage.platform.wanted.discard(spec.instance_id)
    assert [checkpoint async for checkpoint in stage.instances.stop(spec)]
    assert await stage.pod(spec) is None
    assert [checkpoint async for checkpoint in stage.instances.stop(spec)], "nothing to stop is no error"
    await stage.start(spec)
    shown = await stage.exec(spec, "sh", "-c", "cat /home/ma-user/work/file; ls /home/ma-user/file")
    assert "kept" in shown
    assert "No such file" in shown
    await stage.remove(spec)
    with pytest.raises(NotFound):
        claim = path_of(stage.namespace, "persistentvolumeclaims", names.claim_name(spec.instance_id))
        await eventually(lambda: _gone(stage, claim))
        await stage.cluster.get(claim)


async def _gone(stage: Stage, path: str) -> bool:
    try:
        await stage.cluster.get(path)
    except NotFound:
        return True
    return False


async def test_a_switch_of_cpu_and_memory_leaves_the_kernel_running(stage: Stage, one: InstanceSpec) -> None:
    larger = stage.spec(one.instance_id, flavor=Flavor(id="t.more", name="more", vcpus=1, memory_mib=1536))
    async with Kernel(stage, one) as kernel:
        await kernel.run("kept = 41")
        uid = await stage.uid(one)
        took = await _resize(stage, larger)
        assert await _memory_limit(stage, one) == 1536 * 1024**2
        assert await kernel.run("print(kept + 1)") == "42\n"
    print(f"the switch took {took:.2f} s")
    assert took < 3
    assert await stage.uid(one) == uid
    await eventually(lambda: _reads(stage, one, 1536 * 1024**2))
    pod = await stage.pod(one)
    assert pod and pod["metadata"]["annotations"]["mlplat.io/flavor"] == "t.more"
    await _resize(stage, one)
    assert await _memory_limit(stage, one) == GIB


async def _resize(stage: Stage, spec: InstanceSpec) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    await stage.instances.resize(spec)
    return time.monotonic() - began


async def _memory_limit(stage: Stage, spec: InstanceSpec) -> int:
    """The limit of the container's cgroup, of either kind."""
    files = "/sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
    return int((await stage.exec(spec, "sh", "-c", f"cat {files} 2>/dev/null")).split()[0])


async def _reads(stage: Stage, spec: InstanceSpec, limit: int) -> bool:
    answer = await stage.api(spec, "GET", "mlplat/readings")
    return bool(answer.json()["memory"]["limit_bytes"] == limit)


async def test_less_memory_than_is_used_is_refused_beforehand(stage: Stage, one: InstanceSpec) -> None:
    async with Kernel(stage, one) as kernel:
        await kernel.run("held = bytearray(500 * 2**20)")
        tiny = stage.spec(one.instance_id, flavor=Flavor(id="t.tiny", name="tiny", vcpus=1, memory_mib=256))
        with pytest.raises(Conflict, match=r"uses 0\.\d GiB, more than the 0\.25 GiB of tiny"):
            await stage.instances.resize(tiny)
        assert await _memory_limit(stage, one) == GIB
        assert await kernel.run("print(len(held))") == f"{500 * 2**20}\n"


async def test_a_flavor_that_the_node_can_never_hold_is_told_and_the_old_one_wanted_again(
    stage: Stage, one: InstanceSpec
) -> None:
    huge = stage.spec(one.instance_id, flavor=Flavor(id="t.huge", name="huge", vcpus=500, memory_mib=1024))
    with pytest.raises(Conflict, match="can never hold"):
        await stage.instances.resize(huge)
    pod = await stage.pod(one)
    assert pod and pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "1"
    assert pod["metadata"]["annotations"]["mlplat.io/flavor"] == "t.small"


async def test_a_flavor_for_which_the_node_has_no_room_now_is_sold_out(stage: Stage, one: InstanceSpec) -> None:
    pod = await stage.pod(one)
    assert pod
    node = await stage.cluster.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")
    cores = int(float(node["status"]["allocatable"]["cpu"]))
    async with _blocker(stage, one, pod["spec"]["nodeName"]):
        wide = stage.spec(one.instance_id, flavor=Flavor(id="t.wide", name="wide", vcpus=cores, memory_mib=1024))
        with pytest.raises(SoldOut, match="no room for that flavor now"):
            await stage.instances.resize(wide)
    pod = await stage.pod(one)
    assert pod and pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "1"


@asynccontextmanager
async def _blocker(stage: Stage, one: InstanceSpec, node: str) -> AsyncIterator[None]:
    """A pod of somebody else's that takes a little of the node."""
    pod = stage.instances.launch(stage.spec("i-blocker")).pod
    pod["metadata"] = {"name": "blocker"}
    pod["spec"] |= {"nodeName": node, "volumes": []}
    little = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "32Mi"}}
    pod["spec"]["containers"][0] |= {
        "command": ["sleep", "600"],
        "volumeMounts": [],
        "workingDir": "/",
        "resources": little,
    }
    await stage.cluster.create(path_of(stage.namespace, "pods"), pod)
    path = path_of(stage.namespace, "pods", "blocker")
    try:
        await eventually(lambda: _phase(stage, path, "Running"))
        yield
    finally:
        await stage.cluster.delete(path, grace_seconds=0)


async def _phase(stage: Stage, path: str, phase: str) -> bool:
    return bool((await stage.cluster.get(path))["status"].get("phase") == phase)


GPU_FLAVOR = Flavor(
    id="t.gpu",
    name="one GPU",
    category=Category.GPU,
    vcpus=1,
    memory_mib=256,
    accelerator=Accelerator(type="nvidia", count=1),
)


async def test_a_gpu_is_offered_until_somebody_has_it(stage: Stage) -> None:
    instances = with_settings(stage, gpu_resource="test.mlplat.io/gpu")
    assert await _why_not(instances) == "this cluster has no GPU"
    async with _device(stage, "node1", "test.mlplat.io/gpu"):
        await eventually(lambda: _is_offered(instances))
        stage.instances, before = instances, stage.instances
        try:
            async with running(stage, "i-gpu", flavor=GPU_FLAVOR) as spec:
                pod = await stage.pod(spec)
                assert pod and pod["spec"]["nodeName"] == "node1"
                assert await _why_not(instances) == "all GPUs are in use"
        finally:
            stage.instances = before
        await eventually(lambda: _is_offered(instances))


async def _why_not(instances: KubernetesInstances) -> str | None:
    (offer,) = await instances.offers([GPU_FLAVOR])
    return offer.reason


async def _is_offered(instances: KubernetesInstances) -> bool:
    return await _why_not(instances) is None


@asynccontextmanager
async def _device(stage: Stage, node: str, name: str) -> AsyncIterator[None]:
    """One device of that name on the node."""
    path, key = f"/api/v1/nodes/{node}/status", name.replace("/", "~1")
    await stage.cluster.patch(path, [{"op": "add", "path": f"/status/capacity/{key}", "value": "1"}], "json")
    try:
        yield
    finally:
        await stage.cluster.patch(path, {"status": {"capacity": {name: None}, "allocatable": {name: None}}})


async def test_an_image_that_is_not_there_fails_with_the_reason(stage: Stage) -> None:
    missing = stage.spec("i-noimage").image_reference.split("@")[0] + "@sha256:" + "0" * 64
    words = await fails(stage, stage.spec("i-noimage", image_reference=missing))
    assert "python:dev cannot be pulled: it is not in the registry" in words


async def test_a_registry_that_does_not_answer_fails_after_some_patience(stage: Stage) -> None:
    nowhere = "127.0.0.1:9/none/none@sha256:" + "0" * 64
    words = await fails(stage, stage.spec("i-noregistry", image_reference=nowhere), with_settings(stage, patience=SOON))
    assert "cannot be pulled" in words
    assert "administrator" in words


async def test_a_flavor_for_which_there_is_no_room_fails_after_some_patience(stage: Stage) -> None:
    huge = Flavor(id="t.huge", name="huge", vcpus=500, memory_mib=1024)
    words = await fails(stage, stage.spec("i-huge", flavor=huge), with_settings(stage, patience=SOON))
    assert "too few CPU cores free" in words
    assert "smaller flavor" in words


async def test_a_claim_that_cannot_bind_fails_with_the_reason(stage: Stage) -> None:
    words = await fails(stage, stage.spec("i-noclass"), with_settings(stage, storage_class="no-such-class"))
    assert "The work folder gets no volume" in words
    assert "no-such-class" in words


async def test_a_full_quota_of_the_namespace_fails_with_its_figures(stage: Stage) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"limits.memory": "100Mi"}}}
    await stage.cluster.create(path_of(stage.namespace, "resourcequotas"), quota)
    try:
        await eventually(lambda: _counted(stage))
        words = await fails(stage, stage.spec("i-quota"))
    finally:
        await stage.cluster.delete(path_of(stage.namespace, "resourcequotas", "none"))
    assert "quota" in words
    assert "limits.memory" in words


async def _counted(stage: Stage) -> bool:
    found = await stage.cluster.get(path_of(stage.namespace, "resourcequotas", "none"))
    return bool(found.get("status", {}).get("hard"))


async def _is_gone(stage: Stage, spec: InstanceSpec) -> bool:
    return (await stage.instances.observe(spec)).state is ServerState.GONE


async def test_a_server_that_ends_is_seen_with_its_exit_code_and_comes_back_with_its_files(stage: Stage) -> None:
    async with running(stage, "i-ends") as spec:
        await stage.exec(spec, "touch", "/home/ma-user/work/kept")
        await stage.exec(spec, "sh", "-c", "kill -9 $(cat /proc/1/task/1/children)")
        await eventually(lambda: _is_gone(stage, spec))
        assert "exit code 137" in (await stage.instances.observe(spec)).message
        before = await stage.uid(spec)
        await stage.start(spec)
        assert await stage.uid(spec) != before
        assert await stage.reachable(spec)
        assert "kept" in await stage.exec(spec, "ls", "/home/ma-user/work")
        path = path_of(stage.namespace, "pods", names.pod_name(spec.instance_id))
        await stage.cluster.delete(path, grace_seconds=0)
        await eventually(lambda: _is_gone(stage, spec))


async def test_the_watch_finds_its_way_after_a_lost_connection(stage: Stage, one: InstanceSpec) -> None:
    pod = await stage.pod(one)
    assert pod
    _cut_connections()
    async with _blocker(stage, one, pod["spec"]["nodeName"]):
        await eventually(lambda: _is_seen_running(stage, "blocker"))
    await eventually(lambda: _is_not_seen(stage, "blocker"))


def _cut_connections() -> None:
    """End this process's connections to the API server, as a network does that breaks."""
    port = urlsplit(Kubectl(REGISTRY).server).port
    for connection in psutil.Process().net_connections("tcp"):
        if connection.raddr and connection.raddr.port == port:
            with socket.socket(fileno=os.dup(connection.fd)) as ours:
                ours.shutdown(socket.SHUT_RDWR)


async def _is_seen_running(stage: Stage, name: str) -> bool:
    pod = stage.world.pod(name)
    return bool(pod and is_running(pod))


async def _is_not_seen(stage: Stage, name: str) -> bool:
    return stage.world.pod(name) is None
