"""When a pod counts as lost with its node."""

from datetime import timedelta
from typing import Any

from jupyter_mlplat.backends.kubernetes.client import Cluster
from jupyter_mlplat.backends.kubernetes.removal import Removal
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.watch import World

POD = {"metadata": {"name": "instance-i-1"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}


def lost(grace: timedelta, node: dict[str, Any] | None) -> str | None:
    world = World(Cluster(), "users")
    if node is not None:
        world.nodes.objects["n1"] = node
    settings = KubernetesSettings(api_url="http://platform", registry="registry", node_grace=grace)
    return Removal(Cluster(), world, settings).lost_since(POD)


def node(status: str, *taints: str) -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"spec": {"taints": [{"key": key} for key in taints]}, "status": {"conditions": [condition]}}


def test_a_pod_on_a_node_that_speaks_is_not_lost() -> None:
    assert lost(timedelta(0), node("True")) is None
    assert lost(timedelta(0), node("False")) is None


def test_a_pod_on_a_node_that_is_silent_for_long_is_lost() -> None:
    assert lost(timedelta(seconds=60), node("Unknown")) == "its node n1 does not answer any more"


def test_a_pod_on_a_node_that_is_declared_dead_is_lost_at_once() -> None:
    declared = "node.kubernetes.io/out-of-service"
    assert lost(timedelta(days=9999), node("Unknown", declared)) == "its node n1 is out of service"
    assert lost(timedelta(0), node("True", declared)) is None


def test_a_node_that_nobody_has_seen_yet_is_given_its_grace() -> None:
    assert lost(timedelta(seconds=60), None) is None
    assert lost(timedelta(0), None) == "its node n1 is gone"
