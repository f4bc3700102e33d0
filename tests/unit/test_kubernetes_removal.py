"""When a pod seems lost with its node."""

from datetime import timedelta

import pytest

from jupyter_mlplat.backends.kubernetes.client import Cluster
from jupyter_mlplat.backends.kubernetes.removal import Removal
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.watch import World

POD = {"metadata": {"name": "instance-i-1"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}
GRACE = 60


@pytest.fixture
def world() -> World:
    return World(Cluster(), "users")


@pytest.fixture
def removal(world: World) -> Removal:
    grace = timedelta(seconds=GRACE)
    return Removal(
        Cluster(), world, KubernetesSettings(api_url="http://platform", registry="registry", node_grace=grace)
    )


def put_node(world: World, status: str, *taints: str) -> None:
    condition = {"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    spec = {"taints": [{"key": key} for key in taints]}
    world.nodes.objects["n1"] = {"spec": spec, "status": {"conditions": [condition]}}


@pytest.mark.parametrize("status", ["True", "False"])
def test_a_pod_on_a_node_that_speaks_is_not_lost(world: World, removal: Removal, status: str) -> None:
    put_node(world, status)
    assert [removal.seems_lost(POD, now) for now in (1, 1 + GRACE)] == [None, None]


def test_a_node_may_be_silent_for_as_long_as_its_grace_from_when_we_learned_of_it(
    world: World, removal: Removal
) -> None:
    put_node(world, "Unknown")
    assert removal.seems_lost(POD, 1) is None
    assert removal.seems_lost(POD, GRACE) is None
    assert removal.seems_lost(POD, 1 + GRACE) == "its node n1 does not answer any more"


def test_a_node_that_has_spoken_since_is_given_its_grace_anew(world: World, removal: Removal) -> None:
    put_node(world, "Unknown")
    assert removal.seems_lost(POD, 1) is None
    put_node(world, "True")
    assert removal.seems_lost(POD, GRACE) is None
    put_node(world, "Unknown")
    assert removal.seems_lost(POD, 1 + GRACE) is None
    assert removal.seems_lost(POD, 1 + 2 * GRACE)


def test_a_pod_on_a_node_that_is_declared_dead_is_lost_at_once(world: World, removal: Removal) -> None:
    put_node(world, "Unknown", "node.kubernetes.io/out-of-service")
    assert removal.seems_lost(POD, 1) == "its node n1 is out of service"
    put_node(world, "True", "node.kubernetes.io/out-of-service")
    assert removal.seems_lost(POD, 1) is None


def test_a_node_that_nobody_has_seen_yet_is_given_its_grace(removal: Removal) -> None:
    assert removal.seems_lost(POD, 1) is None
    assert removal.seems_lost(POD, 1 + GRACE) == "its node n1 is gone"
