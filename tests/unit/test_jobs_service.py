"""What people may ask of jobs and bundles, and how they are refused."""

import asyncio
import io
import json
import tarfile
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import zstandard
from platform_stage import ADMIN, ALICE, BOB, Stage, pieces

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.backends.memory import MemoryJobs
from jupyter_mlplat.errors import (
    Conflict,
    InUse,
    InvalidInput,
    MlplatError,
    NotAllowed,
    NotFound,
    QuotaExceeded,
    SoldOut,
    TooLarge,
)
from jupyter_mlplat.images.models import ImageSave, Package
from jupyter_mlplat.jobs import reconcile, results
from jupyter_mlplat.jobs.models import JobCreate, JobFilter, Kind, Phase
from jupyter_mlplat.jobs.service import kind_of
from jupyter_mlplat.quotas import service as quotas
from jupyter_mlplat.testing.postgresql import FreshDatabase

HERS = Actor("alice", instance_id="i-hers")

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "WATCH_SECONDS", 0.001)


@pytest.fixture
async def stage(tmp_path: Path, fresh_database: FreshDatabase) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, fresh_database(tmp_path))
    yield stage
    await stage.database.close()


async def test_a_job_tells_where_its_log_goes(stage: Stage) -> None:
    job = await stage.submit(logs="obs://data/logs")
    assert job.logs == "obs://data/logs"
    assert (await stage.jobs.get(ALICE, job.id)).logs == "obs://data/logs"


async def test_a_submitted_job_is_there_at_once(stage: Stage) -> None:
    job = await stage.submit(HERS, parameters={"epochs": 3, "name": "a", "fast": True, "rate": 0.1})
    assert (job.number, job.phase, job.kind, job.owner) == (1, Phase.CREATING, Kind.NOTEBOOK, "alice")
    assert (job.image_name, job.flavor, job.instance_id) == ("python:3.11", "cpu.1u2g", "i-hers")
    assert job.parameters == {"epochs": 3, "name": "a", "fast": True, "rate": 0.1}
    assert (job.progress.total, job.duration) == (0, None)
    (record,) = [one for one in await stage.audited() if one.action == "job:create"]
    assert (record.resource_id, record.resource_name, record.via) == (job.id, "train #1", "instance")
    assert await stage.happened(job.id) == ["Created"]


async def test_numbers_count_each_owners_jobs(stage: Stage) -> None:
    assert [(await stage.submit()).number for _ in range(2)] == [1, 2]
    assert (await stage.submit(BOB)).number == 1
    job = await stage.submit()
    await stage.jobs.delete(ALICE, job.id)
    await stage.settle()
    assert (await stage.submit()).number == 4


async def test_jobs_submitted_at_once_get_numbers_of_their_own(stage: Stage) -> None:
    await stage.preset()
    await stage.bundle()
    jobs = await asyncio.gather(*(stage.submit() for _ in range(3)))
    assert sorted(job.number for job in jobs) == [1, 2, 3]


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"entry": "none.ipynb"}, InvalidInput, "does not hold"),
        ({"entry": "train.txt"}, InvalidInput, "neither"),
        ({"entry": "../train.py"}, InvalidInput, "no path inside"),
        ({"entry": "/train.py"}, InvalidInput, "no path inside"),
        ({"entry": "a\0.py"}, InvalidInput, "no path inside"),
        ({"nodes": 2}, InvalidInput, "one node"),
        ({"parameters": {"rate": float("nan")}}, InvalidInput, "no number"),
        ({"parameters": {"text": "x" * 70_000}}, InvalidInput, "bytes"),
        ({"image_id": "m-none"}, InvalidInput, "no image"),
        ({"flavor": "cpu.1000u"}, InvalidInput, "no flavor"),
        ({"flavor": "cpu.8u32g"}, SoldOut, "4 cores"),
        ({"flavor": "gpu.1.8u32g"}, SoldOut, "no accelerator"),
        ({"bundle": "sha256:" + "0" * 64}, NotFound, "Upload it first"),
        ({"inputs": [{"name": "digits", "url": "obs://data/none"}]}, InvalidInput, "nothing at obs://data/none"),
        ({"inputs": [{"name": "digits", "url": "obs://none/x"}]}, NotFound, "no bucket"),
        ({"outputs": [{"name": "model", "url": "obs://data/../../x"}]}, InvalidInput, "no key"),
        ({"outputs": [{"name": "a", "url": "obs://data/x"}] * 2}, InvalidInput, "same name"),
    ],
)
async def test_what_cannot_run_is_refused_with_words(
    stage: Stage, fields: dict[str, object], error: type[MlplatError], words: str
) -> None:
    with pytest.raises(error, match=words):
        await stage.submit(**fields)
    assert (await stage.jobs.find(ALICE, JobFilter())).total == 0


@pytest.mark.parametrize(("entry", "kind"), [("a.ipynb", "notebook"), ("b/a.py", "python"), ("run.sh", "shell")])
def test_the_suffix_tells_the_kind(entry: str, kind: str) -> None:
    assert kind_of(entry) == kind


