"""Environments inside an instance are kept in its image, and good wherever that is used."""

import asyncio
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conda_channel import greeting_package, make_channel, python_package
from local_image_stage import make_image
from wheels import make_wheel

from jupyter_mlplat.backends.local.environments import Environments
from jupyter_mlplat.backends.local.moving import PREFIX
from jupyter_mlplat.backends.local.plan import make_plan
from jupyter_mlplat.backends.local.saving import ImageWriter, Meter, Recipe
from jupyter_mlplat.backends.local.trees import origin_of
from jupyter_mlplat.environments.making import clone, create
from jupyter_mlplat.environments.places import Facts, making
from jupyter_mlplat.runner.kernel import installed_kernels


@pytest.fixture
def environments(tmp_path):
    return Environments(tmp_path / "data", background=False)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A channel and wheels: the address of one, the folder of the others."""
    folder = tmp_path_factory.mktemp("packages")
    make_wheel(folder / "wheels", "ipykernel", "7.0")
    make_wheel(folder / "wheels", "alpha", "1.0", script=True)
    return make_channel(folder / "channel", python_package(), greeting_package()), folder / "wheels"


@pytest.fixture
async def instance(environments, packages, tmp_path, monkeypatch):
    """An instance's environment with two inside it: `pure` of pip, `sky` of conda."""
    channel, wheels = packages
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    target = tmp_path / "instances" / "one" / "env"
    await environments.clone(make_image(environments, tmp_path, {"delta": "1.0"}), target)
    (tmp_path / "requirements.txt").write_text("alpha\n")
    (tmp_path / "sky.yml").write_text(f"channels: [{channel}]\ndependencies: [python, greeting, pip: [alpha]]\n")
    for name, file in {"pure": "requirements.txt", "sky": "sky.yml"}.items():
        await asyncio.to_thread(create, target, name, tmp_path / file, file, lambda _: None)
    return target


def save(environments, environment: Path, ref: str = "mine:1") -> str:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    parent, _ = origin_of(environment)
    recipe = Recipe(environment, parent, ref, *ref.split(":"), description="", author="test", created=when)
    with environments.layout.ingest() as ingest:
        written = ImageWriter(environments.layout, environments.trees, ingest).write(recipe, Meter())
        ingest.commit(written.descriptor, ref)
    return written.digest


def said_by(*command) -> str:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout.strip()


async def test_an_instance_of_a_saved_image_has_them(environments, instance, tmp_path):
    digest = save(environments, instance)
    other = tmp_path / "instances" / "a longer name than the first" / "env"
    await environments.clone(digest, other)
    kernels = installed_kernels(other)
    assert {"pure", "sky"} <= set(kernels)
    for name in ("pure", "sky"):
        folder = other / "envs" / name
        assert said_by(kernels[name][0], "-c", "import sys; print(sys.prefix)") == str(folder)
        assert said_by(folder / "bin/alpha") == f"1.0 {folder}"
    assert said_by(other / "envs/sky/bin/greet") == str(other / "envs/sky")
    there = (instance / "envs/sky/share/greeting/place.bin").read_bytes()
    place = (other / "envs/sky/share/greeting/place.bin").read_bytes()
    assert place.startswith(b"\0\1" + os.fsencode(other / "envs/sky") + b"/share\0")
    assert place.endswith(b"\0\xff after \0")
    assert len(place) == len(there)


async def test_an_image_holds_no_path_of_the_instance(environments, instance):
    digest = save(environments, instance)
    await environments.prepare(digest)
    tree = environments.trees.environment(digest)
    telling = [
        str(path.relative_to(tree))
        for path in tree.rglob("*")
        if path.is_file() and not path.is_symlink() and os.fsencode(instance) in path.read_bytes()
    ]
    assert telling == []
    assert (tree / "envs/sky/lib/python3.11/site-packages/greeting.py").read_text() == (
        f"PLACE = '/{PREFIX}/envs/sky'\n"
    )


async def test_what_was_not_touched_is_not_saved_again(environments, instance, tmp_path):
    digest = save(environments, instance)
    other = tmp_path / "instances" / "two" / "env"
    await environments.clone(digest, other)
    source = Recipe(other, digest, "x:1", "x", "1", "", "test", datetime(2026, 1, 1, tzinfo=UTC))
    assert not make_plan(environments.trees, source).changes
    clone(other, "third", "sky", lambda _: None)
    changed = make_plan(environments.trees, source).changes.changed
    assert all(path == "envs" or path.startswith(("envs/third", "share/jupyter/kernels/third")) for path in changed)


async def test_one_that_is_being_made_stays_out_of_an_image(environments, instance):
    parent, _ = origin_of(instance)
    source = Recipe(instance, parent, "x:1", "x", "1", "", "t", datetime(2026, 1, 1, tzinfo=UTC))
    with making(instance, "half", Facts.now("x")) as folder:
        (folder / "bin").mkdir()
        plan = make_plan(environments.trees, source)
    assert not [path for path in plan.result.entries if "half" in path]
    assert ("envs/.half.partial", "an environment that is being made or removed") in [
        (each.path, each.reason) for each, _ in plan.left_out
    ]
