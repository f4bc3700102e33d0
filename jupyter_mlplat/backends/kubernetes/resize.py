"""A switch of CPU and memory on a running pod: the patch, and what the kubelet made of it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.kubernetes import names, resources
from jupyter_mlplat.backends.kubernetes.client import Cluster, ClusterRefused, path_of
from jupyter_mlplat.backends.kubernetes.pod import flavor_annotations
from jupyter_mlplat.backends.kubernetes.resources import quantity
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.watch import World
from jupyter_mlplat.errors import Conflict, MlplatError, SoldOut

Json = dict[str, Any]

LIVE = ("cpu", "memory")
SECONDS = 30.0


async def resize_pod(cluster: Cluster, world: World, settings: KubernetesSettings, spec: InstanceSpec) -> None:
    """Put the flavor of `spec` into force on the running pod.

    Raises SoldOut where the node has no room for it and Conflict where the kubelet cannot do it; then what was in
    force before is wanted again.
    """
    name = names.pod_name(spec.instance_id)
    pod = world.pod(name)
    if pod is None:
        raise Conflict(f"{spec.name} does not run (any more). Start it, then switch.")
    before = actual(pod)
    wanted = {kind: amount for kind, amount in resources.amounts(spec.flavor, settings).items() if kind in LIVE}
    with world.signals.listen(name) as changed:
        generation = await _patch(cluster, settings, name, wanted)
        failure = await _outcome(world, name, wanted, generation, changed)
    if failure is not None:
        await _patch(cluster, settings, name, before)
        raise failure
    annotations = {"metadata": {"annotations": flavor_annotations(spec)}}
    await cluster.patch(path_of(settings.namespace, "pods", name), annotations)


def actual(pod: Json) -> dict[str, str]:
    """The limits that are in force on the server's container now."""
    limits = _status(pod).get("resources", {}).get("limits") or _container(pod)["resources"]["limits"]
    return {kind: str(limits[kind]) for kind in LIVE}


def verdict(pod: Json, wanted: Mapping[str, str], generation: int) -> MlplatError | bool:
    """Whether `wanted` is in force (True), not yet (False), or will not be (the error that says why)."""
    conditions = {found["type"]: found for found in pod["status"].get("conditions") or []}
    pending = conditions.get("PodResizePending")
    if pending and _is_current(pending, generation):
        return _refusal(pending)
    progress = conditions.get("PodResizeInProgress")
    if progress and _is_current(progress, generation) and progress.get("reason") == "Error":
        return Conflict(f"The node could not resize the instance: {progress.get('message', 'no reason given')}.")
    if progress or pod["metadata"].get("generation", 0) < generation:
        return False
    return all(quantity(actual(pod)[kind]) == quantity(amount) for kind, amount in wanted.items())


def _refusal(pending: Json) -> MlplatError:
    if pending.get("reason") == "Deferred":
        return SoldOut(
            "The node of this instance has no room for that flavor now. Stop the instance, switch and start it: then "
            "it may find another node."
        )
    why = pending.get("message", "no reason given")
    return Conflict(f"The node of this instance can never hold that flavor ({why}). Stop the instance, then switch.")


async def _patch(cluster: Cluster, settings: KubernetesSettings, name: str, amounts: Mapping[str, str]) -> int:
    """Ask for the amounts; the generation of the pod that holds them."""
    both = {"requests": dict(amounts), "limits": dict(amounts)}
    body = {"spec": {"containers": [{"name": names.NOTEBOOK, "resources": both}]}}
    try:
        pod = await cluster.patch(path_of(settings.namespace, "pods", name, "resize"), body, "strategic")
    except ClusterRefused as error:
        raise Conflict(f"The instance cannot be resized while it runs: {error.message}") from error
    return int(pod["metadata"].get("generation", 0))


async def _outcome(
    world: World, name: str, wanted: Mapping[str, str], generation: int, changed: asyncio.Event
) -> MlplatError | None:
    """Wait for the kubelet's word; None once the amounts are in force."""
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                changed.clear()
                pod = world.pod(name)
                if pod is None:
                    return Conflict("The instance ended while it was resized.")
                found = verdict(pod, wanted, generation)
                if isinstance(found, MlplatError):
                    return found
                if found:
                    return None
                await changed.wait()
    except TimeoutError:
        return Conflict(f"The node did not resize the instance within {SECONDS:.0f} seconds.")


def _is_current(condition: Json, generation: int) -> bool:
    """Whether a condition speaks of this generation of the pod; older kubelets do not say."""
    return int(condition.get("observedGeneration", generation)) >= generation


def _container(pod: Json) -> Json:
    found: Json = next(one for one in pod["spec"]["containers"] if one["name"] == names.NOTEBOOK)
    return found


def _status(pod: Json) -> Json:
    statuses = pod["status"].get("containerStatuses") or []
    return next((status for status in statuses if status["name"] == names.NOTEBOOK), {})