async def test_channels_lead_to_the_owners_folders(stage: Stage) -> None:
    await stage.storage.put(ALICE, "data/digits/one.csv", pieces(b"1"))
    job = await stage.submit(
        inputs=[{"name": "digits", "url": "obs://data/digits/"}], outputs=[{"name": "model", "url": "s3://data/out"}]
    )
    await stage.settle()
    spec = stage.world.runs[job.id].spec
    root = stage.folder / "storage" / "alice" / "data"
    assert (spec.inputs, spec.outputs) == ((("digits", str(root / "digits")),), (("model", str(root / "out")),))
    assert spec.bundle.is_file()


async def test_somebody_elses_bundle_does_not_exist(stage: Stage) -> None:
    digest = await stage.bundle(ALICE)
    with pytest.raises(NotFound):
        await stage.jobs.bundles.get(BOB, digest)
    await stage.preset()
    with pytest.raises(NotFound):
        await stage.jobs.submit(BOB, JobCreate(name="train", bundle=digest, entry="train.ipynb"))


async def test_a_bundle_must_be_what_its_digest_says(stage: Stage) -> None:
    with pytest.raises(InvalidInput, match="digest"):
        await stage.jobs.bundles.put(ALICE, "sha256:" + "0" * 64, pieces(b"something"))
    assert [path for path in (stage.folder / "bundles").rglob("*") if path.is_file()] == []


