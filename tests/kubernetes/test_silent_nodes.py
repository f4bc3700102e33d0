"""A node that falls silent: its instances are started elsewhere once nothing of theirs can write any more."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from instances_stage import SOON, Stage, eventually, with_settings

from jupyter_mlplat.backends.base import InstanceSpec, ServerState
from jupyter_mlplat.backends.kubernetes import names
from jupyter_mlplat.backends.kubernetes.client import path_of
from jupyter_mlplat.backends.kubernetes.instances import KubernetesInstances

pytestmark = pytest.mark.asyncio(loop_scope="module")
Json = dict[str, Any]


NOBODYS_ADDRESS = "192.0.2.99"


@asynccontextmanager
async def _silent_node(stage: Stage, address: str) -> AsyncIterator[str]:
    """A node whose kubelet has never spoken; `address` is where it is said to listen."""
    name = f"silent-{stage.namespace}"
    await stage.cluster.create("/api/v1/nodes", {"metadata": {"name": name}, "spec": {"unschedulable": True}})
    await _move(stage, name, address)
    try:
        yield name
    finally:
        await stage.cluster.delete(f"/api/v1/nodes/{name}")


async def _move(stage: Stage, node: str, address: str) -> None:
    status = {"addresses": [{"type": "InternalIP", "address": address}]}
    await stage.cluster.patch(f"/api/v1/nodes/{node}/status", {"status": status})


async def _placed(stage: Stage, spec: InstanceSpec, node: str) -> Json:
    """A pod of the instance on that node, which nobody starts there."""
    pod = stage.instances.launch(spec).pod
    pod["spec"]["nodeName"] = node
    return await stage.cluster.create(path_of(stage.namespace, "pods"), pod)


async def _stranded(stage: Stage, spec: InstanceSpec, node: str) -> str:
    """A pod of the instance on that node, which seems to run; its uid."""
    made = await _placed(stage, spec, node)
    state = {"running": {"startedAt": made["metadata"]["creationTimestamp"]}}
    container = {"name": "notebook", "image": "x", "imageID": "x", "ready": True, "restartCount": 0, "state": state}
    status = {"phase": "Running", "podIP": "10.255.255.1", "containerStatuses": [container]}
    await stage.cluster.patch(
        path_of(stage.namespace, "pods", names.pod_name(spec.instance_id), "status"), {"status": status}
    )
    return str(made["metadata"]["uid"])


async def _is_lost(instances: KubernetesInstances, spec: InstanceSpec, node: str) -> bool:
    seen = await instances.observe(spec)
    return seen.state is ServerState.GONE and node in seen.message


async def test_an_instance_is_started_elsewhere_once_its_silent_node_cannot_write_any_more(stage: Stage) -> None:
    instances = with_settings(stage, node_grace=timedelta(seconds=1), storage_fences=True)
    stage.instances, before = instances, stage.instances
    spec = stage.spec("i-dead")
    try:
        async with _silent_node(stage, os.environ["MLPLAT_HOST_ADDRESS"]) as node:
            uid = await _stranded(stage, spec, node)
            await eventually(lambda: _is_lost(instances, spec, node), 200)
            said = []
            async for checkpoint in instances.start(stage.permitted(spec)):
                said.append(checkpoint.message)
                if "may still write" in checkpoint.message:
                    assert await stage.uid(spec) == uid
                    await _move(stage, node, NOBODYS_ADDRESS)
            assert any("Started elsewhere" in message and node in message for message in said), said
            assert await stage.uid(spec) != uid
            assert await stage.reachable(spec)
    finally:
        await stage.remove(spec)
        stage.instances = before


async def test_a_start_on_a_node_that_falls_silent_goes_on_elsewhere(stage: Stage) -> None:
    instances = with_settings(stage, node_grace=SOON, storage_fences=True)
    stage.instances, before = instances, stage.instances
    spec = stage.spec("i-silent")
    try:
        async with _silent_node(stage, NOBODYS_ADDRESS) as node:
            placed = await _placed(stage, spec, node)
            await stage.start(spec)
            assert await stage.uid(spec) != placed["metadata"]["uid"]
            assert await stage.reachable(spec)
    finally:
        await stage.remove(spec)
        stage.instances = before
