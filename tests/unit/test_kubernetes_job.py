"""The Job of an attempt by value, and how an attempt is judged from what nodes and cluster say."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlplat.backends.base import JobSpec, JobState
from jupyter_mlplat.backends.kubernetes import job as manifests
from jupyter_mlplat.backends.kubernetes.disruptions import Disruptions
from jupyter_mlplat.backends.kubernetes.job_trouble import CannotStart, Trouble, trouble
from jupyter_mlplat.backends.kubernetes.job_view import NodeView, Situation, Verdict, judge, pods_of_nodes
from jupyter_mlplat.backends.kubernetes.jobs import _Waiting
from jupyter_mlplat.backends.kubernetes.kueue import standing
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.flavors.models import Accelerator, Category, Flavor
from jupyter_mlplat.jobs.models import Kind
from jupyter_mlplat.runner.layout import JobFolder
from jupyter_mlplat.runner.state import State
from jupyter_mlplat.runner.variables import variables_of

Json = dict[str, Any]
SETTINGS = KubernetesSettings(api_url="http://platform", registry="registry", node_selector={"pool": "users"})
IMAGE = "registry/python@sha256:" + "a" * 64
SMALL = Flavor(id="small", name="small", vcpus=2, memory_mib=1024)
GPU = Flavor(
    id="gpu", name="gpu", category=Category.GPU, vcpus=4, memory_mib=4096, accelerator=Accelerator(type="a", count=2)
)
EVICTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def spec(**changes: Any) -> JobSpec:
    given: dict[str, Any] = {
        "job_id": "j-1", "number": 7, "owner": "Alice@example.org", "name": "train", "kind": Kind.PYTHON,
        "entry": "train.py", "bundle": Path("/bundle"), "image_digest": "", "image_reference": IMAGE, "flavor": SMALL,
        "nodes": 1, "attempt": 2, "parameters": {"epochs": 3}, "environment": {"OMP_NUM_THREADS": "1", "KEY": "secret"},
    }  # fmt: skip
    return JobSpec(**{**given, **changes})


def built(settings: KubernetesSettings = SETTINGS, **changes: Any) -> Json:
    return manifests.job(spec(**changes), settings, api="http://platform/v1")


def container(job: Json, name: str) -> Json:
    found: list[Json] = job["spec"]["template"]["spec"]["containers"]
    return next(one for one in found if one["name"] == name)


def test_an_attempt_is_an_indexed_job_that_is_never_repeated_by_kubernetes() -> None:
    job = built(nodes=3)
    assert job["metadata"]["name"] == "job-j-1-2"
    wanted = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimit": 0}
    assert {name: job["spec"][name] for name in wanted} == wanted
    assert "suspend" not in job["spec"] and "activeDeadlineSeconds" not in job["spec"]["template"]["spec"]
    pod = job["spec"]["template"]["spec"]
    assert (pod["restartPolicy"], pod["subdomain"]) == ("Never", "job-j-1-2")
    assert pod["nodeSelector"] == {"kubernetes.io/arch": "amd64", "pool": "users"}
    assert job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"]


def test_pods_meet_the_restricted_standard_and_get_no_account() -> None:
    pod = built()["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    security = pod["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 1000)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for one in pod["containers"]:
        assert one["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


def test_requests_are_limits_and_accelerators_are_asked_for() -> None:
    job = built(flavor=GPU)
    amounts = {"cpu": "4", "memory": "4096Mi", "nvidia.com/gpu": "2"}
    assert container(job, "job")["resources"] == {"requests": amounts, "limits": amounts}
    tolerated = [one["key"] for one in job["spec"]["template"]["spec"]["tolerations"]]
    assert tolerated == ["nvidia.com/gpu"]
    volumes = {one["name"]: one for one in job["spec"]["template"]["spec"]["volumes"]}
    assert volumes["shared-memory"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2048Mi"}
    # A flavor as large as a node still fits beside its messenger.
    assert container(job, "sync")["resources"]["requests"]["cpu"] == "0"


def test_only_the_messenger_sees_the_token_and_no_value_of_the_user_is_in_the_manifest() -> None:
    job = built()
    mounts = {
        one["name"]: [m["name"] for m in one["volumeMounts"]] for one in job["spec"]["template"]["spec"]["containers"]
    }
    assert "token" in mounts["sync"] and "token" not in mounts["job"]
    assert "secret" not in str(container(job, "job")) and "epochs" not in str(job)
    runner = manifests.runner_spec(spec())
    assert runner.variables["OMP_NUM_THREADS"] == "1" and runner.variables["MKL_NUM_THREADS"] == "2"
    assert runner.variables["KEY"] == "secret" and runner.parameters == {"epochs": 3}


def test_a_queue_and_a_time_limit() -> None:
    job = built(SETTINGS.model_copy(update={"queue": "training"}), time_limit=60)
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "training"
    assert job["spec"]["suspend"] is True
    assert job["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 660


def test_an_image_that_is_in_no_registry_is_refused() -> None:
    with pytest.raises(InvalidInput, match="registry"):
        built(image_reference="")


def test_nodes_know_each_other_by_name() -> None:
    runner = manifests.runner_spec(spec(nodes=2))
    assert runner.hosts == ["job-j-1-2-0.job-j-1-2", "job-j-1-2-1.job-j-1-2"]
    service = manifests.service(spec(nodes=2))
    assert service["metadata"]["name"] == "job-j-1-2" and service["spec"]["publishNotReadyAddresses"]
    one = type(runner)(**{**vars(runner), "node": 1})
    found = variables_of(one, JobFolder(Path("/job")), {})
    expected = {
        "MA_NUM_HOSTS": "2", "VC_TASK_INDEX": "1", "VC_WORKER_NUM": "2", "VC_WORKER_HOSTS": ",".join(runner.hosts),
        "MASTER_ADDR": runner.hosts[0], "MASTER_PORT": "29500", "RANK": "1", "WORLD_SIZE": "2", "NODE_RANK": "1",
        "NNODES": "2", "PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": runner.hosts[0],
        "PET_MASTER_PORT": "29500",
    }  # fmt: skip
    assert {name: found.get(name) for name in expected} == expected
    alone = variables_of(manifests.runner_spec(spec()), JobFolder(Path("/job")), {})
    assert "RANK" not in alone and alone["MASTER_ADDR"] == "127.0.0.1"


# ---- judging


def state(name: Any, **more: Any) -> State:
    return State(name, 1, 1, 1, **more)


def said(name: Any, **more: Any) -> NodeView:
    """A node that has said its last word; its pod has ended."""
    return NodeView(state(name, **more), True, True, pod(phase="Succeeded" if name == "completed" else "Failed"))


def pod(phase: str = "Running", job: Json | None = None, sync: Json | None = None, **status: Any) -> Json:
    running = {"running": {"startedAt": "2026-01-01T11:59:00Z"}}
    containers = [{"name": "job", "state": job or running}, {"name": "sync", "state": sync or running}]
    return {
        "metadata": {"name": "p", "uid": "u", "annotations": {}},
        "spec": {"nodeName": "n1"},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


def dead(code: int, reason: str = "Error", at: str = "2026-01-01T11:59:00Z") -> Json:
    return {"terminated": {"exitCode": code, "reason": reason, "finishedAt": at}}


def verdict(
    *nodes: NodeView, job: Json | None = None, gone: bool = False, stopping: bool = False, disrupted: str | None = None
) -> Verdict:
    known = None if gone else job or {"spec": {}, "status": {}}
    return judge(Situation(nodes, known, stopping, "1 GiB", NOW, timedelta(minutes=10), disrupted=disrupted))


FAILED_JOB: Json = {"spec": {}, "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "Backoff"}]}}
RUNS = NodeView(state("running"), False, True, pod())


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (verdict(RUNS), JobState.RUNNING),
        (verdict(NodeView()), JobState.PENDING),
        (verdict(said("completed")), JobState.COMPLETED),
        (verdict(said("completed"), gone=True), JobState.COMPLETED),
        (verdict(said("completed"), RUNS), JobState.RUNNING),
        (verdict(NodeView(state("completed"), False, True, pod())), JobState.RUNNING),
        (verdict(said("failed", message="it broke", exit_code=3)), JobState.FAILED),
        # The others are told to end, and say their last words first.
        (verdict(RUNS, said("failed")), JobState.RUNNING),
        (verdict(RUNS, gone=True, stopping=True), JobState.RUNNING),
        (verdict(said("stopped"), gone=True, stopping=True), JobState.STOPPED),
        (verdict(NodeView(), gone=True, stopping=True), JobState.STOPPED),
        (verdict(NodeView(), gone=True), JobState.LOST),
        (verdict(said("stopped"), gone=True), JobState.LOST),
        (verdict(said("stopped"), job={"spec": {"suspend": True}}), JobState.PENDING),
        (verdict(NodeView(state("stopped"), True, True)), JobState.PENDING),
        (verdict(said("stopped"), job=FAILED_JOB), JobState.LOST),
    ],
)
def test_the_state_of_an_attempt(seen: Verdict, wanted: JobState) -> None:
    assert seen.state is wanted, seen


def test_the_node_that_failed_first_is_named() -> None:
    first = said("failed", message="broken", finished_at="2026-01-01T11:00:00", exit_code=3)
    later = said("failed", message="connection lost", finished_at="2026-01-01T11:00:01")
    assert verdict(later, first) == Verdict(JobState.FAILED, "Node 1: broken", 3)


@pytest.mark.parametrize(
    ("found", "wanted", "words"),
    [
        (pod(job=dead(137, "OOMKilled"), sync=dead(0)), JobState.FAILED, "more memory than the 1 GiB"),
        (pod("Failed", reason="Evicted", message="low on disk"), JobState.LOST, "low on disk"),
        (pod("Failed", reason="DeadlineExceeded"), JobState.FAILED, "time limit"),
        (pod(job=dead(127, "StartError")), JobState.FAILED, "could not start"),
        (pod(job=dead(1)), JobState.FAILED, "exit code 1"),
        (pod("Failed", conditions=[EVICTED]), JobState.LOST, "being emptied"),
        (pod(sync={"running": {"startedAt": "2026-01-01T11:40:00Z"}}), JobState.LOST, "does not reach the platform"),
    ],
)
def test_a_pod_that_ended_without_a_word(found: Json, wanted: JobState, words: str) -> None:
    seen = verdict(NodeView(pod=found))
    assert seen.state is wanted and words in seen.message, seen
    assert seen.hanging


def test_why_a_pod_was_ended_is_known_when_it_is_gone() -> None:
    told = Disruptions()
    told.note("job-j-1-1", pod(conditions=[EVICTED]), known=["job-j-1-1"])
    seen = verdict(NodeView(state("stopped"), True, True), job=FAILED_JOB, disrupted=told.cause("job-j-1-1"))
    assert seen.state is JobState.LOST and "being emptied" in seen.message
    told.note("job-j-1-1", pod(), known=["job-j-1-1"])
    assert told.cause("job-j-1-1") is None, "a pod has taken its place"


def test_nothing_is_kept_of_jobs_that_are_gone() -> None:
    told = Disruptions()
    told.note("old", pod(conditions=[EVICTED]), known=["old"])
    told.note("new", pod(), known=[])
    assert told.cause("old") is None


def test_a_death_waits_for_the_last_words() -> None:
    killed = pod(job=dead(137, "OOMKilled", "2026-01-01T11:59:55Z"))
    assert verdict(NodeView(state("running"), False, True, killed)).state is JobState.RUNNING
    assert verdict(NodeView(state("running"), True, True, killed)).state is JobState.FAILED


def test_pods_of_nodes_are_the_newest() -> None:
    def made(index: str, at: str) -> Json:
        annotations = {"batch.kubernetes.io/job-completion-index": index}
        return {"metadata": {"name": at, "creationTimestamp": at, "annotations": annotations}}

    found = pods_of_nodes([made("0", "2"), made("0", "1"), made("7", "1")], 2)
    assert [one and one["metadata"]["name"] for one in found] == ["2", None]


@pytest.mark.parametrize(
    ("status", "words", "fatal"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False",
                             "message": "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: none"}]},
            "2 have too few nvidia.com/gpu free",
            False,
        ),
        ({"job": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}, "not in the registry", True),
        ({"sync": {"waiting": {"reason": "ErrImagePull", "message": "i/o timeout"}}}, "i/o timeout", False),
        ({"job": {"waiting": {"reason": "ErrImagePull", "message": "401 Unauthorized"}}}, "pull secret", True),
    ],
)  # fmt: skip
def test_what_keeps_a_pod(status: Json, words: str, fatal: bool) -> None:
    found = trouble(pod("Pending", **status))
    assert found and words in found.message and found.fatal is fatal


def test_a_start_that_waits_tells_news_and_gives_up_where_waiting_is_no_use() -> None:
    waiting = _Waiting(patience=0.0)
    full = [
        Verdict(JobState.PENDING, words, trouble=Trouble(words, "FailedScheduling")) for words in ("2 full", "3 full")
    ]
    told = [waiting.news(one) for one in (full[0], full[0], full[1])]
    assert [one and (one.message, one.event) for one in told] == [
        ("2 full", "FailedScheduling"), None, ("3 full", None),
    ]  # fmt: skip
    no_image = Verdict(JobState.PENDING, "no image", trouble=Trouble("no image", "PullImageFailed", fatal=True))
    assert waiting.news(no_image)
    with pytest.raises(CannotStart, match="no image"):
        waiting.news(no_image)


def workload(name: str, at: str, *, priority: int = 0, queue: str = "q", **conditions: str) -> Json:
    told = [
        {"type": kind, "status": value, "message": "full", "lastTransitionTime": at}
        for kind, value in conditions.items()
    ]
    return {
        "metadata": {"name": name, "creationTimestamp": at, "ownerReferences": [{"uid": name}]},
        "spec": {"queueName": queue, "priority": priority},
        "status": {"conditions": told},
    }


def test_the_place_in_the_queue() -> None:
    rows = [
        workload("runs", "1", QuotaReserved="True"),
        workload("late", "3", QuotaReserved="False"),
        workload("early", "2"),
        workload("urgent", "9", priority=5),
        workload("elsewhere", "1", queue="other"),
    ]
    assert standing(rows, "late") == "Waits in the queue q, place 3 of 3: full."
    assert standing(rows, "urgent") == "Waits in the queue q, place 1 of 3."
    assert "Admitted" in standing(rows, "runs")
    assert "take notice" in standing(rows, "unknown")
    preempted = [workload("mine", "1", QuotaReserved="False", Preempted="True")]
    assert standing(preempted, "mine").startswith("It had to make room for a job of a higher priority. Waits")
