"""What the node's container runtime says of a container: the only word on it that is believed."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from jupyter_mlplat.agent.messages import SaveRequest
from jupyter_mlplat.agent.wire import runtime_pb2 as wire
from jupyter_mlplat.errors import BackendFailure, Conflict, NotFound
from jupyter_mlplat.oci.upper import Overlay

_STATUS = "/runtime.v1.RuntimeService/ContainerStatus"
_MOUNTS = "/containerd.services.snapshots.v1.Snapshots/Mounts"
_RUNNING = 1
_TIMEOUT = 20
_NAMESPACE = (("containerd-namespace", "k8s.io"),)
_LABELS = {
    "namespace": "io.kubernetes.pod.namespace",
    "pod": "io.kubernetes.pod.name",
    "pod_uid": "io.kubernetes.pod.uid",
    "container": "io.kubernetes.container.name",
}
_MAPPED = ("uidmap=", "gidmap=", "uidmapping=", "gidmapping=")


@dataclass(frozen=True)
class Container:
    """A running container: its overlay, its mount points, the digest of its image."""

    overlay: Overlay
    mounts: tuple[str, ...]
    image_digest: str


class Runtime:
    """Asks containerd at `socket`; its snapshots lie below `snapshots`."""

    def __init__(self, socket: Path, snapshots: Path) -> None:
        self._channel = grpc.aio.insecure_channel(f"unix://{socket}")
        self._snapshots = snapshots

    async def close(self) -> None:
        await self._channel.close()

    async def find(self, request: SaveRequest) -> Container:
        """The container, which is the one that the request names. NotFound, Conflict (it cannot be saved, in words)."""
        status = await self._status(request.container_id)
        check_identity(dict(status.status.labels), request)
        if status.status.state != _RUNNING:
            raise Conflict("The instance's container no longer runs. Start the instance, then save again.")
        info = json.loads(status.info.get("info") or "{}")
        check_users(info)
        mounts = await self._mounts(info.get("snapshotter", ""), info.get("snapshotKey", ""))
        overlay = overlay_of(info.get("snapshotter", ""), mounts, self._snapshots)
        points = [mount["destination"] for mount in info["runtimeSpec"].get("mounts", [])]
        points += [mount.container_path for mount in status.status.mounts]
        return Container(overlay, tuple(points), status.status.image_ref.rpartition("@")[2])

    async def _status(self, container_id: str) -> wire.ContainerStatusResponse:
        request = wire.ContainerStatusRequest(container_id=container_id, verbose=True)
        answer: wire.ContainerStatusResponse = await self._call(_STATUS, request, wire.ContainerStatusResponse)
        return answer

    async def _mounts(self, snapshotter: str, key: str) -> list[wire.Mount]:
        if not snapshotter or not key:
            raise Conflict(
                "The node's container runtime does not say where the container's files are (needs containerd)."
            )
        request = wire.MountsRequest(snapshotter=snapshotter, key=key)
        answer = await self._call(_MOUNTS, request, wire.MountsResponse)
        return list(answer.mounts)

    async def _call(self, method: str, request: Any, answer: Any) -> Any:
        call = self._channel.unary_unary(
            method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        try:
            return await call(request, metadata=_NAMESPACE, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise NotFound("The instance's container is gone from its node. Start the instance again.") from error
            raise BackendFailure(f"The node's container runtime does not answer ({error.code().name}).") from error


def check_identity(labels: dict[str, str], request: SaveRequest) -> None:
    """The runtime's labels are those that the kubelet gave; a request about another container is not done."""
    wrong = [name for name, label in _LABELS.items() if labels.get(label) != getattr(request, name)]
    if wrong:
        raise NotFound(f"The node has no such container: its {', '.join(wrong)} differ. Ask again.")


def check_users(info: dict[str, Any]) -> None:
    """Conflict for a container in a user namespace, whose files belong to other numbers than it sees."""
    linux = info.get("runtimeSpec", {}).get("linux", {})
    if linux.get("uidMappings") or linux.get("gidMappings"):
        raise Conflict(
            "The pod runs in a user namespace (hostUsers: false): its files have shifted owners, which cannot be saved."
        )


def overlay_of(snapshotter: str, mounts: list[wire.Mount], root: Path) -> Overlay:
    """The folders of a container's root file system, all below the snapshotter's `root`. Conflict, in words."""
    if snapshotter != "overlayfs" or len(mounts) != 1 or mounts[0].type != "overlay":
        kind = snapshotter or (mounts[0].type if mounts else "unknown")
        raise Conflict(f"The node's snapshotter is {kind}; only containers on overlayfs can be saved.")
    options = list(mounts[0].options)
    _check_options(options)
    named = dict(option.split("=", 1) for option in options if "=" in option)
    upper, lowers = named.get("upperdir", ""), named.get("lowerdir", "").split(":")
    if not upper or not all(lowers):
        raise Conflict("The container's file system is not writable, so there is nothing to save.")
    return Overlay(_checked(upper, root), tuple(_checked(lower, root) for lower in lowers), "userxattr" in options)


def _check_options(options: list[str]) -> None:
    for option in options:
        if option in ("metacopy=on", "redirect_dir=on"):
            name = option.partition("=")[0]
            raise Conflict(f"The node mounts containers with {option}, which cannot be saved. Switch {name} off there.")
        if option.startswith(_MAPPED):
            raise Conflict("The container's files are id-mapped, which cannot be saved (hostUsers: false).")


def _checked(folder: str, root: Path) -> str:
    """A folder of a snapshot. BackendFailure for one that lies anywhere else, or where a link leads there."""
    pattern = re.escape(str(root)) + r"/snapshots/[0-9]+/fs"
    if (
        not re.fullmatch(pattern, folder)
        or os.path.realpath(folder) != os.path.realpath(root) + folder[len(str(root)) :]
    ):
        raise BackendFailure(f"The container runtime names the folder {folder}, which is no snapshot below {root}.")
    return folder
