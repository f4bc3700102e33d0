"""The catalogue: what is said of an image, how it is found, what it stands on, who uses it."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from platform_stage import ADMIN, ALICE, BOB, Opened, Stage
from sqlalchemy import delete

from jupyter_mlplat.backends.memory import MemoryImages, digest_of
from jupyter_mlplat.errors import Conflict, InUse, NotFound
from jupyter_mlplat.images.compare import compare_packages, shared_layers
from jupyter_mlplat.images.editions import EditionPackageRow, EditionRow
from jupyter_mlplat.images.models import (
    Image,
    ImageFilter,
    ImageSave,
    ImageUpdate,
    Layer,
    Package,
    Service,
    Visibility,
)
from jupyter_mlplat.instances.models import InstanceCreate

EINOPS = Package(name="einops", version="0.8.1")
NEWER_PIP = Package(name="pip", version="26.0")


class PresetsMadeAnew(MemoryImages):
    edition = ("anew",)


async def saved(stage: Stage, tag: str, *packages: Package, image_id: str | None = None) -> Image:
    """An image `mine:TAG` of an instance in which packages were installed."""
    made = await stage.instances.create(ALICE, InstanceCreate(name=f"of-{tag}", image_id=image_id))
    await stage.settle()
    stage.world.installed[made.id] = list(packages)
    wanted = ImageSave(name="mine", tag=tag, notebook="train.ipynb")
    image = await stage.images.save(ALICE, made.id, wanted)
    await stage.settle()
    await stage.instances.delete(ALICE, made.id)
    await stage.settle()
    return (await stage.images.find(ALICE, ImageFilter(name=image.full_name))).data[0]


async def remake_presets(stage: Stage, kind: type[MemoryImages] = PresetsMadeAnew) -> None:
    """As after an upgrade of the platform."""
    stage.images_are = kind
    stage.boot()
    await stage.settle()


@pytest.mark.both_databases
async def test_an_image_says_what_it_stands_on_and_what_changed(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    first = await saved(stage, "1", EINOPS)
    second = await saved(stage, "2", NEWER_PIP, image_id=first.id)
    detail = await stage.images.get(ALICE, second.id)
    assert [parent.name for parent in detail.parents] == ["mine:1", "python:3.11"]
    assert [parent.image_id is not None for parent in detail.parents] == [True, True]
    assert (detail.parent_name, detail.base_name, detail.outdated) == ("mine:1", "python:3.11", False)
    assert (detail.instance_name, detail.notebook) == ("of-2", "train.ipynb")
    assert detail.changes is not None
    assert [(one.name, one.old, one.new) for one in detail.changes.changed] == [("pip", "25.0", "26.0")]
    assert (detail.changes.added, detail.changes.removed, detail.changes.same) == ([], [], 1)
    assert [layer.step for layer in detail.layers] == ["made in memory"] * 3
    assert detail.services == [Service.NOTEBOOK, Service.TRAIN] and detail.architectures == ["x86_64"]


async def test_a_preset_stands_on_nothing(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    await stage.settle()
    preset = await stage.preset()
    detail = await stage.images.get(ALICE, preset.id)
    assert (detail.parents, detail.changes, detail.parent_name, detail.outdated) == ([], None, None, False)
    assert [package.name for package in detail.packages] == ["pip"]


async def test_an_image_saved_unchanged_is_its_parents_edition(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    image = await stage.images.get(ALICE, (await saved(stage, "1")).id)
    assert image.digest == image.parent_digest == digest_of("python:3.11")
    assert [parent.name for parent in image.parents] == ["python:3.11"]
    assert image.changes is not None and image.changes.same == 1 and not image.outdated


@pytest.mark.both_databases
async def test_an_image_is_outdated_once_its_preset_is_made_anew(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    first = await saved(stage, "1", EINOPS)
    await saved(stage, "2", NEWER_PIP, image_id=first.id)
    assert (await stage.images.find(ALICE, ImageFilter(outdated=True))).total == 0
    await remake_presets(stage)
    found = await stage.images.find(ALICE, ImageFilter(outdated=True))
    assert {image.full_name for image in found.data} == {"mine:1", "mine:2"}, "also what stands on one that is"
    assert all(image.base_name == "python:3.11" and image.outdated for image in found.data)
    detail = await stage.images.get(ALICE, first.id)
    assert [(parent.name, parent.image_id) for parent in detail.parents] == [("python:3.11", None)]
    assert detail.changes is not None and detail.changes.added == [EINOPS], "the old edition is remembered"
    assert (await stage.images.find(ALICE, ImageFilter(outdated=False))).total == 2


async def test_that_a_base_retires_is_seen_at_what_stands_on_it(stages: Opened) -> None:
    stage = stages()
    stage.world.retiring["python:3.11"] = (date(2027, 1, 31), "python:3.12")
    preset = await stage.preset()
    image = await saved(stage, "1", EINOPS)
    for one in (preset, image):
        assert (one.retires_on, one.instead) == (date(2027, 1, 31), "python:3.12")


async def test_a_deleted_parent_is_still_named(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    first = await saved(stage, "1", EINOPS)
    second = await saved(stage, "2", NEWER_PIP, image_id=first.id)
    await stage.images.delete(ALICE, first.id)
    await stage.settle()
    detail = await stage.images.get(ALICE, second.id)
    assert [(parent.name, parent.image_id is None) for parent in detail.parents] == [
        ("mine:1", True), ("python:3.11", False),
    ]  # fmt: skip
    assert detail.changes is not None and detail.changes.changed and not detail.outdated


@pytest.mark.both_databases
async def test_filters_of_the_catalogue(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    image = await saved(stage, "1", EINOPS)

    async def found(**wanted: object) -> set[str]:
        page = await stage.images.find(ALICE, ImageFilter.model_validate(wanted))
        assert page.total == len(page.data)
        return {one.full_name for one in page.data}

    presets = {"python:3.11", "pytorch:2.8"}
    assert await found() == presets | {"mine:1"}
    assert await found(origin="PRESET") == await found(visibility="PUBLIC") == presets
    assert await found(package="Einops") == await found(owner="alice") == await found(name="ne:1") == {"mine:1"}
    assert await found(package="pip") == {"mine:1", "python:3.11"}, "what was never made is not known"
    assert await found(category="CPU", service="TRAIN", arch="x86_64") == presets | {"mine:1"}
    assert await found(category="GPU") == await found(service="SSH") == await found(arch="x86") == set()
    await stage.images.update(ALICE, image.id, ImageUpdate(visibility=Visibility.PUBLIC))
    assert "mine:1" in await found(visibility="PUBLIC")


async def test_a_page_is_a_part_of_the_catalogue(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    await saved(stage, "1", EINOPS)
    page = await stage.images.find(ALICE, ImageFilter(limit=1, offset=2))
    assert (page.total, page.size, page.data[0].full_name) == (3, 1, "mine:1")


async def test_a_private_image_is_shared_and_taken_back(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    image = await saved(stage, "1", EINOPS)
    with pytest.raises(NotFound):
        await stage.images.update(BOB, image.id, ImageUpdate(visibility=Visibility.PUBLIC))
    shared = await stage.images.update(ALICE, image.id, ImageUpdate(visibility=Visibility.PUBLIC, description="Good"))
    assert (shared.visibility, shared.description, shared.base_name) == (Visibility.PUBLIC, "Good", "python:3.11")
    await stage.instances.create(BOB, InstanceCreate(name="bobs", image_id=image.id))
    await stage.settle()
    with pytest.raises(InUse, match="an instance of bob"):
        await stage.images.delete(ALICE, image.id)
    assert [(use.name, use.owner) for use in (await stage.images.get(ALICE, image.id)).used_by] == [(None, "bob")]
    assert [use.name for use in (await stage.images.get(ADMIN, image.id)).used_by] == ["bobs"]
    assert (await stage.images.get(BOB, image.id)).used_by == [], "whom it is used by is its owner's to know"
    await stage.images.update(ALICE, image.id, ImageUpdate(visibility=Visibility.PRIVATE))
    with pytest.raises(NotFound):
        await stage.images.get(BOB, image.id)
    changes = [one for one in await stage.audited() if one.action == "image:update" and one.result == "ok"]
    assert [one.detail for one in changes] == ["description: Good, visibility: PUBLIC", "visibility: PRIVATE"]


async def test_a_preset_is_described_in_its_catalogue_only(stages: Opened) -> None:
    stage = stages()
    preset = await stage.preset()
    with pytest.raises(Conflict, match="catalogue of presets"):
        await stage.images.update(ADMIN, preset.id, ImageUpdate(visibility=Visibility.PRIVATE))


async def test_two_images_side_by_side(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    one = await saved(stage, "1", EINOPS)
    other = await saved(stage, "2", NEWER_PIP)
    seen = await stage.images.compare(ALICE, one.id, other.id)
    assert (seen.image.full_name, seen.other.full_name) == ("mine:1", "mine:2")
    assert seen.packages.removed == [EINOPS] and seen.packages.added == []
    assert [change.new for change in seen.packages.changed] == ["26.0"]
    assert [len(layers) for layers in (seen.shared_layers, seen.own_layers, seen.other_layers)] == [1, 1, 1]
    with pytest.raises(NotFound):
        await stage.images.compare(BOB, one.id, other.id)


async def test_images_that_were_there_before_are_looked_into_at_the_start(stages: Opened) -> None:
    stage = stages()
    await stage.preset()
    image = await saved(stage, "1", EINOPS)
    async with stage.database.transaction() as session:
        for table in (EditionPackageRow, EditionRow):
            await session.execute(delete(table))
    stage.boot()
    await stage.preset()
    detail = await stage.images.get(ALICE, image.id)
    assert EINOPS in detail.packages and detail.base_name == "python:3.11" and len(detail.layers) == 2


packages = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("123")).map(
    lambda found: [Package(name=name, version=version) for name, version in sorted(found.items())]
)


@given(packages, packages)
def test_a_comparison_leads_from_one_list_to_the_other(old: list[Package], new: list[Package]) -> None:
    changes = compare_packages(old, new)
    result = {package.name: package.version for package in old}
    for package in changes.removed:
        assert result.pop(package.name) == package.version
    for package in changes.added:
        assert package.name not in result
        result[package.name] = package.version
    for change in changes.changed:
        assert result[change.name] == change.old != change.new
        result[change.name] = change.new
    assert result == {package.name: package.version for package in new}
    assert changes.same == len(set(map(str, old)) & set(map(str, new)))


def test_names_are_compared_as_package_indexes_do() -> None:
    old, new = [Package(name="Foo_Bar", version="1")], [Package(name="foo.bar", version="1")]
    assert compare_packages(old, new).same == 1


def test_layers_are_shared_from_the_lowest_on() -> None:
    a, b, c = (Layer(digest=name, size=1) for name in "abc")
    assert [shared_layers([a, b], other) for other in ([], [a], [a, b, c], [b, a], [a, c])] == [0, 1, 2, 0, 1]
