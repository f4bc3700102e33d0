"""Instances of the Kubernetes back end: a claim, and a pod that the Hub's spawner makes from our manifest."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from jupyter_mlplat.backends.base import (
    Checkpoint,
    GrowingWork,
    InstanceBackend,
    InstanceSpec,
    LiveResize,
    Observation,
    ServerLaunch,
    ServerState,
)
from jupyter_mlplat.backends.kubernetes import diagnosis, names, nodes
from jupyter_mlplat.backends.kubernetes.capacity import offer, places
from jupyter_mlplat.backends.kubernetes.claims import delete_claim, ensure_claim, grow_claim
from jupyter_mlplat.backends.kubernetes.client import Cluster, path_of
from jupyter_mlplat.backends.kubernetes.hub_view import HubView
from jupyter_mlplat.backends.kubernetes.memory import refuse_less_than_used
from jupyter_mlplat.backends.kubernetes.pod import pod as build_pod
from jupyter_mlplat.backends.kubernetes.removal import Removal
from jupyter_mlplat.backends.kubernetes.resize import resize_pod
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.starting import Start, StartFailed
from jupyter_mlplat.backends.kubernetes.watch import World
from jupyter_mlplat.errors import BackendFailure, Conflict, MlplatError
from jupyter_mlplat.flavors.models import Flavor, FlavorOffer
from jupyter_mlplat.hub.client import HubClient, SpawnFailed
from jupyter_mlplat.instances.models import StepName

Json = dict[str, Any]

LOOK_SECONDS = 1.0
LOG_LINES = 5


class KubernetesInstances(InstanceBackend, LiveResize, GrowingWork):
    """Instances as pods of the users' namespace. `console` is the path of the console below the proxy, `variables` are
    what the platform's owner tells their servers."""

    def __init__(
        self,
        cluster: Cluster,
        world: World,
        hub: HubClient,
        settings: KubernetesSettings,
        *,
        console: str,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._cluster, self._world, self._hub = cluster, world, hub
        self._settings, self._console, self._variables = settings, console, variables
        self._view = HubView(hub)
        self._removal = Removal(cluster, world, settings)

    async def start(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        await self._world.synced()
        yield Checkpoint("Preparing the work folder", step=StepName.PREPARE_STORAGE)
        async for checkpoint in self._clear(spec):
            yield checkpoint
        await ensure_claim(self._cluster, spec, self._settings)
        yield Checkpoint("Looking for a node", step=StepName.PREPARE_COMPUTE)
        start = Start(spec, self._world, self._settings)
        # where the pod is gone and the Hub has not noticed yet, it would say that the server is up already
        gone = self._world.pod(names.pod_name(spec.instance_id)) is None
        asked = asyncio.create_task(self._hub.start(spec.owner, spec.instance_id, spec.permit, anew=gone))
        try:
            with self._world.signals.listen(*_names(spec)) as changed:
                while not asked.done():
                    changed.clear()
                    for checkpoint in start.look():
                        yield checkpoint
                    await self._check_node(spec)
                    await _first_of(asked, changed)
            await self._started(spec, asked, start)
        finally:
            asked.cancel()

    async def stop(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        await self._world.synced()
        yield Checkpoint("Stopping JupyterLab and its kernels")
        async for why in self._removal.held(names.pod_name(spec.instance_id)):
            yield Checkpoint(why, event="NodeLost")
        removal = asyncio.create_task(self._removal.remove(names.pod_name(spec.instance_id)))
        try:
            await self._hub.stop(spec.owner, spec.instance_id)
            await removal
        finally:
            removal.cancel()

    async def delete(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint("Removing the work folder")
        await delete_claim(self._cluster, spec.instance_id, self._settings)
        await self._hub.forget(spec.owner, spec.instance_id)

    async def observe(self, spec: InstanceSpec) -> Observation:
        await self._world.synced()
        pod = self._world.pod(names.pod_name(spec.instance_id))
        if pod is None:
            return Observation(ServerState.GONE, self._why_gone(spec))
        if lost := await self._removal.lost(pod):
            return Observation(ServerState.GONE, lost)
        if diagnosis.has_ended(pod):
            return Observation(ServerState.GONE, Start(spec, self._world, self._settings).ending(pod))
        if "deletionTimestamp" in pod["metadata"]:
            return Observation(ServerState.GONE, self._why_gone(spec))
        if not diagnosis.is_running(pod):
            return Observation(ServerState.STARTING)
        return await self._seen_by_hub(spec)

    async def _seen_by_hub(self, spec: InstanceSpec) -> Observation:
        server = await self._view.server(spec.instance_id)
        if server is None and await self._view.has_lost(spec.owner, spec.instance_id):
            return Observation(ServerState.GONE, "the Hub lost sight of it; its kernels go on")
        return Observation(ServerState.RUNNING, last_activity=server.last_activity if server else None)

    def launch(self, spec: InstanceSpec) -> ServerLaunch:
        manifest = build_pod(spec, self._settings, console=self._console, variables=self._variables)
        return ServerLaunch(instance_id=spec.instance_id, owner=spec.owner, pod=manifest)

    async def offers(self, flavors: Sequence[Flavor], switching: InstanceSpec | None = None) -> list[FlavorOffer]:
        await self._world.synced()
        own = self._world.pod(names.pod_name(switching.instance_id)) if switching else None
        pods = [pod for pod in self._world.pods.objects.values() if pod is not own]
        found = places(self._world.nodes.objects.values(), pods)
        here = [place for place in found if own and place.node == own["spec"].get("nodeName")]
        return [
            # a pod that is resized stays where it is
            offer(flavor, here if self._resizes(switching, own, flavor) else found, self._settings)
            for flavor in flavors
        ]

    def _resizes(self, switching: InstanceSpec | None, pod: Json | None, flavor: Flavor) -> bool:
        running = pod is not None and diagnosis.is_running(pod)
        return running and switching is not None and self.can_resize(switching.flavor, flavor)

    def can_resize(self, old: Flavor, new: Flavor) -> bool:
        """CPU and memory of a pod can change while it runs; devices and architecture cannot."""
        return (old.category, old.arch, old.accelerator) == (new.category, new.arch, new.accelerator)

    async def resize(self, spec: InstanceSpec) -> None:
        """By the pod's `resize` subresource; refused beforehand where more memory is used than the flavor has."""
        await self._world.synced()
        pod = self._world.pod(names.pod_name(spec.instance_id))
        if pod is None or not diagnosis.is_running(pod):
            raise Conflict(f"{spec.name} does not run (any more). Start it, then switch.")
        await refuse_less_than_used(pod, spec)
        await resize_pod(self._cluster, self._world, self._settings, spec)

    async def grow_work(self, spec: InstanceSpec, gib: int) -> None:
        await grow_claim(self._cluster, spec, self._settings, gib)

    async def _clear(self, spec: InstanceSpec) -> AsyncGenerator[Checkpoint, None]:
        """Remove an earlier pod that is over, leaving or lost; one that lives is left to be adopted."""
        name = names.pod_name(spec.instance_id)
        if (pod := self._world.pod(name)) is None:
            return
        lost = await self._removal.lost(pod)
        async for why in self._removal.held(name):
            yield Checkpoint(why, event="NodeLost", step=StepName.PREPARE_STORAGE)
        if (pod := self._world.pod(name)) is not None:
            lost = await self._removal.lost(pod)
        if lost:
            yield Checkpoint(f"Started elsewhere: {lost}", event="NodeLost", step=StepName.PREPARE_STORAGE)
        if pod is not None and (lost or diagnosis.has_ended(pod) or "deletionTimestamp" in pod["metadata"]):
            await self._removal.remove(name)
            # It may be waiting for that very pod to come up.
            await self._hub.stop(spec.owner, spec.instance_id)

    async def _check_node(self, spec: InstanceSpec) -> None:
        """BackendFailure where the pod's node is lost while it starts; the next try begins with that."""
        pod = self._world.pod(names.pod_name(spec.instance_id))
        if pod is not None and (lost := await self._removal.lost(pod)):
            raise BackendFailure(f"The instance was lost while it started: {lost}.")

    async def _started(self, spec: InstanceSpec, asked: asyncio.Task[None], start: Start) -> None:
        """The outcome of the Hub's start; where it gave up on a pod that lives, the start goes on with that pod."""
        try:
            await asked
        except SpawnFailed as failure:
            start.look()
            pod = self._world.pod(names.pod_name(spec.instance_id))
            if pod is None:
                raise
            if datetime.now(UTC) - _made(pod) < self._settings.start_timeout:
                raise BackendFailure(f"The Hub gave up on {spec.name}, whose pod lives: {failure.message}") from failure
            raise StartFailed(await self._silence(spec)) from failure

    async def _silence(self, spec: InstanceSpec) -> str:
        """That a server runs and does not answer, with its last words."""
        path = path_of(self._settings.namespace, "pods", names.pod_name(spec.instance_id), "log")
        try:
            words = await self._cluster.text(path, container=names.NOTEBOOK, tailLines=LOG_LINES)
        except MlplatError:
            words = ""
        said = f" Its last words:\n{words.strip()}" if words.strip() else ""
        minutes = self._settings.start_timeout.total_seconds() / 60
        return f"The server did not answer within {minutes:.0f} minutes.{said}"

    def _why_gone(self, spec: InstanceSpec) -> str:
        """Why the cluster removed a pod, as far as its events tell."""
        reasons = {"Preempted", "TaintManagerEviction", "NodeControllerEviction", "Evicted", "Killing"}
        events = self._world.events_of(names.pod_name(spec.instance_id))
        told = [event for event in events if event.get("reason") in reasons]
        return f"the cluster removed its pod: {told[-1]['message']}" if told else "its pod was removed"


def _names(spec: InstanceSpec) -> tuple[str, str]:
    return names.pod_name(spec.instance_id), names.claim_name(spec.instance_id)


def _made(pod: Json) -> datetime:
    return nodes.moment(pod["metadata"]["creationTimestamp"])


async def _first_of(task: asyncio.Task[None], changed: asyncio.Event) -> None:
    """Wait for the end of `task`, a change, or a moment."""
    waiting = asyncio.create_task(changed.wait())
    await asyncio.wait({task, waiting}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
