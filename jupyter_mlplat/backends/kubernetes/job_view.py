"""How an attempt is: judged from what its nodes said and what the cluster says of its Job and pods. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jupyter_mlplat.backends.base import JobState
from jupyter_mlplat.backends.kubernetes.disruptions import INDEX
from jupyter_mlplat.backends.kubernetes.job import JOB, SYNC
from jupyter_mlplat.backends.kubernetes.job_trouble import (
    Death,
    Trouble,
    container_state,
    death,
    sentence,
    trouble,
)
from jupyter_mlplat.runner.state import State

Json = dict[str, Any]

SILENCE = timedelta(seconds=10)
"""How long a node whose job has ended without a state may take to say something."""


@dataclass(frozen=True)
class NodeView:
    """One node: what its runner said last, whether all of it is here, and its current pod."""

    state: State | None = None
    ended: bool = False
    begun: bool = False
    pod: Json | None = None

    @property
    def final(self) -> State | None:
        """The runner's last word, once all is here."""
        return self.state if self.ended and self.state is not None and self.state.state != "running" else None


@dataclass(frozen=True)
class Situation:
    """All that is known of an attempt.

    `lost_since` says why a pod counts as lost, `memory` is the limit in words, `disrupted` why the cluster ended a pod
    that may be gone.
    """

    nodes: Sequence[NodeView]
    job: Json | None
    stopping: bool
    memory: str
    now: datetime
    patience: timedelta
    lost_since: Callable[[Json], str | None] = lambda pod: None
    disrupted: str | None = None


@dataclass(frozen=True)
class Verdict:
    """`trouble` is what keeps a pending attempt; `hanging` that pods are left which end only if they are told to."""

    state: JobState
    message: str = ""
    exit_code: int | None = None
    trouble: Trouble | None = None
    queued: bool = False
    hanging: bool = False


def judge(seen: Situation) -> Verdict:
    """The state of the attempt."""
    finals = [node.final for node in seen.nodes]
    if all(final is not None and final.state == "completed" for final in finals):
        return Verdict(JobState.COMPLETED, exit_code=0)
    if seen.job is not None and seen.job["spec"].get("suspend"):
        return Verdict(JobState.PENDING, queued=True)
    ending = _failure(seen) or _ended_from_outside(seen)
    if ending is not None:
        return _once_quiet(seen, ending)
    return _alive(seen)


def pods_of_nodes(pods: Sequence[Json], nodes: int) -> list[Json | None]:
    """The current pod of each node: the newest, should one have taken another's place."""
    found: list[Json | None] = [None] * nodes
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", ""))):
        index = pod["metadata"].get("annotations", {}).get(INDEX, "")
        if index.isdecimal() and int(index) < nodes:
            found[int(index)] = pod
    return found


def has_ended(pod: Json) -> bool:
    return pod["status"].get("phase") in ("Failed", "Succeeded")


def _failure(seen: Situation) -> Verdict | None:
    """The first failure of a node, by its own words or by how its pod ended."""
    failed = [
        (final.finished_at or "", number, final)
        for number, node in enumerate(seen.nodes)
        if (final := node.final) is not None and final.state == "failed"
    ]
    if failed:
        _, number, final = min(failed, key=lambda row: row[:2])
        return Verdict(JobState.FAILED, _of_node(seen, number, final.message), final.exit_code)
    for number, node in enumerate(seen.nodes):
        dead = _death(seen, node)
        if dead is not None:
            state = JobState.LOST if dead.lost else JobState.FAILED
            return Verdict(state, _of_node(seen, number, dead.message), dead.exit_code, hanging=True)
    return None


def _death(seen: Situation, node: NodeView) -> Death | None:
    """How a node ended that left no last word, once none is to be expected."""
    if node.final is not None or node.pod is None:
        return None
    if why := seen.lost_since(node.pod):
        return Death(f"The job's pod is lost: {why}.", lost=True)
    dead = death(node.pod, seen.memory)
    if dead is None:
        return _mute(seen, node)
    silent = node.ended or has_ended(node.pod) or bool(container_state(node.pod, SYNC, "terminated"))
    if not silent and node.state is None:
        silent = _since(container_state(node.pod, JOB, "terminated").get("finishedAt"), seen.now) > SILENCE
    return dead if silent else None


def _mute(seen: Situation, node: NodeView) -> Death | None:
    """A pod that runs but has never reached the platform."""
    assert node.pod is not None
    began = container_state(node.pod, SYNC, "running").get("startedAt")
    if node.begun or _since(began, seen.now) < seen.patience:
        return None
    return Death(
        "The job's pod does not reach the platform, so its files cannot come. Ask an administrator.", lost=True
    )


def _ended_from_outside(seen: Situation) -> Verdict | None:
    """Ended by somebody who is neither the job nor its owner."""
    if seen.stopping:
        return Verdict(JobState.STOPPED, "Stopped on request.")
    if seen.job is None:
        return Verdict(JobState.LOST, "The job was removed from the cluster. Submit it again.")
    failed = next((one for one in _conditions(seen.job) if one["type"] in ("Failed", "FailureTarget")), None)
    if failed is None:
        return None
    if failed.get("reason") == "DeadlineExceeded":
        return Verdict(JobState.FAILED, "The job was ended at its time limit. Give it more, or let it do less.")
    if seen.disrupted:
        return Verdict(JobState.LOST, f"The job's pod was ended: {seen.disrupted}.")
    if any(node.final is not None and node.final.state == "stopped" for node in seen.nodes):
        return Verdict(JobState.LOST, "The job's pod was ended by the cluster or an administrator. Submit it again.")
    return Verdict(JobState.FAILED, f"The cluster gave the job up: {sentence(str(failed.get('message', '')))}")


def _once_quiet(seen: Situation, ending: Verdict) -> Verdict:
    """The ending, once every node has said its last word or has nobody left to say it."""
    over = all(node.ended or node.pod is None or has_ended(node.pod) for node in seen.nodes)
    lost = any(node.pod is not None and seen.lost_since(node.pod) for node in seen.nodes)
    if over or ending.hanging or lost:
        return ending
    return Verdict(JobState.RUNNING)


def _alive(seen: Situation) -> Verdict:
    for number, node in enumerate(seen.nodes):
        if node.pod is not None and (found := trouble(node.pod)):
            named = Trouble(_of_node(seen, number, found.message), found.event, found.fatal)
            return Verdict(JobState.PENDING, named.message, trouble=named)
    if all(_has_begun(node) for node in seen.nodes):
        return Verdict(JobState.RUNNING)
    return Verdict(JobState.PENDING)


def _has_begun(node: NodeView) -> bool:
    if node.state is not None:
        # The word of a pod that was told to end is nothing that the next one begins with.
        return node.state.state != "stopped"
    pod = node.pod
    return pod is not None and bool(container_state(pod, JOB, "running") or container_state(pod, JOB, "terminated"))


def _of_node(seen: Situation, number: int, message: str) -> str:
    return f"Node {number}: {message}" if len(seen.nodes) > 1 else message


def _conditions(job: Json) -> list[Json]:
    return [one for one in job.get("status", {}).get("conditions") or [] if one.get("status") == "True"]


def _since(moment: str | None, now: datetime) -> timedelta:
    return now - datetime.fromisoformat(moment.replace("Z", "+00:00")) if moment else timedelta(0)
