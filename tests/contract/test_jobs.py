"""What every back end keeps of the contract of `JobBackend`."""

import asyncio
from dataclasses import replace

import pytest
from contract_stage import Program, Stage, cut_off, steps

from jupyter_mlplat.backends.base import JobObservation, JobSpec, JobState
from jupyter_mlplat.errors import NotFound

UNDER_WAY = {JobState.PENDING, JobState.RUNNING}
OUTSIDE = ["", ".", "..", "../spec.json", "/etc/hostname", "a\0b", "no/such/file", "../../jobs"]


async def ended(stage: Stage, spec: JobSpec) -> JobObservation:
    async with asyncio.timeout(120):
        while (seen := await stage.jobs.observe(spec.job_id, spec.attempt)).state in UNDER_WAY:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return seen


async def run(stage: Stage, program: Program) -> tuple[JobSpec, JobObservation]:
    """A job from its start to its end."""
    spec = await stage.job(program)
    await steps(stage.jobs.start(spec))
    return spec, await ended(stage, spec)


async def whole_log(stage: Stage, spec: JobSpec) -> bytes:
    return await stage.jobs.read_log(spec.job_id, 0, 0, 1 << 20)


async def speaks(stage: Stage, spec: JobSpec) -> None:
    """Wait for the first line of a job that goes on."""
    async with asyncio.timeout(120):
        while not await stage.jobs.log_size(spec.job_id, 0):
            await stage.jobs.observe(spec.job_id, spec.attempt)
            await asyncio.sleep(0.02)


async def test_a_script_that_completes(stage: Stage) -> None:
    spec, seen = await run(stage, Program.PRINTS)
    assert (seen.state, seen.exit_code) == (JobState.COMPLETED, 0)
    assert seen.finished_at is not None
    assert await stage.jobs.observe(spec.job_id, 1) == seen, "how it ended does not change any more"
    assert await stage.jobs.notebook(spec.job_id) is None


async def test_a_notebook_leaves_itself_metrics_and_files(stage: Stage) -> None:
    spec, seen = await run(stage, Program.NOTEBOOK)
    assert (seen.state, seen.message) == (JobState.COMPLETED, "")
    assert seen.cells_done == seen.cells_total > 0
    points = await stage.jobs.metrics(spec.job_id)
    assert len(points) >= 2 and [point.step for point in points] == sorted(point.step or 0 for point in points)
    assert seen.last_metrics == points[-1].values
    executed = await stage.jobs.notebook(spec.job_id)
    assert executed and executed["cells"]
    assert len(await stage.jobs.files(spec.job_id)) >= 2, "an output and the executed notebook"


async def test_a_script_that_fails_says_its_exit_code(stage: Stage) -> None:
    _, seen = await run(stage, Program.FAILS)
    assert seen.state is JobState.FAILED
    assert seen.exit_code not in (0, None)


async def test_a_job_that_never_was_is_absent_and_has_left_nothing(stage: Stage) -> None:
    jobs, job_id = stage.jobs, "j-never-was"
    assert (await jobs.observe(job_id, 1)).state is JobState.ABSENT
    assert (await jobs.log_size(job_id, 0), await jobs.read_log(job_id, 0, 0, 10)) == (0, b"")
    assert (await jobs.notebook(job_id), await jobs.metrics(job_id), await jobs.files(job_id)) == (None, [], [])
    await jobs.stop(job_id)
    await jobs.delete(job_id)
    assert (await jobs.observe(job_id, 1)).state is JobState.ABSENT


@pytest.mark.parametrize("restarted", [False, True], ids=["at-once", "after-a-restart"])
async def test_a_start_adopts_the_attempt_that_is_there(stage: Stage, restarted: bool) -> None:
    spec = await stage.job(Program.WAITS)
    await steps(stage.jobs.start(spec))
    await speaks(stage, spec)
    log = await whole_log(stage, spec)
    if restarted:
        await stage.reopen()
    await steps(stage.jobs.start(spec))
    assert (await stage.jobs.observe(spec.job_id, 1)).state is JobState.RUNNING
    assert (await whole_log(stage, spec)).startswith(log)


