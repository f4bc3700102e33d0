"""Images of the local back end: built, saved while in use, started elsewhere, and nothing half done is ever listed."""

import asyncio
import ensurepip
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from local_image_stage import SITE, catalog_of, contents, fill, make_image, save, save_spec
from pydantic import TypeAdapter

from jupyter_mlplat.backends.base import SavedImage
from jupyter_mlplat.backends.local import apart, presets, saving
from jupyter_mlplat.backends.local.environments import Environments
from jupyter_mlplat.backends.local.images import LocalImages
from jupyter_mlplat.backends.local.saving import ImageWriter, Meter, Recipe
from jupyter_mlplat.core.proc import Process, command_of, rows
from jupyter_mlplat.core.processes import gone
from jupyter_mlplat.environments.pip_settings import environment_settings, parse_settings, uv_options
from jupyter_mlplat.errors import BackendFailure, Conflict, InvalidInput, NoSpace
from jupyter_mlplat.images.models import ImageName, ImageTag
from jupyter_mlplat.oci.layout import Ingest, Layout

GREETER = {
    "greeter.py": "import sys\ndef main():\n    print('hello from', sys.prefix)\n",
    "greeter-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n",
    "greeter-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "greeter-1.0.dist-info/entry_points.txt": "[console_scripts]\ngreet = greeter:main\n",
    "greeter-1.0.dist-info/RECORD": "",
}


