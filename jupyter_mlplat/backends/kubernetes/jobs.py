"""Jobs of the Kubernetes back end: each attempt a Job, whose pods fetch from and deliver to the platform."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_mlplat.backends.base import Checkpoint, JobObservation, JobSpec, JobState
from jupyter_mlplat.backends.kept_jobs import KeptJobs
from jupyter_mlplat.backends.kubernetes import job as manifests
from jupyter_mlplat.backends.kubernetes.client import BATCH, CORE, Cluster, path_of
from jupyter_mlplat.backends.kubernetes.disruptions import Disruptions
from jupyter_mlplat.backends.kubernetes.job import JOB_LABEL, name_of
from jupyter_mlplat.backends.kubernetes.job_trouble import CannotStart, Trouble, sentence
from jupyter_mlplat.backends.kubernetes.job_view import NodeView, Situation, Verdict, judge, pods_of_nodes
from jupyter_mlplat.backends.kubernetes.kueue import Queue
from jupyter_mlplat.backends.kubernetes.names import label_value
from jupyter_mlplat.backends.kubernetes.removal import Removal
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.watch import Watched, World
from jupyter_mlplat.errors import AlreadyExists, BackendFailure, InvalidInput, NotFound
from jupyter_mlplat.jobs.delivery import Attempt, Node
from jupyter_mlplat.jobs.tokens import JobTokens
from jupyter_mlplat.runner.layout import JobFolder
from jupyter_mlplat.runner.state import State
from jupyter_mlplat.storage.object_urls import is_object_url

Json = dict[str, Any]

LOOK_SECONDS = 1.0
STOP_SECONDS = 45.0
"""After that long pods that were told to end are killed."""

GONE_SECONDS = 90.0


class KubernetesJobs(KeptJobs):
    """Jobs of the users' namespace. `api` is the address of the platform's `/v1` as pods reach it."""

    def __init__(
        self,
        data_dir: Path,
        cluster: Cluster,
        world: World,
        settings: KubernetesSettings,
        tokens: JobTokens,
        *,
        api: str,
    ) -> None:
        super().__init__(data_dir)
        self._cluster, self._world, self._settings, self._tokens, self._api = cluster, world, settings, tokens, api
        self._queue = Queue(cluster, settings.namespace)
        self._removal = Removal(cluster, world, settings)
        self._disruptions = Disruptions()
        self._jobs = Watched(
            cluster, self._path("jobs"), key=_name, slim=_slim, notify=self._job_changed, labelSelector=JOB_LABEL
        )
        self._pods = Watched(
            cluster, self._path("pods"), key=_name, slim=_slim, notify=self._pod_changed, labelSelector=JOB_LABEL
        )

    async def start(self, spec: JobSpec) -> AsyncGenerator[Checkpoint, None]:
        await self._synced()
        folder, name = self._folder(spec.job_id), name_of(spec.job_id, spec.attempt)
        with self._world.signals.listen(name) as changed:
            if name not in self._jobs.objects and not await asyncio.to_thread(_has_begun, folder, spec.attempt):
                await asyncio.to_thread(_prepare, folder, spec)
                await self._create(spec)
                yield Checkpoint("The cluster has taken the job", event="SubmittedToCluster")
            waiting = _Waiting(self._settings.patience.total_seconds())
            while True:
                changed.clear()
                seen = await self._look(folder, spec.job_id, spec.attempt)
                if seen.state is not JobState.PENDING:
                    break
                if news := waiting.news(await self._explained(name, seen)):
                    yield news
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), LOOK_SECONDS)
        yield Checkpoint(f"Started on {self._places(spec)}", event="Started")

    async def observe(self, job_id: str, attempt: int) -> JobObservation:
        folder = self._folder(job_id)
        known = await asyncio.to_thread(Attempt.load, folder)
        if known is None or known.attempt != attempt:
            return JobObservation(JobState.ABSENT)
        await self._synced()
        name = name_of(job_id, attempt)
        seen = await self._look(folder, job_id, attempt)
        if seen.state is JobState.PENDING:
            seen = await self._explained(name, seen)
        if seen.hanging:
            await self._clear(job_id, attempt)
        state = await asyncio.to_thread(lambda: Node(folder, 0).state)
        return await self._observation(job_id, seen, state if state and state.attempt == attempt else None)

    async def stop(self, job_id: str) -> None:
        await self._synced()
        folder = self._folder(job_id)
        known = await asyncio.to_thread(Attempt.load, folder)
        if known is not None:
            await asyncio.to_thread(replace(known, stopping=True).save, folder)
        # Asked directly: what another replica has just made may not have been seen here.
        found = await self._cluster.get(self._path("jobs"), labelSelector=_selector(job_id))
        for job in found["items"]:
            await self._cluster.delete(self._path("jobs", _name(job)), propagation="Background")
        await self._pods_gone(job_id)

    async def delete(self, job_id: str) -> None:
        known = await asyncio.to_thread(Attempt.load, self._folder(job_id))
        if known is not None:
            # Those go with their Job, unless the platform was killed before it could say so.
            name = name_of(job_id, known.attempt)
            await self._cluster.delete(self._path("secrets", name))
            await self._cluster.delete(self._path("services", name))
        await self._remove_folder(job_id)

    async def close(self) -> None:
        """Stop watching."""
        await asyncio.gather(self._jobs.close(), self._pods.close())

    async def _synced(self) -> None:
        # What pods tell is kept for the Jobs that are known.
        await self._jobs.synced()
        await asyncio.gather(self._pods.synced(), self._world.synced())

    async def _create(self, spec: JobSpec) -> None:
        name = name_of(spec.job_id, spec.attempt)
        made = {"secrets": manifests.secret(spec, self._tokens.of(spec.job_id, spec.attempt))}
        if spec.nodes > 1:
            made["services"] = manifests.service(spec)
        await asyncio.gather(*(self._ensure(self._path(kind), body) for kind, body in made.items()))
        path = self._path("jobs")
        job = await self._ensure(path, manifests.job(spec, self._settings, api=self._api))
        if job is None:
            job = await self._cluster.get(f"{path}/{name}")
        # Known at once, not only when the watch tells.
        if name not in self._jobs.objects:
            self._jobs.keep(_slim(job))
        owned = manifests.owned(job)
        await asyncio.gather(*(self._cluster.patch(self._path(kind, name), owned) for kind in made))

    async def _ensure(self, path: str, body: Json) -> Json | None:
        """What was made; None where it was there."""
        with suppress(AlreadyExists):
            return await self._cluster.create(path, body)
        return None

    async def _look(self, folder: JobFolder, job_id: str, attempt: int) -> Verdict:
        known = await asyncio.to_thread(Attempt.load, folder)
        if known is None:
            return Verdict(JobState.ABSENT)
        pods = pods_of_nodes(self._pods_of(job_id, attempt), known.nodes)
        lost = {_uid(pod): await self._removal.lost(pod) for pod in pods if pod is not None}
        nodes = await asyncio.to_thread(
            lambda: [_view(Node(folder, number), pod, attempt) for number, pod in enumerate(pods)]
        )
        situation = Situation(
            nodes,
            self._jobs.objects.get(name_of(job_id, attempt)),
            known.stopping,
            known.memory,
            datetime.now(UTC),
            self._settings.start_timeout,
            lambda pod: lost[_uid(pod)],
            self._disruptions.cause(name_of(job_id, attempt)),
        )
        return judge(situation)

    async def _explained(self, name: str, seen: Verdict) -> Verdict:
        """A pending attempt with what it waits for."""
        job = self._jobs.objects.get(name)
        if seen.queued and job is not None:
            return replace(seen, message=await self._queue.standing(job))
        if seen.trouble is None and (refusals := self._refused_pods(name)):
            return replace(seen, message=f"The cluster makes no pods for the job: {refusals[-1]}")
        return seen

    async def _clear(self, job_id: str, attempt: int) -> None:
        """Remove what is left of an attempt whose pods end only if they are told to.

        Lost ones are struck off the records without proof that they have ended: nothing that they say is heard any more
        once another attempt has begun or the job is over, and they share no volume with anybody.
        """
        if (name := name_of(job_id, attempt)) in self._jobs.objects:
            await self._cluster.delete(self._path("jobs", name), propagation="Background")
        for pod in self._pods_of(job_id, attempt):
            if self._removal.seems_lost(pod):
                await self._cluster.delete(self._path("pods", _name(pod)), grace_seconds=0)

    def _refused_pods(self, name: str) -> list[str]:
        if any(_belongs(pod, name) for pod in self._pods.objects.values()):
            return []
        events = self._world.events_of(name)
        return [sentence(str(event["message"])) for event in events if event.get("reason") == "FailedCreate"]

    async def _pods_gone(self, job_id: str) -> None:
        """Wait for the end of all pods of a job; those that do not end, and those on lost nodes, are killed."""
        began = time.monotonic()
        while pods := self._pods_of(job_id):
            waited = time.monotonic() - began
            if waited > GONE_SECONDS:
                raise BackendFailure(f"The pod {_name(pods[0])} of the job does not end.")
            for pod in pods:
                await self._end(pod, waited)
            names = {str(pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]) for pod in pods}
            with self._world.signals.listen(*names) as changed, suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), LOOK_SECONDS)

    async def _end(self, pod: Json, waited: float) -> None:
        path = self._path("pods", _name(pod))
        if self._removal.seems_lost(pod) or waited > STOP_SECONDS:
            await self._cluster.delete(path, grace_seconds=0)
        elif "deletionTimestamp" not in pod["metadata"]:
            await self._cluster.delete(path)

    def _pods_of(self, job_id: str, attempt: int | None = None) -> list[Json]:
        label = label_value(job_id)
        found = [pod for pod in self._pods.objects.values() if pod["metadata"]["labels"][JOB_LABEL] == label]
        return [pod for pod in found if attempt is None or _belongs(pod, name_of(job_id, attempt))]

    def _places(self, spec: JobSpec) -> str:
        pods = self._pods_of(spec.job_id, spec.attempt)
        nodes = sorted({str(pod["spec"].get("nodeName", "")) for pod in pods} - {""})
        return " and ".join(nodes) or "the cluster"

    async def _observation(self, job_id: str, seen: Verdict, state: State | None) -> JobObservation:
        words = seen.message or (state.message if state and seen.state is JobState.COMPLETED else "")
        return JobObservation(
            state=seen.state,
            message=words,
            exit_code=seen.exit_code,
            started_at=_moment(state.started_at) if state else None,
            finished_at=_moment(state.finished_at) if state else None,
            cells_done=state.cells_done if state else 0,
            cells_total=state.cells_total if state else 0,
            last_metrics=await self._last_metrics(job_id),
        )

    def _job_changed(self, job: Json) -> None:
        self._world.signals.notify(_name(job))

    def _pod_changed(self, pod: Json) -> None:
        job = str(pod["metadata"]["labels"].get("batch.kubernetes.io/job-name", ""))
        self._disruptions.note(job, pod, self._jobs.objects)
        self._world.signals.notify(job)

    def _path(self, kind: str, name: str = "") -> str:
        return path_of(self._settings.namespace, kind, name, api=BATCH if kind == "jobs" else CORE)


class _Waiting:
    """What a start that waits has to tell; CannotStart once waiting makes no sense."""

    def __init__(self, patience: float) -> None:
        self._patience, self._hopeless_since = patience, 0.0
        self._said = self._event = ""

    def news(self, seen: Verdict) -> Checkpoint | None:
        trouble = seen.trouble or Trouble(seen.message, "Waiting")
        if not trouble.fatal:
            self._hopeless_since = 0.0
        elif not self._hopeless_since:
            self._hopeless_since = time.monotonic()
        elif time.monotonic() - self._hopeless_since > self._patience:
            raise CannotStart(trouble.message)
        if not seen.message or seen.message == self._said:
            return None
        # How many nodes are full, or the place in a queue, changes all the time: that is no event.
        event = None if trouble.event == self._event else trouble.event
        self._said, self._event = seen.message, trouble.event
        return Checkpoint(seen.message, event=event)


def _prepare(folder: JobFolder, spec: JobSpec) -> None:
    """Write down what the pods will ask for. InvalidInput where an input is not there."""
    for name, source in spec.inputs:
        if not is_object_url(source) and not Path(source).exists():
            raise InvalidInput(f"The input {name!r} does not exist: there is nothing at its address in the storage.")
    if not spec.bundle.exists():
        raise NotFound("The files of the job are gone. Submit it again.")
    runner = vars(manifests.runner_spec(spec))
    memory = f"{spec.flavor.memory_mib / 1024:.4g} GiB"
    inputs, outputs = list(spec.inputs), list(spec.outputs)
    known = Attempt(spec.attempt, spec.nodes, str(spec.bundle), runner, inputs, outputs, spec.logs, memory=memory)
    known.save(folder)


def _has_begun(folder: JobFolder, attempt: int) -> bool:
    """Whether pods of this attempt have been here: then its Job, which is gone, is not made again."""
    known = Attempt.load(folder)
    if known is None or known.attempt != attempt:
        return False
    found = (Node(folder, number).begun for number in range(known.nodes))
    return known.stopping or any(begun is not None and begun.attempt == attempt for begun in found)


def _view(node: Node, pod: Json | None, attempt: int) -> NodeView:
    """The words of another attempt, or of a pod that another has followed, are left out."""
    begun = node.begun
    if begun is None or begun.attempt != attempt or (pod is not None and begun.pod != pod["metadata"]["uid"]):
        return NodeView(pod=pod)
    return NodeView(node.state, node.ended, True, pod)


def _belongs(pod: Json, name: str) -> bool:
    return bool(pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") == name)


def _selector(job_id: str) -> str:
    return f"{JOB_LABEL}={label_value(job_id)}"


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])


def _uid(item: Json) -> str:
    return str(item["metadata"]["uid"])


def _slim(item: Json) -> Json:
    item["metadata"].pop("managedFields", None)
    return item


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