async def test_a_start_of_what_has_ended_does_not_run_it_again(stage: Stage) -> None:
    spec, seen = await run(stage, Program.PRINTS)
    log = await whole_log(stage, spec)
    await stage.reopen()
    await steps(stage.jobs.start(spec))
    assert await stage.jobs.observe(spec.job_id, 1) == seen
    assert await whole_log(stage, spec) == log


@pytest.mark.parametrize("after", [1, 2, 3, 4])
async def test_a_start_cut_off_anywhere_is_gone_on_with_and_runs_once(stage: Stage, after: int) -> None:
    _, whole = await run(stage, Program.PRINTS)
    spec = await stage.job(Program.PRINTS)
    await cut_off(stage.jobs.start(spec), after)
    await stage.reopen()
    await steps(stage.jobs.start(spec))
    seen = await ended(stage, spec)
    assert (seen.state, seen.exit_code) == (whole.state, whole.exit_code)
    log = await whole_log(stage, spec)
    assert log.count(log.splitlines()[-1]) == 1


async def test_a_stop_ends_a_job_and_may_come_again(stage: Stage) -> None:
    spec = await stage.job(Program.WAITS)
    await steps(stage.jobs.start(spec))
    await speaks(stage, spec)
    for _ in range(2):
        await stage.jobs.stop(spec.job_id)
        assert (await stage.jobs.observe(spec.job_id, 1)).state is JobState.STOPPED
    await stage.reopen()
    assert (await stage.jobs.observe(spec.job_id, 1)).state is JobState.STOPPED


async def test_a_stop_changes_nothing_of_what_has_ended(stage: Stage) -> None:
    spec, seen = await run(stage, Program.PRINTS)
    await stage.jobs.stop(spec.job_id)
    assert await stage.jobs.observe(spec.job_id, 1) == seen


async def test_another_attempt_is_a_run_of_its_own(stage: Stage) -> None:
    first, seen = await run(stage, Program.FAILS)
    second = replace(first, attempt=2)
    assert seen.state is JobState.FAILED
    assert (await stage.jobs.observe(first.job_id, 2)).state is JobState.ABSENT
    await steps(stage.jobs.start(second))
    assert (await ended(stage, second)).state is JobState.FAILED
    assert (await stage.jobs.observe(first.job_id, 1)).state is JobState.ABSENT, "the latest attempt is what there is"


@pytest.mark.parametrize("program", [Program.WAITS, Program.NOTEBOOK], ids=["running", "ended"])
async def test_a_delete_leaves_nothing_and_may_come_again(stage: Stage, program: Program) -> None:
    spec = await stage.job(program)
    await steps(stage.jobs.start(spec))
    await (speaks(stage, spec) if program is Program.WAITS else ended(stage, spec))
    for _ in range(2):
        await stage.jobs.delete(spec.job_id)
        assert (await stage.jobs.observe(spec.job_id, 1)).state is JobState.ABSENT
        assert (await stage.jobs.log_size(spec.job_id, 0), await stage.jobs.files(spec.job_id)) == (0, [])


async def test_a_log_is_read_from_any_offset(stage: Stage) -> None:
    spec, _ = await run(stage, Program.PRINTS)
    log = await whole_log(stage, spec)
    size = await stage.jobs.log_size(spec.job_id, 0)
    assert size == len(log) and log.count(b"\n") >= 2
    pieces = [await stage.jobs.read_log(spec.job_id, 0, offset, 5) for offset in range(0, size, 5)]
    assert b"".join(pieces) == log
    assert await stage.jobs.read_log(spec.job_id, 0, size - 2, 100) == log[-2:]
    assert await stage.jobs.read_log(spec.job_id, 0, size, 100) == b""
    assert await stage.jobs.read_log(spec.job_id, 0, size + 1000, 100) == b""


async def test_the_files_that_are_listed_can_be_read_and_no_others(stage: Stage) -> None:
    spec, _ = await run(stage, Program.NOTEBOOK)
    for file in await stage.jobs.files(spec.job_id):
        place = await stage.jobs.open_file(spec.job_id, file.path)
        assert place.stat().st_size == file.size
    for path in OUTSIDE:
        with pytest.raises(NotFound):
            await stage.jobs.open_file(spec.job_id, path)
    with pytest.raises(NotFound):
        await stage.jobs.open_file("j-never-was", "net.pt")
