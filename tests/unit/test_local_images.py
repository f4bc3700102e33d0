"""Images of the local back end: built, saved while in use, started elsewhere, and nothing half done is ever listed."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from local_image_stage import SITE, Place, fill, make_image, save, save_spec

from jupyter_mlplat.backends.imaging import SavedImage
from jupyter_mlplat.backends.local import apart, saving
from jupyter_mlplat.backends.local.images import LocalImages
from jupyter_mlplat.backends.local.saving import ImageWriter, Meter, Recipe
from jupyter_mlplat.core.proc import Process, command_of, rows
from jupyter_mlplat.core.processes import gone
from jupyter_mlplat.errors import Conflict, NoSpace
from jupyter_mlplat.oci.layout import Ingest, Layout


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def digest(place, tmp_path):
    return make_image(place.environments, tmp_path, {"alpha": "1.0", "beta": "2.0"})


async def test_a_saved_image_says_where_it_comes_from(place, digest):
    env = await place.instance(digest)
    fill(env, {"gamma": "3.0"})
    saved, steps = await save(place.images, save_spec(digest))
    manifest = place.layout.manifest(saved.digest)
    config = place.layout.config(manifest)
    assert place.layout.find("alice/mine:1") == saved.digest
    assert [(package.name, package.version) for package in saved.packages][-1] == ("gamma", "3.0")
    assert (await place.images.contents(saved.digest)).packages == saved.packages
    assert (saved.parent_digest, saved.size) == (digest, place.layout.manifest(digest).size + saved.added)
    assert saved.added == manifest.layers[-1].size
    assert len(config.diff_ids) == len(manifest.layers) == len(config.history) == 2
    assert config.author == "alice"
    assert config.labels["org.opencontainers.image.base.digest"] == digest
    assert config.labels["mlplat.instance.id"] == "i-1"
    assert (steps[-1].done, steps[-1].total) == (
        steps[-1].total,
        sum(path.stat().st_size for path in env.rglob("*") if path.is_file() and "gamma" in str(path)),
    )


async def test_a_save_works_after_its_image_s_tree_was_thrown_away(place, digest):
    env = await place.instance(digest)
    place.environments.trees.collect(set())
    saved, _ = await save(place.images, save_spec(digest))
    assert saved.digest == digest
    fill(env, {"gamma": "3.0"})
    assert (await save(place.images, save_spec(digest)))[0].digest != digest


async def test_a_link_that_leads_outside_is_left_out_and_named(place, digest):
    env = await place.instance(digest)
    (env / "share").mkdir()
    (env / "share" / "mine").symlink_to("/etc/hosts")
    saved, steps = await save(place.images, save_spec(digest))
    assert any("share/mine" in step.message for step in steps)
    other = await place.instance(saved.digest, "i-2")
    assert list((other / "share").iterdir()) == []


async def test_an_instance_without_an_environment_is_refused_in_words(place, digest):
    with pytest.raises(Conflict, match="Start it"):
        await save(place.images, save_spec(digest))


def add_random(env: Path, mebibytes: int, name: str = "big.bin") -> None:
    (env / name).write_bytes(os.urandom(mebibytes << 20))


async def test_a_save_cancelled_while_it_is_listed_is_taken_back(place, digest, monkeypatch):
    env = await place.instance(digest)
    fill(env, {"gamma": "3.0"})
    listed = place.layout.entries()
    task = asyncio.ensure_future(save(place.images, save_spec(digest)))
    real, loop = Ingest.commit, asyncio.get_running_loop()

    def commit_and_cancel(self, image, ref):
        real(self, image, ref)
        assert len(place.layout.entries()) > len(listed)
        loop.call_soon_threadsafe(task.cancel)

    monkeypatch.setattr(Ingest, "commit", commit_and_cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert place.layout.entries() == listed
    place.assert_nothing_under_way()


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_a_save_given_up_leaves_nothing(place, digest, how):
    env = await place.instance(digest)
    add_random(env, 300)
    listed = place.layout.entries()
    steps = place.images.save(save_spec(digest))
    while not (step := await anext(steps)).done:
        assert not isinstance(step, SavedImage)
    assert len(workers(place.data)) == 1
    if how == "closed":
        await steps.aclose()
    else:
        task = asyncio.ensure_future(anext(steps))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not workers(place.data)
    place.assert_nothing_under_way()
    assert place.layout.entries() == listed
    assert (await save(place.images, save_spec(digest)))[0].digest != digest


async def test_saves_of_one_instance_wait_for_each_other(place, digest):
    env = await place.instance(digest)
    fill(env, {"gamma": "3.0"})
    first, second = place.images.save(save_spec(digest)), place.images.save(save_spec(digest, tag="2"))
    await anext(first)
    waiting = asyncio.ensure_future(anext(second))
    other = await place.instance(digest, "i-2")
    fill(other, {"delta": "4.0"})
    await save(place.images, save_spec(digest, "i-2", "other"))
    assert not waiting.done(), "the other instance was saved meanwhile, this one waits"
    last = [step async for step in first][-1]
    assert isinstance(last, SavedImage)
    await waiting
    assert [step async for step in second][-1].digest != last.digest


def write(place, digest, env):
    """Save in this very process; the image is listed."""
    recipe = Recipe(env, digest, "alice/mine:1", "mine", "1", "", "alice", datetime.now(UTC))
    with place.layout.ingest() as ingest:
        written = ImageWriter(place.layout, place.environments.trees, ingest).write(recipe, Meter())
        ingest.commit(written.descriptor, recipe.ref)
    return written


async def test_an_environment_that_changes_is_saved_once_it_holds_still(place, digest, monkeypatch):
    env = await place.instance(digest)
    fill(env, {"gamma": "3.0"})
    real = saving.write_layer

    def installing_meanwhile(*arguments, **options):
        written = real(*arguments, **options)
        if not (env / SITE / "delta").exists():
            fill(env, {"delta": "4.0"})
        return written

    monkeypatch.setattr(saving, "write_layer", installing_meanwhile)
    saved = await asyncio.to_thread(write, place, digest, env)
    assert {name for name, _ in saved.packages} >= {"gamma", "delta"}
    other = await place.instance(saved.digest, "i-2")
    assert (other / SITE / "delta" / "fast.so").exists()


async def test_an_environment_that_never_holds_still_is_not_saved(place, digest, monkeypatch):
    env = await place.instance(digest)
    fill(env, {"gamma": "3.0"})
    real = saving.write_layer
    count = iter(range(100))

    def always_installing(*arguments, **options):
        (env / f"new-{next(count)}").touch()
        return real(*arguments, **options)

    monkeypatch.setattr(saving, "write_layer", always_installing)
    monkeypatch.setattr(saving, "_QUIET_SECONDS", 0.001)
    with pytest.raises(Conflict, match="keeps changing"):
        await asyncio.to_thread(write, place, digest, env)
    place.assert_nothing_under_way()
    assert place.layout.find("alice/mine:1") is None


async def test_a_full_disk_fails_the_save_in_words_and_leaves_nothing(place, digest, small_disk):
    env = await place.instance(digest)
    for number in range(4):
        add_random(env, 2, f"big-{number}.bin")
    shutil.copytree(place.layout.root, small_disk / "images")
    full = Place(small_disk)
    full.layout = full.environments.layout = Layout(small_disk / "images")
    full.images = LocalImages(place.data, full.environments, ())
    full.environments.trees = place.environments.trees
    with pytest.raises(NoSpace, match="The disk is full"):
        await save(full.images, save_spec(digest))
    full.assert_nothing_under_way()
    assert full.layout.find("alice/mine:1") is None
    for number in range(4):
        (env / f"big-{number}.bin").unlink()
    fill(env, {"gamma": "3.0"})
    saved, _ = await save(full.images, save_spec(digest))
    assert full.layout.find("alice/mine:1") == saved.digest


KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from local_image_stage import save_spec
from jupyter_mlplat.backends.local.environments import Environments
from jupyter_mlplat.backends.local.images import LocalImages
async def main():
    images = LocalImages(Path(sys.argv[1]), Environments(Path(sys.argv[1]), background=False), ())
    async for step in images.save(save_spec(sys.argv[2])):
        if 0 < step.done < step.total:
            print("half way", flush=True)
asyncio.run(main())
"""


def workers(data: Path) -> set[Process]:
    """The processes that work on the images of a data folder."""
    found = ((row.process, command_of(row.process.pid)) for row in rows())
    return {process for process, words in found if apart.WORKER in words and str(data) in words[-1]}


async def test_a_save_killed_half_way_lists_nothing_and_is_collected(place, digest):
    env = await place.instance(digest)
    add_random(env, 300)
    listed, blobs = place.layout.entries(), set(place.layout.blobs.iterdir())

    def kill_half_way():
        command = [sys.executable, "-c", KILLED, str(place.data), digest, str(Path(__file__).parent)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"half way\n"
            working = workers(place.data)
            os.kill(process.pid, signal.SIGKILL)
        return working

    working = await asyncio.to_thread(kill_half_way)
    assert len(working) == 1 and await gone(working, 10), "what worked for the platform ended with it"
    assert place.layout.entries() == listed
    assert len(list((place.layout.root / "ingest").iterdir())) == 1
    assert await place.images.collect({digest}) > 0
    place.assert_nothing_under_way()
    assert set(place.layout.blobs.iterdir()) == blobs
    assert (await save(place.images, save_spec(digest)))[0].digest != digest
