"""Jobs of the local back end: each a runner process that survives the platform, in a folder of its own."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import jupyter_mlplat
from jupyter_mlplat.backends import job_results as results
from jupyter_mlplat.backends.base import Checkpoint, JobObservation, JobSpec, JobState
from jupyter_mlplat.backends.kept_jobs import KeptJobs
from jupyter_mlplat.backends.local import machine
from jupyter_mlplat.backends.local.machine import Grant, Machine, this_machine
from jupyter_mlplat.core import processes
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.files import write_atomically
from jupyter_mlplat.core.processes import Process
from jupyter_mlplat.errors import BackendFailure, InvalidInput, MlplatError
from jupyter_mlplat.hub.launch import inherited
from jupyter_mlplat.jobs.bundle import Limits, unpack
from jupyter_mlplat.jobs.tokens import JobLine
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.state import State, write_durably

_MIB = 1024**2
_BEGINS_WITHIN = 60.0
_STOP_GRACE = 20.0
_LOOK_EVERY = 0.01
_RUNNER = "MLPLAT_RUNNER"
"""Set for runners alone, not for what they run: the attempt."""


class EnvironmentMaker(Protocol):
    """What makes environments from images."""

    async def clone(self, digest: str, target: Path) -> None: ...

    async def remove(self, target: Path) -> None: ...


class LocalJobs(KeptJobs):
    """Jobs below `DATA/jobs/ID`. What a job was given of the machine is in its grant.json for as long as it runs."""

    def __init__(
        self,
        data_dir: Path,
        environments: EnvironmentMaker,
        *,
        granting: asyncio.Lock | None = None,
        limits: Limits | None = None,
        on: Machine | None = None,
        line: JobLine | None = None,
    ) -> None:
        """`granting` is held while the machine is given out; whoever else does so must hold the same one.

        `limits` hold for the files of a job when they are unpacked; `on` is the machine, if it is not this one. Over
        `line` jobs get the keys of their channels' endpoints.
        """
        super().__init__(data_dir)
        self._environments = environments
        self._limits = limits
        self._machine, self._line = on, line
        self._granting = granting or asyncio.Lock()
        self._runners: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self, spec: JobSpec) -> AsyncGenerator[Checkpoint, None]:
        if spec.nodes != 1:
            raise InvalidInput(f"This platform runs jobs on one machine: {spec.nodes} nodes cannot be had, only 1.")
        folder = self._folder(spec.job_id)
        if await asyncio.to_thread(self._has_begun, folder, spec):
            await self._begun(folder, spec, lambda: bool(_runners_of(spec.job_id)))
            yield Checkpoint("Running")
            return
        if await asyncio.to_thread(folder.spec.exists):
            await self._end_processes(spec.job_id)
        if not await asyncio.to_thread(_is_prepared, folder, spec.attempt):
            yield Checkpoint("Unpacking the files", event="PreparingFiles")
            await asyncio.to_thread(_unpack, folder, spec, self._limits)
            yield Checkpoint("Making the environment", event="PullingImage")
            await self._environments.remove(folder.env)
            await self._environments.clone(spec.image_digest, folder.env)
            yield Checkpoint("The environment is in place", event="PulledImage")
            await self._write_spec(folder, spec)
        await self._launch(folder, spec)
        yield Checkpoint("Started on this machine", event="Started")

    async def observe(self, job_id: str, attempt: int) -> JobObservation:
        folder = self._folder(job_id)
        self._reap(job_id)
        state = await asyncio.to_thread(_state, folder, attempt)
        if state is None:
            runners = await asyncio.to_thread(_runners_of, job_id)
            return JobObservation(JobState.PENDING if attempt in runners.values() else JobState.ABSENT)
        if state.state == "running" and not _is_alive(state):
            # It may have come to its end between the two looks.
            state = await asyncio.to_thread(_state, folder, attempt) or state
            if state.state == "running":
                await self._end_processes(job_id)
                await self._let_go(folder)
                return await self._observation(folder, state, JobState.LOST)
        if state.state != "running":
            await asyncio.to_thread(machine.release_memory, job_id)
        return await self._observation(folder, state, JobState(state.state))

    async def stop(self, job_id: str) -> None:
        folder = self._folder(job_id)
        first = await asyncio.to_thread(_runners_of, job_id)
        await self._end_processes(job_id, list(first))
        await asyncio.to_thread(_mark_stopped, folder)
        await self._let_go(folder)

    async def delete(self, job_id: str) -> None:
        folder = self._folder(job_id)
        await self._end_processes(job_id)
        await self._let_go(folder)
        await self._remove_folder(job_id)

    def _has_begun(self, folder: JobFolder, spec: JobSpec) -> bool:
        """Whether a runner has, or had, this attempt in its hands."""
        if not folder.spec.exists():
            return False
        return _state(folder, spec.attempt) is not None or spec.attempt in _runners_of(spec.job_id).values()

    async def _write_spec(self, folder: JobFolder, spec: JobSpec) -> None:
        """Choose cores and accelerators for the job, and write down all that its runner needs."""
        async with self._granting:
            taken = await asyncio.to_thread(self._taken, folder.grant)
            grant = (self._machine or this_machine()).choose(spec.flavor, taken)
            record = {"cpus": grant.cpus, "accelerators": grant.accelerators}
            await asyncio.to_thread(write_atomically, folder.grant, json.dumps(record).encode())
        await asyncio.to_thread(write_durably, folder.spec, _runner_spec(spec, folder, grant).to_json())

    def _taken(self, but: Path) -> list[Grant]:
        jobs = (path for path in self._data.glob("jobs/*/grant.json") if path != but)
        return machine.grants_of([*self._data.glob("instances/*/runtime.json"), *jobs])

    async def _launch(self, folder: JobFolder, spec: JobSpec) -> None:
        try:
            runner = await asyncio.to_thread(_spawn, folder, spec, self._line)
        except OSError as error:
            raise BackendFailure(f"The job could not be started: {error.strerror or error}.") from error
        self._runners[spec.job_id] = runner
        if (process := processes.identify(runner.pid)) is not None:
            limit = spec.flavor.memory_mib * _MIB
            await asyncio.to_thread(machine.limit_memory, spec.job_id, [process], limit)
        await self._begun(folder, spec, lambda: runner.poll() is None)

    async def _begun(self, folder: JobFolder, spec: JobSpec, lives: Callable[[], bool]) -> None:
        """Wait until the runner has written its first state."""
        deadline = time.monotonic() + _BEGINS_WITHIN
        while await asyncio.to_thread(_state, folder, spec.attempt) is None:
            if not await asyncio.to_thread(lives) or time.monotonic() > deadline:
                break
            await asyncio.sleep(_LOOK_EVERY)
        self._reap(spec.job_id)
        if await asyncio.to_thread(_state, folder, spec.attempt) is None:
            raise MlplatError(f"The job's runner did not start. {_tail(folder.runner_log)}".strip())

    async def _end_processes(self, job_id: str, first: "list[Process] | None" = None) -> None:
        """End all that a job has started, the runner first if it is named: it ends its job in good order."""
        await processes.end(lambda: _processes_of(job_id), _STOP_GRACE if first else 0.5, first or [])
        self._reap(job_id)

    def _reap(self, job_id: str) -> None:
        """Take note of a runner's end, so that it does not stay as a zombie."""
        runner = self._runners.get(job_id)
        if runner is not None and runner.poll() is not None:
            del self._runners[job_id]

    async def _let_go(self, folder: JobFolder) -> None:
        """What a job holds only while it runs; its runner lets go of it by itself, unless it was killed."""
        await asyncio.to_thread(folder.grant.unlink, missing_ok=True)
        await asyncio.to_thread(machine.release_memory, folder.root.name)
        await self._environments.remove(folder.env)

    async def _observation(self, folder: JobFolder, state: State, seen: JobState) -> JobObservation:
        return JobObservation(
            state=seen,
            message=state.message,
            exit_code=state.exit_code,
            started_at=_moment(state.started_at),
            finished_at=_moment(state.finished_at),
            cells_done=state.cells_done,
            cells_total=state.cells_total,
            last_metrics=await self._last_metrics(folder.root.name),
        )


