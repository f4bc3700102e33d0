"""Instances and jobs run on the image as it was when it was chosen, whatever is made under its name later."""

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from platform_stage import ALICE, Stage
from sqlalchemy import create_engine

from jupyter_mlplat.backends.memory import JobFailsOnce, MemoryImages, digest_of
from jupyter_mlplat.db.migrate import configuration
from jupyter_mlplat.errors import Conflict
from jupyter_mlplat.images.models import Image, ImageSave, Package
from jupyter_mlplat.instances.models import Instance, InstanceCreate, InstanceSwitch
from jupyter_mlplat.instances.store import InstanceRow
from jupyter_mlplat.jobs.models import Phase
from jupyter_mlplat.jobs.store import JobRow


class PresetsMadeAnew(MemoryImages):
    edition = ("anew",)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def make_presets_anew(stage: Stage) -> Image:
    """As after an upgrade of the platform; the default preset as it is now."""
    before = await stage.preset()
    stage.images_are = PresetsMadeAnew
    stage.boot()
    after = await stage.preset()
    assert before.id == after.id and before.digest != after.digest
    return after


async def restart(stage: Stage, instance: Instance) -> str:
    """Stop and start; the digest that the server runs on."""
    await stage.instances.stop(ALICE, instance.id)
    await stage.settle()
    await stage.instances.start(ALICE, instance.id)
    await stage.settle()
    return stage.world.servers[instance.id].image_digest


async def pinned(stage: Stage, row: type[InstanceRow] | type[JobRow], resource_id: str) -> str | None:
    async with stage.database.read() as session:
        return (await session.get_one(row, resource_id)).image_digest


async def test_an_instance_keeps_its_environment_when_its_preset_is_made_anew(stage: Stage) -> None:
    instance = await stage.running_instance()
    first = stage.world.servers[instance.id].image_digest
    await make_presets_anew(stage)
    assert await restart(stage, instance) == first
    assert first in stage.world.blobs, "what is pinned is not collected"


async def test_the_parent_of_a_save_is_what_the_instance_runs_on(stage: Stage) -> None:
    instance = await stage.running_instance()
    first = stage.world.servers[instance.id].image_digest
    await make_presets_anew(stage)
    stage.world.installed[instance.id] = [Package(name="torch", version="2")]
    saved = await stage.images.save(ALICE, instance.id, ImageSave(name="mine", tag="1"))
    await stage.settle()
    assert (await stage.images.get(ALICE, saved.id)).parent_digest == first


async def test_switching_to_the_same_image_takes_the_new_edition(stage: Stage) -> None:
    instance = await stage.running_instance()
    anew = await make_presets_anew(stage)
    with pytest.raises(Conflict, match="restarts the instance"):
        await stage.instances.switch(ALICE, instance.id, InstanceSwitch(image_id=anew.id))
    await stage.instances.switch(ALICE, instance.id, InstanceSwitch(image_id=anew.id, restart=True))
    await stage.settle()
    assert stage.world.servers[instance.id].image_digest == anew.digest
    await stage.instances.switch(ALICE, instance.id, InstanceSwitch(image_id=anew.id))
    await stage.settle()
    assert stage.world.servers[instance.id].starts == 1, "the same image is no switch"


async def test_a_preset_that_is_not_there_yet_is_pinned_at_the_first_start(stage: Stage) -> None:
    await stage.image_work.pending()
    made = await stage.instances.create(ALICE, InstanceCreate(name="early"))
    assert await pinned(stage, InstanceRow, made.id) is None
    await stage.instance_work.reconcile(made.id)
    assert await pinned(stage, InstanceRow, made.id) == digest_of("python:3.11")
    await make_presets_anew(stage)
    assert await restart(stage, made) == digest_of("python:3.11")


async def test_every_attempt_of_a_job_runs_on_the_image_of_the_first(tmp_path: Path) -> None:
    stage = Stage(tmp_path, jobs_are=JobFailsOnce)
    job = await stage.submit(retries=1)
    assert await pinned(stage, JobRow, job.id) is None, "the preset is not there yet"
    await stage.job_work.reconcile(job.id)
    assert await pinned(stage, JobRow, job.id) == digest_of("python:3.11")
    await make_presets_anew(stage)
    await stage.settle()
    ended = await stage.jobs.get(ALICE, job.id)
    assert (ended.phase, ended.attempt) == (Phase.COMPLETED, 2)
    assert stage.world.runs[job.id].spec.image_digest == digest_of("python:3.11")


async def test_a_job_is_pinned_when_it_is_submitted(stage: Stage) -> None:
    await stage.running_instance()
    job = await stage.submit()
    await make_presets_anew(stage)
    await stage.settle()
    assert stage.world.runs[job.id].spec.image_digest == digest_of("python:3.11")


def test_rows_from_before_are_pinned_to_what_their_image_is(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0004")
    with sqlite3.connect(path) as old:
        for image, digest in (("m-1", "sha256:1"), ("m-2", None)):
            insert(old, "images", id=image, digest=digest, reference=f"here/{image}", origin="PRESET", tag=image)
        for number, image in enumerate(("m-1", "m-2", "m-gone")):
            insert(old, "instances", id=f"i-{number}", name=f"i-{number}", image_id=image)
            insert(old, "jobs", id=f"j-{number}", number=number, image_id=image)
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "head")
    engine.dispose()
    with sqlite3.connect(path) as new:
        for table in ("instances", "jobs"):
            rows = new.execute(f"SELECT image_digest, image_reference FROM {table} ORDER BY id").fetchall()  # noqa: S608
            assert rows == [("sha256:1", "here/m-1"), (None, "here/m-2"), (None, "")]


def insert(database: sqlite3.Connection, table: str, **given: object) -> None:
    """A row that says no more than it must."""
    facts = database.execute(f"PRAGMA table_info({table})").fetchall()
    values = {name: kind_of(kind) for _, name, kind, must, default, _ in facts if must and default is None} | given
    names, marks = ", ".join(values), ", ".join("?" for _ in values)
    database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))  # noqa: S608


def kind_of(column: str) -> object:
    return "2026-01-01 00:00:00" if column == "DATETIME" else "[]" if column == "JSON" else 0 if "INT" in column else ""