async def run(*command: str | Path) -> str:
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Place:
    """A data folder with instances that are made from images."""

    def __init__(self, folder: Path, catalog: tuple[presets.Preset, ...] = ()) -> None:
        self.data = folder / "data"
        self.environments = Environments(self.data, background=False)
        self.images = LocalImages(self.data, self.environments, catalog)
        self.layout: Layout = self.environments.layout

    async def instance(self, digest: str, instance_id: str = "i-1") -> Path:
        env = self.data / "instances" / instance_id / "env"
        await self.environments.clone(digest, env)
        return env

    def assert_nothing_under_way(self) -> None:
        assert list((self.layout.root / "ingest").iterdir()) == []


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def digest(place, tmp_path):
    return make_image(place.environments, tmp_path, {"alpha": "1.0", "beta": "2.0"})


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """pip and a small package with a script, where pip's configuration says; nothing else can be had."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "greeter-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in GREETER.items():
            wheel.writestr(name, content)
    (pip,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    shutil.copy(pip, folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


async def test_an_installed_script_runs_wherever_the_saved_image_is_started(wheels, tmp_path):
    place = Place(tmp_path, catalog_of(tmp_path / "catalog", "pip"))
    (tiny,) = place.images._presets
    steps = [step async for step in place.images.prepare(tiny.ref)]
    assert any(step.message.startswith("Installed") for step in steps)
    (preset,) = await place.images.presets()
    assert preset.digest is not None
    assert [package.name for package in (await place.images.contents(preset.digest)).packages] == ["pip"]
    before = contents(place.environments.trees.environment(preset.digest))

    env = await place.instance(preset.digest)
    await run(env / "bin/pip", "install", "greeter")
    assert (env / "bin/greet").read_bytes().startswith(f"#!{env}/bin/python".encode())
    saved, _ = await save(place.images, save_spec(preset.digest))
    again, _ = await save(place.images, save_spec(preset.digest, tag="2"))
    assert place.layout.manifest(saved.digest).layers == place.layout.manifest(again.digest).layers
    assert contents(place.environments.trees.environment(preset.digest)) == before
    assert (env / "bin/greet").read_bytes().startswith(b"#!/"), "saving changes nothing in the instance"

    shutil.copytree(place.layout.root, tmp_path / "elsewhere" / "data" / "images")
    await place.environments.remove(env)
    elsewhere = Place(tmp_path / "elsewhere")
    started = await elsewhere.instance(saved.digest)
    assert await run(started / "bin/greet") == f"hello from {started}\n"
    assert [package.name for package in saved.packages] == ["greeter", "pip"]
    unchanged, _ = await save(elsewhere.images, save_spec(saved.digest))
    assert (unchanged.digest, unchanged.parent_digest, unchanged.added) == (saved.digest, saved.digest, 0)

    await run(started / "bin/pip", "uninstall", "--yes", "greeter")
    without, _ = await save(elsewhere.images, save_spec(saved.digest, name="without"))
    last = await elsewhere.instance(without.digest, "i-2")
    assert not (last / "bin/greet").exists()
    assert [package.name for package in without.packages] == ["pip"]


async def test_a_preset_is_built_once_and_its_tree_is_that_of_its_layers(wheels, tmp_path):
    place = Place(tmp_path, catalog_of(tmp_path / "catalog", "greeter"))
    (tiny,) = place.images._presets

    async def prepare():
        return [step.message async for step in place.images.prepare(tiny.ref)]

    told = await asyncio.gather(prepare(), prepare())
    assert sum("Building" in message for steps in told for message in steps) == 1
    (preset,) = await place.images.presets()
    shutil.copytree(place.layout.root, tmp_path / "elsewhere" / "data" / "images")
    elsewhere = Place(tmp_path / "elsewhere")
    await elsewhere.environments.prepare(preset.digest)
    adopted, unpacked = (each.environments.trees.environment(preset.digest) for each in (place, elsewhere))
    files = [contents(environment) for environment in (adopted, unpacked)]
    made_afresh = [each.pop("pyvenv.cfg")[-1] for each in files]
    assert files[0] == files[1] and made_afresh[0] == made_afresh[1]
    assert not [path for path in (tmp_path / "data" / "trees").iterdir() if path.name.startswith("build-")]


async def test_a_preset_that_cannot_be_built_says_why_and_leaves_nothing(wheels, tmp_path):
    place = Place(tmp_path, catalog_of(tmp_path / "catalog", "no-such-package-at-all"))
    (tiny,) = place.images._presets
    with pytest.raises(BackendFailure, match="no-such-package-at-all"):
        _ = [step async for step in place.images.prepare(tiny.ref)]
    assert (await place.images.presets())[0].digest is None
    assert not list((place.data / "trees").glob("build-*"))


def test_the_catalogue_that_comes_with_the_package_is_sound():
    catalog = presets.load(presets.catalog_folder())
    for preset in catalog:
        TypeAdapter(ImageName).validate_python(preset.name)
        TypeAdapter(ImageTag).validate_python(preset.tag)
        assert "pip" in preset.requirements.read_text().split()
    assert [preset.name for preset in catalog] == ["python", "pytorch", "tensorflow", "mindspore"]
    assert [preset.name for preset in catalog if preset.default] == ["python"]


def test_a_preset_of_the_catalogue_may_end(tmp_path):
    catalog_of(tmp_path / "a")
    entry = (tmp_path / "a/catalog.toml").read_text()
    (tmp_path / "a/catalog.toml").write_text(f'{entry}retires = 2027-01-31\ninstead = "python:3.13"\n')
    (preset,) = presets.load(tmp_path / "a")
    assert (preset.retires_on, preset.instead) == (date(2027, 1, 31), "python:3.13")
    (tmp_path / "a/catalog.toml").write_text(f'{entry}retires = "2027-01-31"\n')
    with pytest.raises(InvalidInput, match="as a day, such as 2027-01-31, without quotes"):
        presets.load(tmp_path / "a")


def test_pip_s_settings_in_uv_s_words(tmp_path):
    listing = (
        "global.find-links='/old'\nglobal.index-url='https://index/simple'\n"
        "install.extra-index-url='\\nfile:///a\\nfile:///b'\n:env:.find-links='/wheels /more'\nglobal.cert='/cert'\n"
    )
    options = uv_options(parse_settings(listing), None)
    assert options[2:] == [
        *("--default-index", "https://index/simple", "--index", "file:///a", "--index", "file:///b"),
        *("--find-links", "/wheels", "--find-links", "/more"),
    ]
    assert uv_options(environment_settings({"PIP_NO_INDEX": "1", "HOME": "/"}), None)[2:] == ["--no-index"]
    assert uv_options({}, "cpu")[2:] == ["--torch-backend", "cpu"]
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl").touch()
    assert "--torch-backend" not in uv_options({"find-links": str(tmp_path)}, "cpu")


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
