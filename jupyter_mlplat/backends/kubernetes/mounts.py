"""Mounts in pods: the mounter of the pod's node mounts them where the pod's volume `data` shows them."""

import asyncio
import json
import logging
from collections.abc import Sequence
from hmac import compare_digest
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from jupyter_mlplat.agent.signing import Asked as Signed
from jupyter_mlplat.agent.signing import prove, sign
from jupyter_mlplat.backends.kubernetes import names
from jupyter_mlplat.backends.kubernetes.agent import ready_pods, refusal_of
from jupyter_mlplat.backends.kubernetes.client import Cluster, Json
from jupyter_mlplat.backends.kubernetes.pod import DATA, DATA_VOLUME
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.watch import World
from jupyter_mlplat.backends.mounting import MountBackend, MountSpec, MountsSeen
from jupyter_mlplat.core.processes import until
from jupyter_mlplat.errors import BackendFailure, Conflict, MlplatError
from jupyter_mlplat.mounter.models import (
    MOUNT_PATH,
    PROOF,
    RENEW_PATH,
    SEEN_PATH,
    UNMOUNT_PATH,
    AllSeen,
    Asked,
    MountOrder,
    Place,
    Seen,
)

log = logging.getLogger(__name__)

COMPONENT = "mounter"
SILENCE_SECONDS = 90.0
"""A mounter waits for rclone, and for what is still to be sent, but not so long."""
ENDING_SECONDS = 30.0
"""The processes of a pod that ends may still write so long."""


class KubernetesMounts(MountBackend):
    """The mounters of all nodes: pods of `settings.agent_namespace`, asked by signed requests as the agents are."""

    def __init__(self, cluster: Cluster, world: World, settings: KubernetesSettings) -> None:
        self._cluster, self._world, self._settings = cluster, world, settings
        self._secret = settings.agent_secret.get_secret_value()

    def absent(self) -> str:
        return "" if self._settings.mounts_claim else "mounts are switched off on this cluster (mounts.enabled)"

    def path(self, instance_id: str, name: str) -> str:
        return f"{DATA}/{name}"

    async def mount(self, spec: MountSpec, place: Place) -> None:
        pod = await self._pod(spec.order)
        if pod is None or not (node := _node(pod)):
            raise BackendFailure("The instance has no pod yet. It is tried again.")
        if all(volume["name"] != DATA_VOLUME for volume in pod["spec"]["volumes"]):
            raise Conflict(f"{spec.instance} was started before there were mounts. Stop it and start it again.")
        await self._ask_on(node, MOUNT_PATH, Asked(order=spec.order, place=place))

    async def renew(self, spec: MountSpec, place: Place) -> None:
        await self._ask_all(RENEW_PATH, Asked(order=spec.order, place=place))

    async def unmount(self, spec: MountSpec, *, ending: bool) -> None:
        """At the node of the pod, whose mounter has to answer; and wherever else the instance may have been before."""
        if ending:
            await self._ended(spec.order.instance_id)
        pod = await self._pod(spec.order)
        if pod is not None and (node := _node(pod)):
            await self._ask_on(node, UNMOUNT_PATH, spec.order)
        await self._ask_all(UNMOUNT_PATH, spec.order)

    async def seen(self) -> MountsSeen:
        """Those that are where their instance's pod is; what another node still has is taken away."""
        answers = await self._answers(SEEN_PATH, AllSeen(mounts=()))
        await self._world.synced()
        here, elsewhere = list[tuple[MountOrder, str]](), list[tuple[str, MountOrder]]()
        for node, answer in answers.items():
            for each in _mounts(answer):
                if self._is_elsewhere(each.order, node):
                    elsewhere.append((node, each.order))
                else:
                    here.append((each.order, each.problem))
        await asyncio.gather(*(self._take_from(node, order) for node, order in elsewhere))
        silent = any(isinstance(answer, BaseException) for answer in answers.values())
        return MountsSeen(tuple(here), whole=not silent)

    def _is_elsewhere(self, order: MountOrder, node: str) -> bool:
        """Whether its instance runs, but not on that node."""
        pod = self._world.pod(names.pod_name(order.instance_id))
        return pod is not None and _node(pod) not in ("", node)

    async def _take_from(self, node: str, order: MountOrder) -> None:
        try:
            await self._ask_on(node, UNMOUNT_PATH, order)
        except MlplatError as error:
            log.warning("mount %s on %s, where its instance no longer is: %s", order.mount_id, node, error)

    async def _pod(self, order: MountOrder) -> Json | None:
        await self._world.synced()
        return self._world.pod(names.pod_name(order.instance_id))

    async def _ended(self, instance_id: str) -> None:
        """Wait until the processes of a pod that is to end have done so."""

        async def has_ended() -> bool:
            await self._world.synced()
            pod = self._world.pod(names.pod_name(instance_id))
            return pod is None or not _is_running(pod)

        await until(has_ended, ENDING_SECONDS, 0.1)

    async def _ask_on(self, node: str, path: str, message: BaseModel) -> Json:
        found = await self._mounters()
        if node not in found:
            raise BackendFailure(f"No mounter is ready on {node}, so nothing can be mounted there now.")
        return await self._ask(node, found[node], path, message)

    async def _ask_all(self, path: str, message: BaseModel) -> None:
        """Ask every mounter; then the first failure, where one failed."""
        for answer in (await self._answers(path, message)).values():
            if isinstance(answer, BaseException):
                raise answer

    async def _answers(self, path: str, message: BaseModel) -> dict[str, Json | BaseException]:
        """What each node's mounter answers, or how asking it failed."""
        found = await self._mounters()
        asked = (self._ask(node, host, path, message) for node, host in found.items())
        return dict(zip(found, await asyncio.gather(*asked, return_exceptions=True), strict=True))

    async def _mounters(self) -> dict[str, str]:
        return await ready_pods(self._cluster, self._settings.agent_namespace, COMPONENT)

    async def _ask(self, node: str, host: str, path: str, message: BaseModel) -> Json:
        body = message.model_dump_json().encode()
        header, nonce = sign(self._secret, Signed("POST", path, body, node))
        url = f"http://{host}:{self._settings.mounter_port}{path}"
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=5)
        try:
            async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
                answer = await client.post(url, content=body, headers={"Authorization": header})
        except httpx.TransportError as error:
            raise BackendFailure(f"The mounter on {node} does not answer ({type(error).__name__}).") from error
        if answer.status_code != 200:
            raise refusal_of(answer, f"mounter on {node}")
        if not compare_digest(prove(self._secret, nonce, answer.content), answer.headers.get(PROOF, "")):
            raise BackendFailure(f"What answers as the mounter on {node} does not have its secret.")
        return dict[str, Any](json.loads(answer.content))


def _mounts(answer: Json | BaseException) -> Sequence[Seen]:
    """None where a mounter does not answer: its mounts are made anew once it does."""
    try:
        return () if isinstance(answer, BaseException) else AllSeen.model_validate(answer).mounts
    except ValidationError:
        return ()


def _node(pod: Json) -> str:
    return str(pod["spec"].get("nodeName") or "")


def _is_running(pod: Json) -> bool:
    containers = pod["status"].get("containerStatuses") or []
    return any("running" in (container.get("state") or {}) for container in containers)
