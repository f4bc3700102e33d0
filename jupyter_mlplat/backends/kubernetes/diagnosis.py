"""Why a pod does not run, in words that a user can read and act upon: pure, from the pod and its events."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_mlplat.backends.kubernetes.names import NOTEBOOK

Json = dict[str, Any]

IMAGE_REASONS = frozenset({
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable",
    "SignatureValidationFailed",
})  # fmt: skip
CREATE_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
NEVER_PULLED = ("not found", "manifest unknown", "no match for platform", "invalid reference", "couldn't parse image")
NOT_ALLOWED = ("unauthorized", "authorization failed", "denied", "forbidden", "401", "403")
NOT_FOUND_CODES = (126, 127)
"""What a shell, or tini, ends with where there is no such program."""

NO_LAB = "its image has no JupyterLab of this platform (/opt/mlplat/lab); switch to another image"
NODE_REASONS = {
    "Insufficient cpu": "too few CPU cores free",
    "Insufficient memory": "too little memory free",
    "Insufficient ephemeral-storage": "too little disk free",
    "Too many pods": "as many pods as they can take",
    "node(s) didn't match Pod's node affinity/selector": "no label that this flavor asks for",
    "node(s) were unschedulable": "been closed for new pods",
    "node(s) had volume node affinity conflict": "no way to the volume of the work folder",
    "node(s) exceed max volume count": "as many volumes as they can take",
    "node(s) were not ready": "not been ready",
    "node(s) didn't match PersistentVolume's node affinity": "no way to the volume of the work folder",
}
TAINTS = {
    "node.kubernetes.io/unreachable": "not answered for a while",
    "node.kubernetes.io/not-ready": "not been ready",
    "node.kubernetes.io/unschedulable": "been closed for new pods",
    "node.kubernetes.io/out-of-service": "been declared out of service",
    "node.cloudprovider.kubernetes.io/shutdown": "been shut down",
    "node.kubernetes.io/memory-pressure": "too little memory free",
    "node.kubernetes.io/disk-pressure": "too little disk free",
    "node.kubernetes.io/pid-pressure": "as many processes as they can take",
}
"""Those that the cluster itself sets; others keep nodes for somebody."""

BOUND_TO_A_NODE = ("volume node affinity conflict", "PersistentVolume's node affinity")


@dataclass(frozen=True)
class Trouble:
    """What keeps a pod from running. `fatal`: waiting does not help. `event` names it among the instance's events."""

    message: str
    event: str
    fatal: bool = False


def trouble(pod: Json, events: Sequence[Json], image_name: str) -> Trouble | None:
    """What keeps a pod that has not ended from running, None where it runs or is on its way."""
    if unplaced := _condition(pod, "PodScheduled", "False"):
        return _unplaced(unplaced, events)
    waiting = _state(pod, "waiting")
    if waiting.get("reason") in IMAGE_REASONS:
        return _not_pulled(waiting, events, image_name)
    if waiting.get("reason") in CREATE_REASONS:
        return Trouble(f"The container cannot be made: {_sentence(waiting.get('message', ''))}", "FailedCreate", True)
    return None if is_running(pod) else _not_mounted(events)


def is_running(pod: Json) -> bool:
    """Whether the server's container runs, and nobody is ending it."""
    going = "deletionTimestamp" in pod["metadata"]
    return not going and pod["status"].get("phase") == "Running" and "running" in _states(pod)


def has_ended(pod: Json) -> bool:
    """Whether the pod's server is over for good: a pod is never restarted."""
    return pod["status"].get("phase") in ("Succeeded", "Failed") or "terminated" in _states(pod)


def ending(pod: Json, memory: str) -> str:
    """Why a pod has ended; `memory` is its limit in words."""
    status, terminated = pod["status"], _state(pod, "terminated")
    if status.get("reason") == "Evicted":
        return f"the node ran short of something and evicted it: {_sentence(status.get('message', ''))}"
    if terminated.get("reason") == "OOMKilled":
        return f"it needed more memory than the {memory} of its flavor; choose a larger one"
    if terminated.get("reason") in ("StartError", "ContainerCannotRun"):
        return _not_started(str(terminated.get("message", "")))
    if terminated.get("reason") == "ContainerStatusUnknown" or status.get("reason") == "NodeLost":
        return "its node was lost"
    if terminated.get("exitCode") in NOT_FOUND_CODES:
        return NO_LAB
    if terminated:
        return f"exit code {terminated.get('exitCode')}"
    reason = f"{status.get('reason', '')} {status.get('message', '')}".strip()
    return f"the node did not take it: {_sentence(reason)}" if reason else "the cluster gives no reason"


