"""Saving to registries of other people: one that restarts, one that is full, one that wants to know who asks."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from guarded_registry import PASSWORD, USER, guarded_registry, pull_secret
from instances_stage import REGISTRY
from pydantic import SecretStr
from save_stage import (
    BIG,
    CHANGES,
    Lab,
    Saving,
    known_to_nodes,
    kubectl,
    output,
    own_registry,
    save_spec,
    saving,
)

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.imaging import RegisteredImage, RegisterSpec
from jupyter_mlplat.errors import BackendFailure, InvalidInput, MlplatError, NotFound

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_registry_that_restarts_and_one_that_stays_away(lab: Lab, tmp_path: Path) -> None:
    with own_registry(tmp_path / "registry") as registry, known_to_nodes(registry):
        settings = lab.settings(f"{registry.address}/saved", images=catalogue(tmp_path, lab))
        async with saving(lab, settings) as theirs:
            instance = await started_from(lab, theirs, "restarted")
            await lab.run(instance, BIG)
            restarted = False
            async with aclosing(theirs.images.save(save_spec(instance, "restarted"))) as steps:
                async for step in steps:
                    if getattr(step, "done", 0) > 100 << 20 and not restarted:
                        registry.kill()
                        registry.start()
                        restarted = True
            assert restarted and await theirs.tags("restarted") == ["1"]

            registry.kill()
            await lab.run(instance, "echo more > /home/ma-user/more")
            with pytest.raises(BackendFailure, match="does not answer"):
                await theirs.save(instance, "away")
            assert await lab.run(instance, "echo alive") == "alive\n"
            registry.start()
            assert (await theirs.save(instance, "away")).added > 300 << 20
        lab.remove("restarted")


async def test_an_image_of_another_registry_is_taken_over_or_told_what_it_lacks(lab: Lab, tmp_path: Path) -> None:
    with own_registry(tmp_path / "registry") as registry, known_to_nodes(registry):
        settings = lab.settings(f"{registry.address}/ours", registries=[f"http://{REGISTRY}"])
        async with saving(lab, settings) as theirs:
            spec = RegisterSpec("m-1", "alice", "vision", "1", f"{REGISTRY}/mlplat/python:dev")
            steps = [step async for step in theirs.images.register(spec)]
            found = steps[-1]
            assert isinstance(found, RegisteredImage)
            assert found.reference == f"{registry.address}/ours/registered/alice/vision@{found.digest}"
            instance = await lab.start("registered", image=found.reference)
            assert await lab.run(instance, "python3 -c 'print(6 * 7)'") == "42\n"
            lab.remove("registered")

            with pytest.raises(InvalidInput, match=r"no label mlplat.python.*its user is 10001"):
                await all_of(theirs, replace(spec, name="unfit", source=f"{REGISTRY}/mlplat/platform:dev"))
            with pytest.raises(NotFound):
                await all_of(theirs, replace(spec, name="missing", source=f"{REGISTRY}/mlplat/nothing:1"))
            with pytest.raises(InvalidInput, match="is not allowed"):
                await all_of(theirs, replace(spec, source="10.96.0.1/x:1"))

            assert await theirs.images.collect({found.digest}) == 0
            assert await theirs.images.contents(found.digest)
            assert await theirs.images.collect(set()) == found.size


async def all_of(theirs: Saving, spec: RegisterSpec) -> None:
    async for _ in theirs.images.register(spec):
        pass


def catalogue(folder: Path, lab: Lab) -> Path:
    path = folder / "catalog.toml"
    path.write_text(f'[[preset]]\nname = "python"\ntag = "dev"\nreference = "{lab.image}"\ninsecure = true\n')
    return path


async def started_from(lab: Lab, theirs: Saving, name: str, **spec: Any) -> InstanceSpec:
    """An instance on the preset, which `prepare` copies into the other registry."""
    steps = [step async for step in theirs.images.prepare("python:dev")]
    assert steps[-1].done == steps[-1].total > 0
    (preset,) = await theirs.images.presets()
    assert preset.digest and preset.reference.endswith(f"/saved/python@{preset.digest}")
    return await lab.start(name, image=preset.reference, **spec)


async def test_a_full_registry_says_so(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    (folder / "data").mkdir(parents=True)
    await asyncio.to_thread(output, ["mount", "-t", "tmpfs", "-o", "size=350m", "tmpfs", str(folder / "data")])
    try:
        with own_registry(folder) as registry, known_to_nodes(registry):
            settings = lab.settings(f"{registry.address}/saved", images=catalogue(tmp_path, lab))
            async with saving(lab, settings) as theirs:
                instance = await started_from(lab, theirs, "full")
                await lab.run(instance, BIG)
                with pytest.raises(MlplatError, match="is full"):
                    await theirs.save(instance, "full")
                assert await theirs.tags("full") == []
            lab.remove("full")
    finally:
        await asyncio.to_thread(output, ["umount", str(folder / "data")])


async def test_a_registry_with_tokens_and_a_certificate_of_its_own(lab: Lab, tmp_path: Path) -> None:
    with guarded_registry(tmp_path / "guarded") as (registry, authority), known_to_nodes(registry, authority.ca):
        kubectl("create", "-n", lab.namespace, "-f", "-", stdin=json.dumps(pull_secret(registry.address)).encode())
        access: dict[str, Any] = {"registry_insecure": False, "registry_user": USER, "images": catalogue(tmp_path, lab)}
        access |= {"registry_ca": authority.ca, "registry_password": SecretStr(PASSWORD)}
        async with saving(lab, lab.settings(f"{registry.address}/saved", **access)) as theirs:
            secrets: dict[str, Any] = {"imagePullSecrets": [{"name": "pull"}]}
            instance = await started_from(lab, theirs, "guarded", **secrets)
            await lab.run(instance, CHANGES)
            saved = await theirs.save(instance, "guarded")
            child = await lab.start("guardedchild", image=saved.reference, **secrets)
            assert await lab.run(child, "python3 -c 'import mlplat_test; print(mlplat_test.answer)'") == "42\n"
            assert "repository:saved/python:pull" in " ".join(authority.asked)

        for wrong, words in (
            ({"registry_password": SecretStr("wrong")}, "refuses the user platform"),
            ({"registry_ca": None}, "is not trusted"),
            ({"registry_user": "", "registry_password": SecretStr("")}, "refuses anonymous use"),
        ):
            async with saving(lab, lab.settings(f"{registry.address}/saved", **(access | wrong))) as theirs:
                with pytest.raises(MlplatError, match=words):
                    await theirs.save(instance, "wrong")
        lab.remove("guarded")
        lab.remove("guardedchild")
