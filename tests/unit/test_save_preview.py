"""What the preview of a save says is what the image holds afterwards, and nothing else."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_image_stage import SITE, fill, make_image, save, save_spec

from jupyter_mlplat.backends.local.environments import Environments
from jupyter_mlplat.backends.local.images import LocalImages
from jupyter_mlplat.backends.local.moving import PREFIX
from jupyter_mlplat.backends.local.plan import make_plan, summary
from jupyter_mlplat.backends.local.saving import ImageWriter, Meter, Recipe
from jupyter_mlplat.backends.local.snapshot import take
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.oci.biggest import biggest
from jupyter_mlplat.oci.left_out import EXCLUDED, SECRET

NAMES = ["a", "b", "c.bin"]
FILE = st.binary(max_size=4)
TREES = st.recursive(FILE, lambda below: st.dictionaries(st.sampled_from(NAMES), below, max_size=3), max_leaves=8)
FOLDERS = st.dictionaries(st.sampled_from(NAMES), TREES, max_size=3)
Tree = Mapping[str, "Tree | bytes"]
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    environments: Environments
    images: LocalImages
    data: Path


def lay(folder: Path, tree: Tree) -> None:
    for name, content in tree.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            (folder / name).mkdir()
            lay(folder / name, content)


def seen(folder: Path) -> dict[str, bytes | None]:
    """All below the folder `tree` of an environment: bytes of files, None for folders."""
    root = folder / "tree"
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))
    }


def expected(
    old: Mapping[str, bytes | None], new: Mapping[str, bytes | None], out: list[str]
) -> dict[str, bytes | None]:
    """`new`, but as in `old` at and below the paths that are left out, as far as their folders are still folders."""

    def is_out(path: str) -> bool:
        return any(path == each or path.startswith(f"{each}/") for each in out)

    result = {path: content for path, content in new.items() if not is_out(path)}
    for path, content in old.items():
        above = [str(each) for each in Path(path).parents][:-1]
        if is_out(path) and all(result.get(each) is None for each in above):
            result |= dict.fromkeys(above) | {path: content}
    return dict(sorted(result.items()))


@given(FOLDERS, FOLDERS, st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join), max_size=3))
@settings(max_examples=60, deadline=None)
def test_what_is_said_goes_in_and_what_is_left_out_stays_as_it_was(old: Tree, new: Tree, out: list[str]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        environments = Environments(folder / "data", background=False)
        base = folder / "base"
        (base / "tree").mkdir(parents=True)
        lay(base / "tree", old)
        parent = write(environments, Recipe(base, None, "base:1", "base", "1", "", "test", WHEN))
        environment = folder / "env"
        environments.trees.clone(parent, environment)
        before = seen(environment)
        shutil.rmtree(environment / "tree")
        (environment / "tree").mkdir()
        lay(environment / "tree", new)
        recipe = leaving_out(Recipe(environment, parent, "mine:1", "mine", "1", "", "test", WHEN), out)
        there = [path for path in out if path in {*before, *seen(environment)}]
        if there != out:
            with pytest.raises(InvalidInput, match="There is nothing at"):
                make_plan(environments.trees, recipe)
        recipe, out = leaving_out(recipe, there), there
        said = summary(environments.trees, recipe, make_plan(environments.trees, recipe))
        image = write(environments, recipe)
        made = environments.trees.environment(image)
        environments.trees.prepare(image)
        after = seen(made)
        assert after == expected(before, seen(environment), out)
        changed = {path for path, content in after.items() if content is not None and before.get(path) != content}
        assert said["files"] == len(changed)
        assert said["size"] == sum(len(after[path] or b"") for path in changed)
        assert sum(folder.files for folder in said["folders"]) == len(changed)
        assert (image == parent) is (after == before)


def leaving_out(recipe: Recipe, paths: list[str]) -> Recipe:
    return replace(recipe, exclude=tuple(f"{PREFIX}/tree/{path}" for path in paths))


def write(environments: Environments, recipe: Recipe) -> str:
    with environments.layout.ingest(*filter(None, [recipe.parent])) as ingest:
        written = ImageWriter(environments.layout, environments.trees, ingest).write(recipe, Meter())
        ingest.commit(written.descriptor, recipe.ref)
    return written.digest


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    environments = Environments(tmp_path / "data", background=False)
    yield Place(environments, LocalImages(tmp_path / "data", environments, []), tmp_path / "data")


@pytest.fixture
def digest(place: Place, tmp_path: Path) -> str:
    return make_image(place.environments, tmp_path, {"alpha": "1.0", "beta": "2.0"})


def environment_of(place: Place, digest: str) -> Path:
    environment = place.data / "instances/i-1/env"
    place.environments.trees.clone(digest, environment)
    return environment


async def test_a_preview_names_packages_folders_and_what_stays_out(place: Place, digest: str) -> None:
    environment = environment_of(place, digest)
    fill(environment, {"gamma": "3.0"}, library=b"x" * 5000)
    (environment / ".netrc").write_text("machine example.org password secret")
    (environment / SITE / "gamma" / "__pycache__").mkdir()
    (environment / "outside").symlink_to("/etc")
    spec = save_spec(digest)
    preview = await place.images.preview(spec)
    saved, _ = await save(place.images, spec)
    assert preview.packages == saved.packages and [one.name for one in preview.packages] == ["alpha", "beta", "gamma"]
    assert preview.folders[0].path == f"{PREFIX}/{SITE}/gamma" and preview.folders[0].size > 5000
    reasons = {path.path.removeprefix(f"{PREFIX}/"): path.reason for path in preview.left_out}
    assert reasons[".netrc"] == SECRET
    assert "outside" in reasons and "**/__pycache__" in reasons and "work" in reasons
    assert preview.left_out_count == 4
    place.environments.trees.prepare(saved.digest)
    assert ".netrc" not in take(place.environments.trees.environment(saved.digest)).entries


async def test_a_package_that_is_left_out_is_not_in_the_image(place: Place, digest: str) -> None:
    environment = environment_of(place, digest)
    fill(environment, {"gamma": "3.0", "delta": "4.0"})
    out = (f"{PREFIX}/{SITE}/gamma", f"{PREFIX}/{SITE}/gamma-3.0.dist-info")
    spec = save_spec(digest, exclude=out)
    preview = await place.images.preview(spec)
    saved, _ = await save(place.images, spec)
    assert [one.name for one in saved.packages] == ["alpha", "beta", "delta"]
    assert preview.packages == saved.packages
    assert {path.reason for path in preview.left_out if "gamma" in path.path} == {EXCLUDED}
    other = place.data / "other"
    place.environments.trees.clone(saved.digest, other)
    assert (other / SITE / "delta").is_dir() and not (other / SITE / "gamma").exists()


async def test_a_package_whose_upgrade_is_left_out_stays_as_it_was(place: Place, digest: str) -> None:
    environment = environment_of(place, digest)
    site = environment / SITE
    shutil.rmtree(site / "beta")
    shutil.rmtree(site / "beta-2.0.dist-info")
    fill(environment, {"beta": "2.5", "gamma": "3.0"})
    out = tuple(f"{PREFIX}/{SITE}/{name}" for name in ("beta", "beta-2.0.dist-info", "beta-2.5.dist-info"))
    spec = save_spec(digest, exclude=out)
    preview = await place.images.preview(spec)
    saved, _ = await save(place.images, spec)
    versions = {one.name: one.version for one in saved.packages}
    assert versions == {"alpha": "1.0", "beta": "2.0", "gamma": "3.0"}
    assert preview.packages == saved.packages
    other = place.data / "other"
    place.environments.trees.clone(saved.digest, other)
    assert (other / SITE / "beta/__init__.py").read_text() == "VERSION = '2.0'\n"


async def test_nothing_new_is_said_to_be_nothing(place: Place, digest: str) -> None:
    environment_of(place, digest)
    preview = await place.images.preview(save_spec(digest))
    assert (preview.files, preview.size, preview.removed, preview.folders) == (0, 0, 0, ())


async def test_names_that_are_no_text_can_be_told_all_the_same(place: Place, digest: str) -> None:
    environment = environment_of(place, digest)
    for name in (b"share-\xff", b"link-\xff"):
        (environment / os.fsdecode(name)).mkdir()
    (environment / os.fsdecode(b"share-\xff/file")).write_text("1")
    (environment / os.fsdecode(b"link-\xff/out")).symlink_to("/etc")
    preview = await place.images.preview(save_spec(digest))
    told = [one.path for one in (*preview.folders, *preview.left_out)]
    assert f"{PREFIX}/share-\ufffd" in told and f"{PREFIX}/link-\ufffd/out" in told
    assert "\n".join(told).encode()


def test_folders_are_told_apart_by_package_and_do_not_overlap() -> None:
    site = "opt/mlplat/env/lib/python3.11/site-packages"
    files = [(f"{site}/torch/lib/a.so", 50), (f"{site}/torch/b.py", 1), (f"{site}/six.py", 7), ("home/u/x/y/z/w/v", 9)]
    found = biggest(files)
    assert [(one.path, one.size, one.files) for one in found] == [
        (f"{site}/torch", 51, 2), ("home/u/x/y/z", 9, 1), (f"{site}/six.py", 7, 1),
    ]  # fmt: skip
    assert biggest(files, shown=1) == found[:1]