def _runner_spec(spec: JobSpec, folder: JobFolder, grant: Grant) -> Spec:
    return Spec(
        job_id=spec.job_id,
        number=spec.number,
        name=spec.name,
        kind=spec.kind.value,
        entry=spec.entry,
        attempt=spec.attempt,
        environment=str(folder.env),
        parameters=spec.parameters,
        variables=_variables(machine.variables(spec.flavor, grant), spec.environment),
        inputs=list(spec.inputs),
        outputs=list(spec.outputs),
        logs_to=spec.logs,
        time_limit=spec.time_limit,
        cpus=list(grant.cpus),
        gpus=spec.flavor.gpus,
    )


def _variables(granted: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """A user may choose other numbers of threads, but no accelerator of somebody else."""
    devices = {name: value for name, value in granted.items() if name.endswith("VISIBLE_DEVICES")}
    return {**granted, **given, **devices}


def _spawn(folder: JobFolder, spec: JobSpec, line: JobLine | None) -> "subprocess.Popen[bytes]":
    """Start the runner in a session of its own, so that nothing that ends the platform reaches it."""
    folder.logs.mkdir(exist_ok=True)
    variables = {
        **inherited(os.environ),
        "PYTHONPATH": str(Path(jupyter_mlplat.__file__).parents[1]),
        "MLPLAT_JOB_ID": spec.job_id,
        _RUNNER: str(spec.attempt),
    }
    words = line.words(spec.job_id, spec.attempt) if line else b""
    with folder.runner_log.open("ab") as log, _saying(words) as told:
        return subprocess.Popen(
            [sys.executable, "-m", "jupyter_mlplat.runner", str(folder.root)],
            cwd=folder.root,
            env=variables,
            stdin=told,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@contextmanager
def _saying(words: bytes) -> Iterator[int]:
    """What gives these words to who reads it: neither a file nor a process's environment has them."""
    reader, writer = os.pipe()
    try:
        os.write(writer, words)
        os.close(writer)
        yield reader
    finally:
        os.close(reader)


def _is_prepared(folder: JobFolder, attempt: int) -> bool:
    """Whether files and environment of this attempt are complete: spec.json is written after both."""
    try:
        return Spec.load(folder.spec).attempt == attempt
    except FileNotFoundError:
        return False


def _unpack(folder: JobFolder, spec: JobSpec, limits: Limits | None) -> None:
    """Fresh files, no notebook of an earlier attempt. Its log, metrics and outputs stay: a job may go on from them."""
    shutil.rmtree(folder.code, ignore_errors=True)
    folder.executed.unlink(missing_ok=True)
    unpack(spec.bundle, folder.code, limits)
    if not (folder.code / spec.entry).is_file():
        raise InvalidInput(f"There is no file {spec.entry} among the files of the job. Submit it again.")


def _state(folder: JobFolder, attempt: int) -> State | None:
    """The state of this attempt; None where its runner has written none."""
    state = State.load(folder.state)
    return state if state is not None and state.attempt == attempt else None


def _is_alive(state: State) -> bool:
    return processes.alive(Process(state.pid, state.pid_started))


def _mark_stopped(folder: JobFolder) -> None:
    """The last word on a job whose runner was killed, or never began, before it could say that it was stopped."""
    try:
        spec = Spec.load(folder.spec)
    except FileNotFoundError:
        return
    state = _state(folder, spec.attempt)
    if state is None or state.state == "running":
        earlier = state or State("running", spec.attempt, 0, 0)
        stopped = {
            **vars(earlier),
            "state": "stopped",
            "message": "Stopped on request.",
            "finished_at": now().isoformat(),
        }
        write_durably(folder.state, json.dumps(stopped).encode())


def _runners_of(job_id: str) -> dict[Process, int]:
    """The living runners of a job (there is one at most, but for moments) with the attempt of each."""
    found = {}
    for name in os.listdir("/proc"):
        variables = processes.environment_of(int(name)) if name.isdecimal() else {}
        if variables.get("MLPLAT_JOB_ID") == job_id and _RUNNER in variables:
            process = processes.identify(int(name))
            if process is not None:
                found[process] = int(variables[_RUNNER])
    return found


def _processes_of(job_id: str) -> set[Process]:
    return processes.with_environment(lambda variables: variables.get("MLPLAT_JOB_ID") == job_id)


def _tail(path: Path) -> str:
    size = results.size_of(path)
    return results.read_piece(path, max(0, size - 500), 500).decode("utf-8", "replace").strip()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
