"""What a start tells of itself, and when it gives up: from what a watch has seen."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.kubernetes.client import Cluster
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.starting import Start, StartFailed
from jupyter_mlplat.backends.kubernetes.watch import World
from jupyter_mlplat.flavors.models import Flavor
from jupyter_mlplat.instances.models import StepName

Json = dict[str, Any]
SETTINGS = KubernetesSettings(api_url="http://platform", registry="registry", patience=timedelta(seconds=60))
SPEC = InstanceSpec(
    instance_id="i-1",
    owner="alice",
    name="one",
    image_id="im-1",
    image_digest="",
    image_name="python:1",
    flavor=Flavor(id="f", name="f", vcpus=1, memory_mib=2048),
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    return World(Cluster(), "users")


@pytest.fixture
def start(world: World) -> Start:
    return Start(SPEC, world, SETTINGS)


def put_pod(world: World, phase: str = "Pending", state: Json | None = None, node: str = "", **status: Any) -> None:
    statuses = [{"name": "notebook", "state": state}] if state else []
    world.pods.objects["users/instance-i-1"] = {
        "metadata": {"name": "instance-i-1", "namespace": "users", "uid": "u-1"},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "containerStatuses": statuses, **status},
    }


def put_event(world: World, reason: str, message: str = "", name: str = "instance-i-1", uid: str = "u-1") -> None:
    number = len(world.events.objects)
    event = {
        "metadata": {"name": f"e-{number}", "creationTimestamp": f"2026-01-01T00:00:{number:02}Z"},
        "involvedObject": {"name": name, "uid": uid},
        "reason": reason,
        "message": message,
    }
    world.events.keep(event)


def test_before_there_is_a_pod_there_is_nothing_to_tell(start: Start) -> None:
    assert start.look(NOW) == []


def test_the_events_of_the_cluster_become_checkpoints_once_each(world: World, start: Start) -> None:
    put_pod(world, node="node1", state={"waiting": {"reason": "ContainerCreating"}})
    put_event(world, "Pulling")
    told = start.look(NOW)
    assert [(checkpoint.message, checkpoint.event) for checkpoint in told] == [
        ("Placed on node1", None),
        ("Taking python:1", "PullingImage"),
    ]
    put_event(world, "Pulled")
    put_pod(world, "Running", {"running": {}}, "node1", podIP="10.0.0.1")
    told = start.look(NOW)
    assert [checkpoint.event for checkpoint in told] == ["PulledImage", None, None]
    assert told[-1].step is StepName.INITIALISE
    assert start.look(NOW) == []


def test_events_of_an_earlier_pod_of_the_same_name_do_not_count(world: World, start: Start) -> None:
    put_pod(world, node="node1", state={"waiting": {"reason": "ContainerCreating"}})
    put_event(world, "FailedMount", "old", uid="u-0")
    assert [checkpoint.message for checkpoint in start.look(NOW)] == ["Placed on node1"]


def test_waiting_for_room_is_told_once_and_fails_when_patience_ends(world: World, start: Start) -> None:
    lacking = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    put_pod(world, conditions=[lacking])
    (told,) = start.look(NOW)
    assert told.event == "FailedScheduling"
    assert start.look(NOW + timedelta(seconds=59)) == []
    with pytest.raises(StartFailed, match=r"too few CPU cores free.* smaller flavor"):
        start.look(NOW + timedelta(seconds=60))


def test_patience_begins_anew_where_trouble_has_passed(world: World, start: Start) -> None:
    put_pod(world, state={"waiting": {"reason": "ImagePullBackOff", "message": "connection refused"}})
    start.look(NOW)
    put_pod(world, state={"waiting": {"reason": "ContainerCreating"}})
    start.look(NOW + timedelta(seconds=30))
    put_pod(world, state={"waiting": {"reason": "ImagePullBackOff", "message": "connection refused"}})
    assert start.look(NOW + timedelta(seconds=61)) == []


def test_what_waiting_cannot_mend_fails_at_once(world: World, start: Start) -> None:
    put_pod(world, state={"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}})
    with pytest.raises(StartFailed, match="python:1 cannot be pulled"):
        start.look(NOW)


def test_a_claim_without_a_volume_is_told_with_the_reason_of_the_claim(world: World, start: Start) -> None:
    lacking = {"type": "PodScheduled", "status": "False", "message": "pod has unbound PersistentVolumeClaims"}
    put_pod(world, conditions=[lacking])
    put_event(world, "ProvisioningFailed", 'storageclass "x" not found', name="work-i-1", uid="c-1")
    with pytest.raises(StartFailed, match='"x" not found'):
        start.look(NOW)


def test_a_server_that_ends_while_it_starts_fails_the_start_with_the_reason(world: World, start: Start) -> None:
    put_pod(world, "Failed", {"terminated": {"reason": "OOMKilled", "exitCode": 137}})
    with pytest.raises(StartFailed, match="more memory than the 2 GiB"):
        start.look(NOW)
