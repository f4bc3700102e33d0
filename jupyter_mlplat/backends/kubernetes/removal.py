"""Ending pods, also those on nodes that no longer answer: no second pod is started while the first may still write."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from jupyter_mlplat.backends.kubernetes import nodes
from jupyter_mlplat.backends.kubernetes.client import CORE, Cluster, path_of
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.watch import World
from jupyter_mlplat.errors import BackendFailure, Conflict

Json = dict[str, Any]

LOOK_SECONDS = 2.0
LONGEST_SECONDS = 120.0
KNOCK_SECONDS = 3.0
UNTIL = f"It goes on once the node is back, or an administrator declares it dead (taint {nodes.OUT_OF_SERVICE})."


class Removal:
    """Removes pods of the users' namespace and waits until they are gone."""

    def __init__(self, cluster: Cluster, world: World, settings: KubernetesSettings) -> None:
        self._cluster, self._world, self._settings = cluster, world, settings
        self._unheard: dict[str, float] = {}

    async def lost(self, pod: Json) -> str | None:
        """Why a pod counts as lost, None where it does not. BackendFailure while the API server is away.

        It is asked once more: what was seen of a node may be old, as the API server may have been away itself.
        """
        if (why := self.seems_lost(pod)) is None:
            return None
        node = await self._node(pod["spec"]["nodeName"])
        return why if node is None or nodes.known_dead(node) or nodes.is_silent(node) else None

    def seems_lost(self, pod: Json, now: float | None = None) -> str | None:
        """The same, from what was seen last: its node is declared dead, or not heard of in the grace period.

        That counts from when we learned of it (`now` is of the monotonic clock), not from the node's own condition:
        the cluster may have written that long before it could tell anybody.
        """
        name, now = pod["spec"].get("nodeName"), now or time.monotonic()
        if not name:
            return None
        node = self._world.nodes.objects.get(name)
        if node is not None and nodes.known_dead(node):
            return f"its node {name} is out of service"
        if node is not None and not nodes.is_silent(node):
            self._unheard.pop(name, None)
            return None
        if now - self._unheard.setdefault(name, now) < self._settings.node_grace.total_seconds():
            return None
        return f"its node {name} is gone" if node is None else f"its node {name} does not answer any more"

    async def held(self, pod_name: str) -> AsyncGenerator[str, None]:
        """Why a lost pod cannot be ended yet, each reason once; until it can, or is lost no more."""
        said = ""
        while (pod := self._world.pod(pod_name)) is not None and await self.lost(pod):
            if (why := await self._why_held(pod["spec"]["nodeName"])) is None:
                return
            if why != said:
                yield why
            said = why
            await asyncio.sleep(LOOK_SECONDS)

    async def remove(self, pod_name: str) -> None:
        """End the pod in good order and wait until it is gone; no pod is no error.

        One on a lost node is struck off the cluster's records. BackendFailure while it may still write, see `held`.
        """
        deadline = time.monotonic() + LONGEST_SECONDS
        with self._world.signals.listen(pod_name) as changed:
            while (pod := self._world.pod(pod_name)) is not None:
                changed.clear()
                await self._ask(pod_name, pod)
                if time.monotonic() > deadline:
                    raise BackendFailure(f"The node {pod['spec'].get('nodeName')} takes very long to end {pod_name}.")
                await _wait(changed)

    async def _ask(self, pod_name: str, pod: Json) -> None:
        grace: int | None = None
        if await self.lost(pod):
            if why := await self._why_held(pod["spec"]["nodeName"]):
                raise BackendFailure(why)
            grace = 0
        elif "deletionTimestamp" in pod["metadata"]:
            return
        path = path_of(self._settings.namespace, "pods", pod_name)
        try:
            await self._cluster.delete(path, grace_seconds=grace, uid=pod["metadata"]["uid"])
        except Conflict:
            return  # another pod of that name by now; the watch will tell

    async def _why_held(self, name: str) -> str | None:
        """What speaks against taking the pods of a lost node for ended, None where nothing does."""
        node = await self._node(name)
        if node is None or nodes.known_dead(node):
            return None
        if await _answers(*nodes.kubelet_address(node)):
            return (
                f"The cluster has lost sight of node {name}, whose kubelet answers: its pods may still write. {UNTIL}"
            )
        if self._settings.storage_fences:
            return None
        return f"Node {name} does not answer any more, and its pods may still write into the work folder. {UNTIL}"

    async def _node(self, name: str) -> Json | None:
        """The node as it is now."""
        found = await self._cluster.get(f"{CORE}/nodes", fieldSelector=f"metadata.name={name}")
        return next(iter(found["items"]), None)


async def _wait(changed: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(changed.wait(), LOOK_SECONDS)
    except TimeoutError:
        return


async def _answers(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), KNOCK_SECONDS)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
