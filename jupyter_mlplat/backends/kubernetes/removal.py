"""Ending pods, also those on nodes that no longer answer: no second pod is started while the first may still write."""

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
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
        self._missing: dict[str, datetime] = {}

    def lost_since(self, pod: Json) -> str | None:
        """Why a pod counts as lost: its node is gone, declared dead, or silent for longer than the grace period."""
        name = pod["spec"].get("nodeName")
        if not name:
            return None
        node, now = self._world.nodes.objects.get(name), datetime.now(UTC)
        if node is None:
            # the watch of the nodes may be a little behind that of the pods
            missing = now - self._missing.setdefault(name, now)
            return f"its node {name} is gone" if missing >= self._settings.node_grace else None
        self._missing.pop(name, None)
        if nodes.known_dead(node):
            return f"its node {name} is out of service"
        silent = nodes.is_silent(node, now, self._settings.node_grace)
        return f"its node {name} does not answer any more" if silent else None

    async def held(self, pod_name: str) -> AsyncGenerator[str, None]:
        """Why a lost pod cannot be ended yet, each reason once; until it can, or is lost no more."""
        said = ""
        while (pod := self._world.pod(pod_name)) is not None and self.lost_since(pod):
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
        if self.lost_since(pod):
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
        found = (await self._cluster.get(f"{CORE}/nodes", fieldSelector=f"metadata.name={name}"))["items"]
        if not found or nodes.known_dead(node := found[0]):
            return None
        if await _answers(*nodes.kubelet_address(node)):
            return (
                f"The cluster has lost sight of node {name}, whose kubelet answers: its pods may still write. {UNTIL}"
            )
        if self._settings.storage_fences:
            return None
        return f"Node {name} does not answer any more, and its pods may still write into the work folder. {UNTIL}"


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
