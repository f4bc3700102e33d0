"""What every back end keeps of the contract of `ImageBackend`."""

import pytest
from contract_stage import Stage, cut_off, steps

from jupyter_mlplat.backends.base import Checkpoint, InstanceSpec
from jupyter_mlplat.backends.imaging import PresetImage, SavedImage, SaveSpec
from jupyter_mlplat.errors import NotFound

pytestmark = pytest.mark.hub

NOWHERE = "sha256:" + "0" * 64


def save_of(spec: InstanceSpec, tag: str = "1") -> SaveSpec:
    return SaveSpec(f"m-{spec.instance_id}-{tag}", spec, f"of-{spec.instance_id}", tag, "for tests", spec.owner)


async def save(stage: Stage, spec: InstanceSpec, tag: str = "1") -> SavedImage:
    last = (await steps(stage.images.save(save_of(spec, tag))))[-1]
    assert isinstance(last, SavedImage)
    return last


async def names_in(stage: Stage, digest: str) -> set[str]:
    return {package.name for package in (await stage.images.contents(digest)).packages}


async def preset(stage: Stage) -> PresetImage:
    return (await stage.images.presets())[0]


def ref(image: PresetImage) -> str:
    return f"{image.name}:{image.tag}"


async def test_a_preset_has_a_digest_once_it_is_prepared(stage: Stage) -> None:
    known = await preset(stage)
    await cut_off(stage.images.prepare(ref(known)), 1)
    await stage.reopen()
    await steps(stage.images.prepare(ref(known)))
    made = await preset(stage)
    assert made.digest and (made.name, made.tag) == (known.name, known.tag)
    assert made.size > 0 and made.categories
    assert "pip" in await names_in(stage, made.digest)
    await steps(stage.images.prepare(ref(known)))
    await steps(stage.images.prepare(made.digest))
    assert await preset(stage) == made, "a preset that is there is not made again"
    await stage.images.collect({stage.digest, stage.other_digest, made.digest})
    assert await preset(stage) == made


@pytest.mark.parametrize("name", ["nothing:1", NOWHERE])
async def test_an_unknown_image_cannot_be_prepared(stage: Stage, name: str) -> None:
    with pytest.raises(NotFound):
        await steps(stage.images.prepare(name))


async def test_packages_of_an_unknown_image_are_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.images.contents(NOWHERE)


async def test_a_save_without_changes_gives_the_parent(stage: Stage) -> None:
    spec = await stage.running()
    saved = await save(stage, spec)
    assert (saved.digest, saved.parent_digest, saved.added) == (stage.digest, stage.digest, 0)
    assert saved.size > 0


async def test_a_save_tells_its_progress_and_ends_with_the_image(stage: Stage) -> None:
    spec = await stage.running()
    await stage.install(spec, "gamma", "3.0")
    *progress, saved = await steps(stage.images.save(save_of(spec)))
    assert progress and all(isinstance(step, Checkpoint) and 0 <= step.done <= step.total for step in progress)
    assert isinstance(saved, SavedImage)
    assert saved.digest != saved.parent_digest == stage.digest
    assert 0 < saved.added < saved.size
    assert {package.name for package in saved.packages} >= {"gamma", stage.package}
    assert (await stage.images.contents(saved.digest)).packages == saved.packages
    assert stage.package in await names_in(stage, stage.digest) and "gamma" not in await names_in(stage, stage.digest)


async def test_a_preview_says_what_the_image_will_hold(stage: Stage) -> None:
    spec = await stage.running()
    nothing = await stage.images.preview(save_of(spec))
    assert (nothing.files, nothing.size, nothing.folders) == (0, 0, ())
    await stage.install(spec, "gamma", "3.0")
    preview = await stage.images.preview(save_of(spec))
    assert preview.size > 0 and preview.files > 0 and any("gamma" in folder.path for folder in preview.folders)
    assert preview.left_out and preview.left_out_count >= len(preview.left_out)
    assert (await save(stage, spec)).packages == preview.packages


async def test_an_instance_made_from_a_saved_image_has_what_was_saved(stage: Stage) -> None:
    spec = await stage.running()
    await stage.install(spec, "gamma", "3.0")
    saved = await save(stage, spec)
    other = await stage.running(image_digest=saved.digest)
    assert await stage.installed(other) == await stage.installed(spec)
    again = await save(stage, other)
    assert (again.digest, again.added) == (saved.digest, 0)


async def test_a_save_cut_off_leaves_nothing_after_collect(stage: Stage) -> None:
    spec = await stage.running()
    await stage.images.collect({stage.digest, stage.other_digest})
    before = await stage.stored()
    await stage.install(spec, "gamma", "3.0")
    assert await cut_off(stage.images.save(save_of(spec)), 1) == 1
    await stage.reopen()
    await stage.images.collect({stage.digest, stage.other_digest})
    assert await stage.stored() == before
    assert (await save(stage, spec)).digest != stage.digest


async def test_collect_keeps_what_is_kept_and_removes_the_rest(stage: Stage) -> None:
    spec = await stage.running()
    await stage.images.collect({stage.digest, stage.other_digest})
    await stage.install(spec, "gamma", "3.0")
    kept = await save(stage, spec, "kept")
    with_kept = await stage.stored()
    await stage.install(spec, "delta", "4.0")
    gone = await save(stage, spec, "gone")
    keep = {stage.digest, stage.other_digest, kept.digest, NOWHERE}
    assert await stage.images.collect(keep) > 0
    assert await stage.stored() == with_kept
    assert "gamma" in await names_in(stage, kept.digest)
    with pytest.raises(NotFound):
        await stage.images.contents(gone.digest)
    assert await stage.images.collect(keep) == 0, "the second time there is nothing left to remove"


async def test_collect_spares_what_a_save_uses_until_it_has_been_taken_note_of(stage: Stage) -> None:
    spec = await stage.running()
    await stage.install(spec, "gamma", "3.0")
    async for step in stage.images.save(save_of(spec)):
        await stage.images.collect({stage.other_digest})
        if isinstance(step, SavedImage):
            assert "gamma" in await names_in(stage, step.digest)
            assert stage.package in await names_in(stage, stage.digest)
