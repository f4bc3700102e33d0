"""What a build is at, or why it came to nothing, in words: pure, from its Job, its pod and its log."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jupyter_mlplat.backends.kubernetes.build_job import BUILD, SYNC
from jupyter_mlplat.backends.kubernetes.diagnosis import CREATE_REASONS, IMAGE_REASONS, missing
from jupyter_mlplat.backends.kubernetes.job_trouble import container_state, disruption, sentence
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings

Json = dict[str, Any]

LAST_LINES = 8
_UNKNOWN = "The build's pod ended without a result. Build again."
_STEP = re.compile(r"(?:\[\d+/\d+\] )?STEP (\d+/\d+): (.*)")
_NOISE = re.compile(r"Getting image source signatures|Copying (blob|config) |Writing manifest|Storing signatures|-->")


@dataclass(frozen=True)
class Situation:
    """What there is to see; `events` are those of the Job. `job` is None where it is gone."""

    job: Json | None
    pods: Sequence[Json]
    events: Sequence[Json]
    log: str
    begun: bool


@dataclass(frozen=True)
class View:
    """What a build is at. `over`: nothing will come of it any more; `hopeless`: nor will it if that lasts."""

    words: str
    over: bool = False
    hopeless: bool = False


def view(seen: Situation, settings: KubernetesSettings) -> View:
    """How a build without a result stands."""
    failed = _failure(seen.job) if seen.job else "Gone"
    if failed == "DeadlineExceeded":
        limit = _in_words(settings.build_time)
        return View(f"The build took longer than the {limit} that a build may take, and was ended.", over=True)
    if failed and not (seen.job and seen.pods):
        return View("The build's pod is gone: something in the cluster has removed it. Build again.", over=True)
    if not seen.pods:
        return _without_pod(seen.events)
    found = _pod_view(seen.pods[-1], seen, settings)
    return View(_UNKNOWN, over=True) if failed and not found.over else found


def _failure(job: Json) -> str:
    """Why a Job has failed, as the cluster says it; empty where it has not."""
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition["type"] == "Failed" and condition["status"] == "True":
            return str(condition.get("reason") or "Unknown")
    return ""


def _without_pod(events: Sequence[Json]) -> View:
    refused = [str(event.get("message", "")) for event in events if event.get("reason") == "FailedCreate"]
    if refused:
        return View(f"The cluster makes no pod for the build: {sentence(refused[-1])}", hopeless=True)
    return View("Waiting for the cluster")


def _pod_view(pod: Json, seen: Situation, settings: KubernetesSettings) -> View:
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return View(f"Waits for a node: {missing(str(condition.get('message', '')))}.")
    for name in (BUILD, SYNC):
        waiting = container_state(pod, name, "waiting")
        if waiting.get("reason") in IMAGE_REASONS | CREATE_REASONS:
            why = sentence(str(waiting.get("message", "")))
            return View(f"The builder cannot be started: {why} Ask an administrator.", hopeless=True)
    if words := _death(pod, settings):
        return View(words, over=True)
    return View(_progress(seen))


def _death(pod: Json, settings: KubernetesSettings) -> str:
    """Why a pod can bring no result any more; empty where it can."""
    if disrupted := disruption(pod):
        return f"The build's pod was ended: {disrupted}. Build again."
    if pod["status"].get("reason") == "Evicted":
        return f"The build's pod was evicted: {sentence(pod['status'].get('message', ''))}"
    ended = container_state(pod, BUILD, "terminated")
    if ended.get("reason") == "OOMKilled":
        return f"The build needed more memory than the {settings.build_memory} that a build has, and was killed."
    if ended.get("exitCode"):
        return f"The build was ended from outside (exit code {ended['exitCode']}). Build again."
    if container_state(pod, SYNC, "terminated") or pod["status"].get("phase") in ("Failed", "Succeeded"):
        return _UNKNOWN
    return ""


def _progress(seen: Situation) -> str:
    if step := last_step(seen.log):
        return step
    return "Bringing the files and the image below" if seen.begun else "Starting the builder"


def last_step(log: str) -> str:
    """The latest step of the Containerfile that a log tells of, on one line; empty where there is none."""
    found = _STEP.findall(log)
    return sentence(f"STEP {found[-1][0]}: {found[-1][1]}").rstrip(".") if found else ""


def failure(log: str, code: int) -> str:
    """Why buildah ended with a code: the step, and the last lines of its log."""
    step = last_step(log)
    lines = [line.rstrip() for line in log.splitlines() if line.strip() and not _NOISE.match(line)]
    after = [line for line in lines[-LAST_LINES:] if not _STEP.match(line)]
    where = f"failed at {step}" if step else "failed before its first step"
    said = f" Its last lines: {' / '.join(after)}" if after else ""
    return f"The build {where} (exit code {code}).{said}"[:1500]


def _in_words(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    return f"{minutes} min" if not seconds else f"{minutes * 60 + seconds} s"
