"""Why a pod of a job does not run, or ended, in words: pure, from the pod alone."""

from dataclasses import dataclass
from typing import Any

from jupyter_mlplat.backends.kubernetes.diagnosis import (
    CREATE_REASONS,
    IMAGE_REASONS,
    NEVER_PULLED,
    NOT_ALLOWED,
    missing,
)
from jupyter_mlplat.backends.kubernetes.job import JOB, SYNC
from jupyter_mlplat.errors import MlplatError

Json = dict[str, Any]

DISRUPTIONS = {
    "PreemptionByScheduler": "the cluster needed its place for something of a higher priority",
    "PreemptionByKubeScheduler": "the cluster needed its place for something of a higher priority",
    "EvictionByEvictionAPI": "it was evicted: its node is being emptied",
    "DeletionByTaintManager": "its node was lost or is kept for others now",
    "DeletionByPodGC": "its node is gone",
    "TerminationByKubelet": "its node ran short of something and evicted it",
    "WorkloadPreempted": "another job of a higher priority took its place",
}


class CannotStart(MlplatError):
    """The cluster cannot run this job, also if one waits; the message says why and what to do."""

    code = "MLPLAT.JOB_CANNOT_START"


@dataclass(frozen=True)
class Trouble:
    """What keeps a pod from running; `event` is its name among the job's events. `fatal`: waiting does not help."""

    message: str
    event: str
    fatal: bool = False


@dataclass(frozen=True)
class Death:
    """How a pod's job ended without a word of its own. `lost`: not by its own fault."""

    message: str
    exit_code: int | None = None
    lost: bool = False


def trouble(pod: Json) -> Trouble | None:
    """What keeps a pod from running; None where it runs or is on its way."""
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _unplaced(condition)
    for name in (JOB, SYNC):
        waiting = container_state(pod, name, "waiting")
        if waiting.get("reason") in IMAGE_REASONS:
            return _not_pulled(waiting)
        if waiting.get("reason") in CREATE_REASONS:
            words = f"The job's container cannot be made: {sentence(waiting.get('message', ''))}"
            return Trouble(words, "FailedCreate", True)
    return None


def death(pod: Json, memory: str) -> Death | None:
    """How the job of a pod ended, None while it lives; `memory` is its limit in words."""
    status, ended = pod["status"], container_state(pod, JOB, "terminated")
    if status.get("phase") not in ("Failed", "Succeeded") and not ended:
        return None
    if disrupted := disruption(pod):
        return Death(f"The job's pod was ended: {disrupted}.", lost=True)
    code = ended.get("exitCode")
    if ended.get("reason") == "OOMKilled":
        words = "The job needed more memory than"
        return Death(
            f"{words} the {memory} of its flavor and was killed. Take a larger one, or load less at once.", code
        )
    if status.get("reason") == "Evicted":
        return Death(f"The job's pod was evicted: {sentence(status.get('message', ''))}", code, lost=True)
    if status.get("reason") == "DeadlineExceeded":
        return Death("The job was ended at its time limit. Give it more, or let it do less.", code)
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return Death(_not_started(str(ended.get("message", ""))), code)
    if code == 137:
        return Death("The job was killed from outside, most likely because memory ran out on its node.", code)
    if code:
        return Death(f"The job's runner ended with exit code {code} before it could say why.", code)
    return Death("The job's pod ended without a result.", code, lost=True)


def disruption(pod: Json) -> str | None:
    """Why the cluster ended a pod that did nothing wrong."""
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] in ("DisruptionTarget", "TerminationTarget") and condition["status"] == "True":
            reason = str(condition.get("reason", ""))
            detail = str(condition.get("message", "")) if reason == "TerminationByKubelet" else ""
            return DISRUPTIONS.get(reason, reason) + (f" ({sentence(detail).rstrip('.')})" if detail else "")
    return None


def container_state(pod: Json, container: str, kind: str) -> Json:
    """The state of a container, where it is of that kind: waiting, running or terminated."""
    for status in pod["status"].get("containerStatuses") or []:
        if status["name"] == container:
            found: Json = status.get("state", {}).get(kind) or {}
            return found
    return {}


def sentence(text: str) -> str:
    """One line that ends with a full stop, not too long."""
    words = " ".join(text.split())
    return (words[:297] + "…" if len(words) > 300 else words).rstrip(". ") + "."


def _unplaced(condition: Json) -> Trouble:
    message = str(condition.get("message", ""))
    return Trouble(f"Waits for a node: {missing(message)}.", "FailedScheduling")


def _not_pulled(waiting: Json) -> Trouble:
    why = str(waiting.get("message", ""))
    said = why.lower()
    if waiting.get("reason") == "InvalidImageName" or any(word in said for word in NEVER_PULLED):
        what = "it is not in the registry, or not for the nodes' architecture. Submit the job on another image"
        return Trouble(f"The job's image cannot be pulled: {what}.", "PullImageFailed", True)
    if any(word in said for word in NOT_ALLOWED):
        what = "the registry refuses the nodes. Ask an administrator to check the pull secret"
        return Trouble(f"The job's image cannot be pulled: {what}.", "PullImageFailed", True)
    return Trouble(f"The job's image cannot be pulled: {sentence(why)}", "PullImageFailed")


def _not_started(message: str) -> str:
    if "exec format error" in message:
        return "The job's image is of another architecture than the node. Submit the job on another image."
    if "no such file" in message or "not found" in message:
        return "The job's image lacks what jobs need (tini, /opt/mlplat/lab). Submit the job on another image."
    return f"The job's container could not start: {sentence(message)}"
