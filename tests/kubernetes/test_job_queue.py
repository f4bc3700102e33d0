"""Jobs that Kueue admits, on the real cluster."""

from collections.abc import Iterator
from typing import Any

import pytest
from instances_stage import RESTRICTED
from jobs_stage import Platform, until
from kubectl import Kubectl


@pytest.fixture
def queued(queue_platform: Platform) -> Iterator[Platform]:
    yield queue_platform
    queue_platform.clear()


@pytest.fixture(scope="module")
def queue_platform(
    kubectl: Kubectl, hub: str, references: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    with kubectl.namespace("jobs-queue", **RESTRICTED) as namespace:
        kubectl.run("apply", "-f", "-", body={"apiVersion": "v1", "kind": "List", "items": _queue(namespace)})
        settings = {"MLPLAT_KUBERNETES_QUEUE": "training"}
        platform = Platform(tmp_path_factory.mktemp("queue"), namespace, references, hub, **settings).start()
        yield platform
        platform.clear()
        platform.stop()
        for kind in ("clusterqueue", "resourceflavor"):
            kubectl.run("delete", kind, namespace, "--wait=false")


def _queue(namespace: str) -> list[Any]:
    """A queue with room for one small job; higher priorities take the place of lower ones."""
    api = "kueue.x-k8s.io/v1beta2"
    room = [{"name": name, "nominalQuota": amount} for name, amount in (("cpu", "1"), ("memory", "700Mi"))]
    cluster_queue = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [
            {"coveredResources": ["cpu", "memory"], "flavors": [{"name": namespace, "resources": room}]}
        ],
    }  # fmt: skip
    return [
        {"apiVersion": api, "kind": "ResourceFlavor", "metadata": {"name": namespace}},
        {"apiVersion": api, "kind": "ClusterQueue", "metadata": {"name": namespace}, "spec": cluster_queue},
        {
            "apiVersion": api, "kind": "LocalQueue", "metadata": {"name": "training", "namespace": namespace},
            "spec": {"clusterQueue": namespace},
        },
    ]  # fmt: skip


def test_a_queue_admits_one_after_the_other_and_tells_the_place(queued: Platform) -> None:
    first = queued.submit({"train.sh": "echo begun; sleep 600"}, "train.sh")
    first.logs("begun")
    second, third = (queued.submit({"train.sh": "echo ran"}, "train.sh") for _ in range(2))
    # Both may have been made in one second, which is as finely as the cluster counts.
    places = {f"place {number} of 2" for number in (1, 2)}
    until(lambda: places == {_place(job.now["phase_message"]) for job in (second, third)}, 60)
    waiting = second.now
    assert waiting["phase"] == "Pending" and "queue training" in waiting["phase_message"]
    queued.alice.post(f"/jobs/{first.id}/stop").raise_for_status()
    assert first.end()["phase"] == "Terminated"
    assert second.end()["phase"] == "Completed" and third.end()["phase"] == "Completed"


def _place(message: str) -> str:
    return " ".join(message.partition("training, ")[2].replace(":", " ").replace(".", " ").split()[:4])


def test_a_preempted_job_waits_and_runs_again(queued: Platform, kubectl: Kubectl) -> None:
    job = queued.submit({"train.sh": "echo begun; sleep 20; echo whole"}, "train.sh")
    job.logs("begun")
    urgent = f"{queued.namespace}-urgent"
    priority = {
        "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "WorkloadPriorityClass", "metadata": {"name": urgent},
        "value": 100, "description": "",
    }  # fmt: skip
    kubectl.run("apply", "-f", "-", body=priority)
    try:
        kubectl.run("apply", "--namespace", queued.namespace, "-f", "-", body=_other_job(urgent))
        waiting = job.reaches(lambda now: now["phase"] == "Pending", 60)
        assert "make room" in waiting["phase_message"] or "queue" in waiting["phase_message"], waiting
        kubectl.run("delete", "job", "other", "--namespace", queued.namespace)
        ended = job.end()
    finally:
        kubectl.run("delete", "workloadpriorityclass", urgent, "--ignore-not-found")
    assert (ended["phase"], ended["attempt"]) == ("Completed", 1), (ended, job.events)
    assert job.log().count("begun") == 2 and job.log().count("whole") == 1


def _other_job(priority: str) -> Any:
    """A Job of somebody else's that needs the whole queue; its image need not be there."""
    container = {
        "name": "main", "image": "registry.invalid/none", "resources": {"requests": {"cpu": "1", "memory": "500Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"containers": [container], "restartPolicy": "Never", "securityContext": security}
    labels = {"kueue.x-k8s.io/queue-name": "training", "kueue.x-k8s.io/priority-class": priority}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "other", "labels": labels},
        "spec": {"suspend": True, "template": {"spec": pod}},
    }  # fmt: skip
