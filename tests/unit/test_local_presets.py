"""Presets of the local back end: built once, listed as their catalogue says, and good after they moved."""

import asyncio
import ensurepip
import shutil
import subprocess
import zipfile
from datetime import date
from pathlib import Path

import pytest
from local_image_stage import Place, catalog_of, contents, save, save_spec
from pydantic import TypeAdapter

from jupyter_mlplat.backends.local import presets
from jupyter_mlplat.environments.pip_settings import environment_settings, parse_settings, uv_options
from jupyter_mlplat.errors import BackendFailure, InvalidInput
from jupyter_mlplat.images.models import ImageName, ImageTag

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
    assert [preset.name for preset in presets.of_this_machine(catalog)] == [
        "python",
        "pytorch",
        "tensorflow",
        "mindspore",
    ]
    assert len({preset.ref for preset in catalog}) == len({preset.key for preset in catalog}) == len(catalog)
    assert {preset.key for preset in catalog if preset.on_request} == {
        "pytorch-cuda", "mindspore-ascend", "conda-only",
    }  # fmt: skip
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