async def test_a_bundle_over_the_limit_is_refused_while_it_comes(stage: Stage) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1000
            yield b"0" * 1000

    with pytest.raises(TooLarge):
        await stage.jobs.bundles.put(ALICE, "sha256:" + "0" * 64, endless())
    assert taken <= stage.settings.bundle_bytes + 1000
    assert [path for path in (stage.folder / "bundles").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("data", [b"", b"no zstd at all", zstandard.compress(b"no tar" * 1000), b"\x28\xb5\x2f\xfd"])
async def test_a_damaged_bundle_is_told_at_submit(stage: Stage, data: bytes) -> None:
    digest = "sha256:" + sha256(data).hexdigest()
    await stage.jobs.bundles.put(ALICE, digest, pieces(data))
    with pytest.raises(InvalidInput, match="bundle"):
        await stage.submit(bundle=digest)


async def test_a_bomb_is_not_unpacked_to_find_the_entry(stage: Stage) -> None:
    packed = io.BytesIO()
    compressor = zstandard.ZstdCompressor().stream_writer(packed, closefd=False)
    with compressor, tarfile.open(fileobj=compressor, mode="w|") as archive:
        header = tarfile.TarInfo("zeros")
        header.size = 1 << 30
        archive.addfile(header, Zeros())
    data = packed.getvalue()
    digest = "sha256:" + sha256(data).hexdigest()
    await stage.jobs.bundles.put(ALICE, digest, pieces(data, 10_000))
    assert (await stage.submit(bundle=digest)).phase == Phase.CREATING


class Zeros(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        return bytes(size)


async def test_the_quota_counts_what_has_not_ended(stage: Stage) -> None:
    jobs = [await stage.submit() for _ in range(3)]
    with pytest.raises(QuotaExceeded):
        await stage.submit()
    assert [(one.noun, one.used, one.limit) for one in await quotas.usage(ALICE, stage.database, stage.settings)] == [
        ("instance", 0, 3), ("job", 3, 3)
    ]  # fmt: skip
    await stage.jobs.stop(ALICE, jobs[0].id)
    await stage.settle()
    assert (await stage.submit()).number == 4


async def test_a_rerun_is_a_new_job_of_the_same(stage: Stage) -> None:
    job = await stage.submit(parameters={"epochs": 3}, retries=2, environment={"A": "b"}, description="first")
    await stage.settle()
    again = await stage.jobs.rerun(ALICE, job.id)
    same = {"name", "description", "bundle", "entry", "image_id", "flavor", "parameters", "environment", "retries"}
    assert again.model_dump(include=same) == job.model_dump(include=same)
    assert (again.number, again.phase, again.attempt) == (2, Phase.CREATING, 1)
    await stage.settle()
    assert (await stage.jobs.get(ALICE, again.id)).phase == Phase.COMPLETED


async def test_only_what_runs_can_be_stopped(stage: Stage) -> None:
    job = await stage.submit()
    await stage.jobs.stop(ALICE, job.id)
    with pytest.raises(Conflict):
        await stage.jobs.stop(ALICE, job.id)
    await stage.settle()
    with pytest.raises(Conflict, match="Terminated"):
        await stage.jobs.stop(ALICE, job.id)


async def test_another_users_job_does_not_exist(stage: Stage) -> None:
    job = await stage.submit()
    for attempt in (
        stage.jobs.get(BOB, job.id),
        stage.jobs.stop(BOB, job.id),
        stage.jobs.delete(BOB, job.id),
        stage.jobs.rerun(BOB, job.id),
        stage.jobs.events(BOB, job.id, 10, 0),
        stage.jobs.results.log(BOB, job.id, 0, 0, False),
        stage.jobs.results.files(BOB, job.id),
        stage.jobs.results.open_file(BOB, job.id, "model/weights.bin"),
        stage.jobs.results.archive(BOB, job.id),
        stage.jobs.results.metrics(BOB, job.id),
        stage.jobs.results.notebook(BOB, job.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await stage.jobs.find(BOB, JobFilter())).total == 0
    assert (await stage.jobs.get(ALICE, job.id)).phase == Phase.CREATING


async def test_an_administrator_sees_and_stops_but_does_not_submit_for_others(stage: Stage) -> None:
    job = await stage.submit()
    assert (await stage.jobs.find(ADMIN, JobFilter())).total == 1
    with pytest.raises(NotAllowed):
        await stage.jobs.rerun(ADMIN, job.id)
    await stage.jobs.stop(ADMIN, job.id)


async def test_an_image_that_a_job_needs_cannot_be_deleted(stage: Stage) -> None:
    instance = await stage.running_instance()
    stage.world.installed[instance.id] = [Package(name="einops", version="0.8")]
    image = await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    await stage.settle()
    job = await stage.submit(image_id=image.id)
    with pytest.raises(InUse, match="train #1"):
        await stage.images.delete(ALICE, image.id)
    await stage.settle()
    assert stage.world.runs[job.id].spec.image_digest == (await stage.images.get(ALICE, image.id)).digest
    await stage.images.delete(ALICE, image.id)
    with pytest.raises(InvalidInput, match="no image"):
        await stage.jobs.rerun(ALICE, job.id)


async def test_filters_and_pages(stage: Stage) -> None:
    for name in ("alpha", "beta", "alphabet"):
        await stage.submit(name=name)
    names = [job.name for job in (await stage.jobs.find(ALICE, JobFilter(name="alpha", sort_dir="asc"))).data]
    assert names == ["alpha", "alphabet"]
    page = await stage.jobs.find(ALICE, JobFilter(sort_key="number", sort_dir="asc", limit=2, offset=2))
    assert ([job.number for job in page.data], page.total, page.pages, page.current) == ([3], 3, 2, 1)
    await stage.settle()
    assert (await stage.jobs.find(ALICE, JobFilter(phase=Phase.COMPLETED))).total == 3
    assert (await stage.jobs.find(ALICE, JobFilter(phase=Phase.FAILED))).total == 0


async def test_the_log_is_read_from_an_offset_and_followed_to_the_end(stage: Stage) -> None:
    job = await stage.submit()
    following = asyncio.create_task(all_of(stage, job.id, follow=True))
    await stage.settle()
    assert await following == b"cell 1\ncell 2\ncell 3\n"
    log = await stage.jobs.results.log(ALICE, job.id, 0, 7, False)
    assert (log.size, b"".join([piece async for piece in log.pieces])) == (21, b"cell 2\ncell 3\n")
    beyond = await stage.jobs.results.log(ALICE, job.id, 0, 1000, False)
    assert [piece async for piece in beyond.pieces] == []
    with pytest.raises(InvalidInput, match="no node 1"):
        await stage.jobs.results.log(ALICE, job.id, 1, 0, False)


async def all_of(stage: Stage, job_id: str, follow: bool) -> bytes:
    log = await stage.jobs.results.log(ALICE, job_id, 0, 0, follow)
    return b"".join([piece async for piece in log.pieces])


async def test_results_are_told_in_words_before_there_are_any(stage: Stage) -> None:
    job, script = await stage.submit(), await stage.submit(entry="train.py")
    with pytest.raises(NotFound, match="not run a cell yet"):
        await stage.jobs.results.notebook(ALICE, job.id)
    await stage.settle()
    assert len(json.loads(await stage.jobs.results.notebook(ALICE, job.id))["cells"]) == 3
    with pytest.raises(NotFound, match="script"):
        await stage.jobs.results.notebook(ALICE, script.id)
    assert len(await stage.jobs.results.metrics(ALICE, job.id)) == 3


async def test_a_notebook_with_nan_in_an_output_can_be_read_by_all(stage: Stage) -> None:
    class LeavesNan(MemoryJobs):
        async def notebook(self, job_id: str) -> dict[str, Any] | None:
            return {"cells": [{"outputs": [{"data": {"x": [float("nan"), 1.5, float("-inf")], "t": "\ud800"}}]}]}

    stage.jobs_are = LeavesNan
    stage.boot()
    job = await stage.submit()
    found = json.loads(await stage.jobs.results.notebook(ALICE, job.id), parse_constant=pytest.fail)
    assert found["cells"][0]["outputs"][0]["data"] == {"x": [None, 1.5, None], "t": "\ud800"}


async def test_all_that_a_job_left_comes_as_one_archive(stage: Stage) -> None:
    job = await stage.submit()
    await stage.settle()
    name, packed = await stage.jobs.results.archive(ALICE, job.id)
    data = b"".join([piece async for piece in packed])
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        contents = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    assert name == "train-1.tar.gz"
    assert contents == {"model/weights.bin": b"model/weights.bin", "executed.ipynb": b"executed.ipynb"}


async def test_an_archive_that_nobody_reads_on_ends(stage: Stage, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(sha256(b"").digest() * 200_000)
    packing = results._packed([("big", big)] * 20)
    assert await anext(packing)
    await packing.aclose()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
