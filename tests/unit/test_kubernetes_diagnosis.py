"""Why a pod does not run, in words."""

from typing import Any

import pytest

from jupyter_mlplat.backends.kubernetes.diagnosis import ending, has_ended, is_running, missing, trouble

Json = dict[str, Any]


def pod(phase: str = "Pending", state: Json | None = None, **status: Any) -> Json:
    statuses = [{"name": "notebook", "state": state}] if state else []
    return {"metadata": {"name": "p"}, "status": {"phase": phase, "containerStatuses": statuses, **status}}


def unplaced(message: str) -> Json:
    return pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}])


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No victims.",
            "2 nodes were looked at; 2 have too few CPU cores free",
        ),
        (
            "0/6 nodes are available: 2 Insufficient cpu, 4 node(s) had untolerated taint(s). preemption: 0/6",
            "6 nodes were looked at; 2 have too few CPU cores free; 4 are kept for others",
        ),
        (
            "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint "
            "{dedicated: jobs}, 1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/3",
            "3 nodes were looked at; 1 has too few nvidia.com/gpu free; 1 is kept for others (dedicated: jobs); "
            "1 has been closed for new pods",
        ),
        (
            "0/3 nodes are available: 2 Insufficient cpu, 1 node(s) had untolerated taint(s). no new claims",
            "3 nodes were looked at; 2 have too few CPU cores free; 1 is kept for others",
        ),
        (
            "0/2 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, "
            "1 Insufficient cpu. no new claims",
            "2 nodes were looked at; 1 has not answered for a while; 1 has too few CPU cores free",
        ),
        ("", "the scheduler gives no reason"),
    ],
)
def test_what_the_nodes_lack_is_said_in_words(message: str, words: str) -> None:
    assert missing(message) == words


def test_waiting_for_room_is_no_failure_yet() -> None:
    found = trouble(unplaced("0/2 nodes are available: 2 Insufficient memory."), [], "python:1")
    assert found and not found.fatal
    assert "too little memory" in found.message


def test_a_work_folder_that_lies_on_a_node_which_is_away_is_told() -> None:
    message = (
        "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, "
        "1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }. no new claims"
    )
    found = trouble(unplaced(message), [], "python:1")
    assert found and not found.fatal
    assert "can be had on one node only" in found.message and "once that node is back" in found.message
    assert "1 has not answered for a while" in found.message


def test_a_claim_of_an_unknown_storage_class_fails_at_once_with_the_reason() -> None:
    event = {"reason": "ProvisioningFailed", "message": 'storageclass.storage.k8s.io "fast" not found'}
    found = trouble(unplaced("pod has unbound immediate PersistentVolumeClaims. preemption: …"), [event], "python:1")
    assert found and found.fatal
    assert '"fast" not found' in found.message
    assert "administrator" in found.message


@pytest.mark.parametrize(
    ("said", "fatal", "words"),
    [
        ("failed to resolve reference: registry/x@sha256:1: not found", True, "not in the registry"),
        ("pull access denied, repository does not exist or may require authorization", True, "pull secret"),
        ("dial tcp 10.0.0.1:5000: connect: connection refused", False, "connection refused"),
    ],
)
def test_an_image_that_cannot_be_pulled(said: str, fatal: bool, words: str) -> None:
    waiting = pod(state={"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}})
    found = trouble(waiting, [{"reason": "Failed", "message": f"Failed to pull image: {said}"}], "python:1")
    assert found and found.fatal is fatal
    assert "python:1" in found.message
    assert words in found.message


def test_a_volume_that_is_not_mounted_is_said_while_the_container_waits() -> None:
    waiting = pod(state={"waiting": {"reason": "ContainerCreating"}})
    assert trouble(waiting, [], "python:1") is None
    found = trouble(waiting, [{"reason": "FailedMount", "message": "timed out"}], "python:1")
    assert found and found.event == "MountVolumeFailed"


def test_a_running_pod_has_no_trouble_and_a_leaving_one_does_not_run() -> None:
    running = pod("Running", {"running": {"startedAt": "2026-01-01T00:00:00Z"}})
    assert trouble(running, [{"reason": "FailedMount", "message": "timed out"}], "python:1") is None
    assert is_running(running)
    running["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not is_running(running)


@pytest.mark.parametrize(
    ("terminated", "words"),
    [
        ({"reason": "OOMKilled", "exitCode": 137}, "more memory than the 4 GiB"),
        ({"reason": "Error", "exitCode": 3}, "exit code 3"),
        ({"reason": "Error", "exitCode": 127}, "no JupyterLab"),
        ({"reason": "StartError", "exitCode": 128, "message": 'exec: "tini": executable file not found'}, "JupyterLab"),
        ({"reason": "StartError", "exitCode": 128, "message": "exec format error"}, "architecture"),
        ({"reason": "ContainerStatusUnknown", "exitCode": 137}, "node was lost"),
    ],
)
def test_why_a_server_ended(terminated: Json, words: str) -> None:
    ended = pod("Failed", {"terminated": terminated})
    assert has_ended(ended)
    assert words in ending(ended, "4 GiB")


def test_an_evicted_pod_says_what_the_node_ran_short_of() -> None:
    evicted = pod("Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage.")
    assert has_ended(evicted)
    assert "ephemeral-storage" in ending(evicted, "4 GiB")