def _unplaced(condition: Json, events: Sequence[Json]) -> Trouble:
    message = str(condition.get("message", ""))
    if "persistentvolumeclaim" in message.lower():
        return _unbound(message, events)
    if any(words in message for words in BOUND_TO_A_NODE):
        why = (
            f"The volume of the work folder can be had on one node only, which cannot take it now: {missing(message)}."
        )
        return Trouble(f"{why} Start it again once that node is back or has room.", "FailedAttachVolume")
    return Trouble(f"No node can take the instance: {missing(message)}.", "FailedScheduling")


def missing(message: str) -> str:
    """The scheduler's message in words: how many nodes lack what."""
    head, _, rest = message.partition("nodes are available: ")
    if not rest:
        return _sentence(message or "the scheduler gives no reason").rstrip(".")
    rest = re.split(r"\. |preemption: |no new claims", rest)[0].rstrip(". ")
    parts = [_node_reason(part.strip()) for part in re.split(r", (?=\d)", rest)]
    total = head.split("/")[-1].strip()
    return f"{total or 'all'} nodes were looked at; {'; '.join(parts)}"


def _node_reason(part: str) -> str:
    count, _, reason = part.partition(" ")
    if not count.isdigit():
        return part
    have = "has" if count == "1" else "have"
    if reason in NODE_REASONS:
        return f"{count} {have} {NODE_REASONS[reason]}"
    if device := re.fullmatch(r"Insufficient (\S+)", reason):
        return f"{count} {have} too few {device[1]} free"
    if taint := re.match(r"node\(s\) had untolerated taint\(?s?\)? ?\{?([^}]*)\}?", reason):
        name = taint[1].rstrip(": ")
        if name in TAINTS:
            return f"{count} {have} {TAINTS[name]}"
        kept = f"{count} {'is' if count == '1' else 'are'} kept for others"
        return f"{kept} ({name})" if name else kept
    return f"{count}: {reason}"


def _unbound(message: str, events: Sequence[Json]) -> Trouble:
    failures = [event for event in events if event.get("reason") in ("ProvisioningFailed", "FailedBinding")]
    why = str(failures[-1]["message"]) if failures else ""
    words = f"The work folder gets no volume: {_sentence(why or message)} Ask an administrator to look at the storage."
    fatal = "storageclass" in why.lower() and "not found" in why
    return Trouble(words, "FailedAttachVolume", fatal)


def _not_pulled(waiting: Json, events: Sequence[Json], image_name: str) -> Trouble:
    pulls = [str(event["message"]) for event in events if "pull image" in str(event.get("message", ""))]
    why = str(waiting.get("message", ""))
    said = " ".join([why, *pulls[-1:]]).lower()
    if any(word in said for word in NEVER_PULLED):
        what = "it is not in the registry, or not for the nodes' architecture. Switch to another image"
        return Trouble(f"The image {image_name} cannot be pulled: {what}.", "PullImageFailed", True)
    if any(word in said for word in NOT_ALLOWED):
        what = "the registry refuses the nodes. Ask an administrator to check the pull secret"
        return Trouble(f"The image {image_name} cannot be pulled: {what}.", "PullImageFailed", True)
    detail = _sentence(pulls[-1] if pulls else why)
    return Trouble(f"The image {image_name} cannot be pulled: {detail}", "PullImageFailed")


def _not_mounted(events: Sequence[Json]) -> Trouble | None:
    names = {"FailedAttachVolume": "FailedAttachVolume", "FailedMount": "MountVolumeFailed"}
    failures = [event for event in events if event.get("reason") in names]
    if not failures:
        return None
    last = failures[-1]
    return Trouble(f"The work folder is not there yet: {_sentence(str(last['message']))}", names[last["reason"]])


def _not_started(message: str) -> str:
    if "exec format error" in message:
        return "its image is of another architecture than the node; switch to another image"
    if "no such file" in message or "not found" in message:
        return NO_LAB
    return f"its container could not start: {_sentence(message)}"


def _condition(pod: Json, kind: str, status: str) -> Json | None:
    conditions = pod["status"].get("conditions") or []
    return next((found for found in conditions if found["type"] == kind and found["status"] == status), None)


def _state(pod: Json, kind: str) -> Json:
    return _states(pod).get(kind) or {}


def _states(pod: Json) -> Json:
    """The state of the server's container, by its kind: running, waiting or terminated."""
    statuses = pod["status"].get("containerStatuses") or []
    return next((status.get("state") or {} for status in statuses if status["name"] == NOTEBOOK), {})


def _sentence(text: str) -> str:
    """One line that ends with a full stop, not too long."""
    words = " ".join(text.split())
    return (words[:297] + "…" if len(words) > 300 else words).rstrip(". ") + "."
