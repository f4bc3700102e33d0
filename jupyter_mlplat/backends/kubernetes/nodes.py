"""Nodes: which are alive, which are known to be dead."""

from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
KUBELET_PORT = 10250
SHUT_DOWN = "node.cloudprovider.kubernetes.io/shutdown"


def is_ready(node: Json) -> bool:
    """Whether the kubelet says that it can run pods, and has said so lately."""
    return _ready(node).get("status") == "True"


def is_silent(node: Json) -> bool:
    """Whether the cluster hears nothing of the node; one whose kubelet speaks may be ready or not."""
    return bool(_ready(node).get("status") == "Unknown")


def known_dead(node: Json) -> bool:
    """Whether somebody vouches that nothing runs there any more: an administrator, or the cloud that shut it down."""
    taints = node["spec"].get("taints") or []
    declared = any(taint.get("key") in (OUT_OF_SERVICE, SHUT_DOWN) for taint in taints)
    return declared and not is_ready(node)


def kubelet_address(node: Json) -> tuple[str, int]:
    """Where the kubelet of a node listens."""
    addresses = {entry["type"]: entry["address"] for entry in node["status"].get("addresses") or []}
    told = node["status"].get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port")
    port = told or KUBELET_PORT  # 0 where the kubelet has never said
    return addresses.get("InternalIP") or addresses.get("Hostname") or node["metadata"]["name"], int(port)


def moment(text: str) -> datetime:
    """A time as Kubernetes writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def _ready(node: Json) -> Json:
    conditions = node["status"].get("conditions") or []
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})
