"""Jobs reach the phase that they should, whatever fails and wherever the platform is killed."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from platform_stage import ALICE, BOB, Opened, Stage

from jupyter_mlplat.backends import memory
from jupyter_mlplat.backends.base import Checkpoint, JobObservation, JobSpec, JobState
from jupyter_mlplat.errors import BackendFailure, NotFound
from jupyter_mlplat.images.models import ImageFilter
from jupyter_mlplat.jobs import reconcile, sweep
from jupyter_mlplat.jobs.models import FINAL, Job, Phase
from jupyter_mlplat.jobs.reconcile import Action, next_action
from jupyter_mlplat.jobs.store import Target


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "WATCH_SECONDS", 0.001)


async def ended(stage: Stage, **fields: object) -> Job:
    job = await stage.submit(**fields)
    await stage.settle()
    return await stage.jobs.get(ALICE, job.id)


@pytest.mark.parametrize(
    ("phase", "target", "action"),
    [
        (Phase.CREATING, Target.ENDED, Action.START),
        (Phase.PENDING, Target.ENDED, Action.START),
        (Phase.RUNNING, Target.ENDED, Action.WATCH),
        (Phase.TERMINATING, Target.ENDED, Action.STOP),
        (Phase.CREATING, Target.STOPPED, Action.STOP),
        (Phase.PENDING, Target.STOPPED, Action.STOP),
        (Phase.RUNNING, Target.STOPPED, Action.STOP),
        (Phase.TERMINATING, Target.STOPPED, Action.STOP),
        *((phase, target, None) for phase in sorted(FINAL) for target in (Target.ENDED, Target.STOPPED)),
        *((phase, Target.DELETED, Action.DELETE) for phase in Phase),
    ],
)
def test_next_action(phase: Phase, target: Target, action: Action | None) -> None:
    assert next_action(phase, target) is action


@pytest.mark.both_databases
async def test_a_job_runs_to_its_end(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    torch = (await stage.images.find(ALICE, ImageFilter(name="pytorch"))).data[0]
    job = await ended(stage, image_id=torch.id)
    assert (job.phase, job.exit_code, job.attempt, job.phase_message) == (Phase.COMPLETED, 0, 1, "")
    assert (job.progress.done, job.progress.total) == (3, 3)
    assert job.last_metrics == {"loss": 1 / 3}
    assert job.duration is not None and job.started_at and job.finished_at
    assert await stage.happened(job.id) == [
        "Created", "BuildingImage", "Scheduled", "PreparingFiles", "Running", "Completed"
    ]  # fmt: skip


async def test_a_failed_job_says_why(stages: Opened) -> None:
    job = await ended(stages(jobs_are=memory.JobFails))
    assert (job.phase, job.exit_code) == (Phase.FAILED, 1)
    assert "log" in job.phase_message


async def test_a_lost_job_is_abnormal_in_words(stages: Opened) -> None:
    job = await ended(stages(jobs_are=memory.JobIsLost))
    assert job.phase == Phase.ABNORMAL
    assert "killed" in job.phase_message


@pytest.mark.both_databases
async def test_a_job_that_fails_once_is_tried_again(stages: Opened) -> None:
    stage = stages(jobs_are=memory.JobFailsOnce)
    job = await ended(stage, retries=2)
    assert (job.phase, job.attempt) == (Phase.COMPLETED, 2)
    happened = await stage.happened(job.id)
    assert happened.count("Retrying") == 1
    assert happened.count("Scheduled") == 2


@pytest.mark.parametrize(("fake", "phase"), [(memory.JobFails, Phase.FAILED), (memory.JobIsLost, Phase.ABNORMAL)])
async def test_retries_end(stages: Opened, fake: type[memory.MemoryJobs], phase: Phase) -> None:
    stage = stages(jobs_are=fake)
    job = await ended(stage, retries=2)
    assert (job.phase, job.attempt) == (phase, 3)


async def test_a_bundle_that_cannot_be_unpacked_fails_the_job_at_once(stages: Opened) -> None:
    job = await ended(stages(jobs_are=memory.BundleIsBroken), retries=5)
    assert (job.phase, job.attempt) == (Phase.FAILED, 1)
    assert "bundle" in job.phase_message


async def test_a_preset_that_cannot_be_built_fails_the_job(stages: Opened) -> None:
    job = await ended(stages(images_are=memory.PresetCannotBeBuilt))
    assert job.phase == Phase.FAILED
    assert "disk is full" in job.phase_message


async def test_a_mistake_of_ours_fails_the_job_with_words(stages: Opened) -> None:
    job = await ended(stages(jobs_are=memory.StartHitsABug), retries=3)
    assert (job.phase, job.attempt) == (Phase.FAILED, 1)
    assert "the platform failed" in job.phase_message


async def test_a_machine_that_is_away_is_waited_for(stages: Opened) -> None:
    stage = stages(jobs_are=memory.MachineIsAwayOnce)
    job = await stage.submit()
    with pytest.raises(BackendFailure):
        await stage.settle()
    assert (await stage.jobs.get(ALICE, job.id)).phase == Phase.PENDING
    await stage.settle()
    assert (await stage.jobs.get(ALICE, job.id)).phase == Phase.COMPLETED


async def test_a_bucket_removed_before_the_start_fails_the_job(stages: Opened) -> None:
    stage = stages()
    await stage.storage.make_bucket(ALICE, "results")
    job = await stage.submit(outputs=[{"name": "model", "url": "obs://results/model"}])
    await stage.storage.remove_bucket(ALICE, "results")
    await stage.settle()
    job = await stage.jobs.get(ALICE, job.id)
    assert job.phase == Phase.FAILED
    assert "results" in job.phase_message


async def test_a_running_job_stops_when_asked(stages: Opened) -> None:
    stage = stages(jobs_are=memory.JobNeverEnds)
    job = await stage.submit()
    working = asyncio.create_task(stage.job_work.run())
    await phase_is(stage, job.id, Phase.RUNNING)
    await stage.jobs.stop(ALICE, job.id)
    await phase_is(stage, job.id, Phase.TERMINATED)
    working.cancel()
    await asyncio.wait([working])
    assert stage.world.runs[job.id].state.value == "stopped"
    assert (await stage.happened(job.id))[-3:] == ["StopRequested", "Terminating", "Terminated"]


async def test_a_job_is_stopped_before_it_began(stages: Opened) -> None:
    stage = stages()
    job = await stage.submit()
    await stage.jobs.stop(ALICE, job.id)
    await stage.settle()
    assert (await stage.jobs.get(ALICE, job.id)).phase == Phase.TERMINATED
    assert stage.world.runs == {}


async def test_a_job_that_completed_before_the_stop_came_is_completed(stages: Opened) -> None:
    stage = stages()
    job = await stage.submit()
    for _ in range(2):  # start, and leave it running
        if (await stage.jobs.get(ALICE, job.id)).phase != Phase.RUNNING:
            await stage.job_work.reconcile(job.id)
    stage.world.runs[job.id].state = JobState.COMPLETED
    await stage.jobs.stop(ALICE, job.id)
    await stage.settle()
    assert (await stage.jobs.get(ALICE, job.id)).phase == Phase.COMPLETED


@pytest.mark.both_databases
async def test_deleting_a_running_job_leaves_nothing(stages: Opened) -> None:
    stage = stages(jobs_are=memory.JobNeverEnds)
    job = await stage.submit()
    await stage.job_work.reconcile(job.id)
    await stage.jobs.delete(ALICE, job.id)
    await stage.settle()
    with pytest.raises(NotFound):
        await stage.jobs.get(ALICE, job.id)
    assert stage.world.runs == {}
    assert list((stage.folder / "bundles").glob("*.zst")) == []
    with pytest.raises(NotFound):
        await stage.jobs.bundles.get(ALICE, job.bundle)


async def test_a_bundle_stays_while_another_job_or_owner_needs_it(stages: Opened) -> None:
    stage = stages()
    first, second = await stage.submit(), await stage.submit()
    others = await stage.submit(BOB)
    assert first.bundle == second.bundle == others.bundle
    await delete(stage, first)
    assert await stage.jobs.bundles.get(ALICE, first.bundle)
    await delete(stage, second)
    with pytest.raises(NotFound):
        await stage.jobs.bundles.get(ALICE, first.bundle)
    assert await stage.jobs.bundles.get(BOB, first.bundle)
    await stage.jobs.delete(BOB, others.id)
    await stage.settle()
    assert list((stage.folder / "bundles").glob("*.zst")) == []


async def delete(stage: Stage, job: Job) -> None:
    await stage.jobs.delete(ALICE, job.id)
    await stage.settle()


async def phase_is(stage: Stage, job_id: str, phase: Phase) -> None:
    async with asyncio.timeout(10):
        with stage.broker.subscribe() as changes:
            while (await stage.jobs.get(ALICE, job_id)).phase != phase:
                await changes.wait(10)


async def test_progress_is_told_to_who_listens(stages: Opened) -> None:
    stage = stages()
    job = await stage.submit()
    with stage.broker.subscribe("alice") as mine, stage.broker.subscribe("bob") as others:
        await stage.settle()
        assert ("job", job.id) in mine.take_touches()
        assert others.take_touches() == []


async def test_killed_at_any_line_a_job_still_completes_once(stages: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_mlplat.backends.memory.jobs.CELLS", 1)
    tick, killed = 0, True
    while killed:
        tick += 1
        stage = stages(jobs_are=memory.JobFailsOnce)
        job = await stage.submit(retries=1)
        killed = await stage.settle_killed_at(tick)
        after = await stage.jobs.get(ALICE, job.id)
        assert (after.phase, after.attempt, after.exit_code) == (Phase.COMPLETED, 2, 0), f"killed at {tick}"
        happened = await stage.happened(job.id)
        once = [happened.count(type) for type in ("Retrying", "Completed")]
        assert (once, happened.count("Running")) == ([1, 1], 2), f"killed at {tick}"
    assert tick > 15


@pytest.mark.parametrize("wish", ["stop", "delete"])
async def test_killed_at_any_line_a_stop_and_a_delete_come_to_their_end(stages: Opened, wish: str) -> None:
    tick, killed = 0, True
    while killed:
        tick += 1
        stage = stages(jobs_are=memory.JobNeverEnds)
        job = await stage.submit()
        await stage.job_work.reconcile(job.id)
        await getattr(stage.jobs, wish)(ALICE, job.id)
        killed = await stage.settle_killed_at(tick)
        if wish == "stop":
            assert (await stage.jobs.get(ALICE, job.id)).phase == Phase.TERMINATED, f"killed at {tick}"
            assert stage.world.runs[job.id].state.value == "stopped"
        else:
            assert stage.world.runs == {}, f"killed at {tick}"
            assert list((stage.folder / "bundles").glob("*.zst")) == []
            assert (await stage.happened(job.id)).count("Deleted") == 1
    assert tick > 3


@pytest.mark.both_databases
async def test_uploads_that_came_to_nothing_are_swept_after_a_day(
    stages: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stages()
    job = await stage.submit()
    never = await stage.bundle(files=["never.py"])
    broken_off = stage.folder / "bundles" / ".incoming" / "tmp"
    broken_off.write_bytes(b"half")
    await stage.settle()
    assert await stage.jobs.bundles.get(ALICE, never)
    assert broken_off.exists()
    monkeypatch.setattr(sweep, "KEEP", timedelta(0))
    stage.boot()
    await stage.settle()
    with pytest.raises(NotFound):
        await stage.jobs.bundles.get(ALICE, never)
    assert await stage.jobs.bundles.get(ALICE, job.bundle)
    assert [path.name for path in (stage.folder / "bundles").rglob("*") if path.is_file()] == [
        stage.jobs.bundles.folder.path(job.bundle).name
    ]


class FindsNoPlace(memory.MemoryJobs):
    async def start(self, spec: JobSpec) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint("Waits for a node", event="FailedScheduling")
        await asyncio.Event().wait()


async def test_a_job_that_waits_for_its_place_can_be_stopped(stages: Opened) -> None:
    stage = stages(jobs_are=FindsNoPlace)
    job = await stage.submit()
    starting = asyncio.create_task(stage.job_work.reconcile(job.id))
    async with asyncio.timeout(20):
        while "FailedScheduling" not in await stage.happened(job.id):  # noqa: ASYNC110 it is in the database
            await asyncio.sleep(0.01)
    assert (await stage.jobs.get(ALICE, job.id)).phase_message == "Waits for a node"
    await stage.jobs.stop(ALICE, job.id)
    await stage.job_work.pending()
    await asyncio.wait_for(starting, 20)
    await stage.settle()
    assert (await stage.jobs.get(ALICE, job.id)).phase == Phase.TERMINATED


class LosesItsPlaceOnce(memory.MemoryJobs):
    lost = False

    async def observe(self, job_id: str, attempt: int) -> JobObservation:
        if not self.lost:
            self.lost = True
            return JobObservation(JobState.PENDING, "Waits in the queue, place 1 of 1.")
        return await super().observe(job_id, attempt)


async def test_a_job_that_loses_its_place_waits_and_goes_on(stages: Opened) -> None:
    stage = stages(jobs_are=LosesItsPlaceOnce)
    job = await ended(stage)
    assert (job.phase, job.attempt) == (Phase.COMPLETED, 1)
    told = await stage.happened(job.id)
    assert told.count("Waiting") == 1 and told.count("Running") == 2
