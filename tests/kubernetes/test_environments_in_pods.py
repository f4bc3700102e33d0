"""`mlplat env` in an instance's pod: what it makes has kernels there, and is in the saved image."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from conda_channel import greeting_package, make_channel, python_package
from release import Release, an_instance
from shelf import served
from wheels import make_wheel

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client

ENVS = "/opt/mlplat/env/envs"
CODE = "import alpha, os, sys; print(alpha.VERSION, sys.prefix, os.environ['PATH'].split(':')[0])"
PLACE = "import greeting, alpha, sys; print(greeting.PLACE, alpha.VERSION, sys.prefix)"
CONDA = "channels: [{shelf}/channel]\ndependencies:\n  - python=3.11\n  - greeting\n  - pip:\n    - alpha\n"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an index and of a conda channel, as pods reach them."""
    folder = tmp_path_factory.mktemp("shelf")
    make_wheel(folder / "wheels", "alpha", "1.0", script=True)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "ipykernel"]
    subprocess.run([*download, "--dest", str(folder / "wheels")], check=True, capture_output=True)
    make_channel(folder / "channel", python_package(), greeting_package())
    with served(folder, os.environ["MLPLAT_HOST_ADDRESS"]) as address:
        yield address


def said(client: Client, instance: Instance, *command: str) -> str:
    """What a command in the instance says; the test fails where the command does."""
    out: list[bytes] = []
    err: list[bytes] = []
    code = client.instances.exec(instance.id, list(command), stdout=out.append, stderr=err.append)
    assert code == 0, b"".join([*out, *err]).decode()
    return b"".join(out).decode()


def made(client: Client, instance: Instance) -> list[str]:
    return [row["name"] for row in json.loads(said(client, instance, "mlplat", "env", "list", "--json"))]


@pytest.fixture(scope="module")
def owner(release: Release, alice: Client, shelf: str) -> Iterator[Instance]:
    """An instance with the environments `vision`, made by uv, and `sky`, made of conda's packages."""
    with an_instance(alice, "environments", flavor="t.medium") as instance:
        for setting in (("no-index", "true"), ("find-links", f"{shelf}/wheels/")):
            said(alice, instance, "pip", "config", "--user", "set", f"global.{setting[0]}", setting[1])
        lab = release.lab(alice, instance)
        lab.put("requirements.txt", b"alpha\n")
        lab.put("sky.yml", CONDA.format(shelf=shelf).encode())
        assert "vision is ready" in said(alice, instance, "mlplat", "env", "create", "vision", "requirements.txt")
        assert "sky is ready" in said(alice, instance, "mlplat", "env", "create", "sky", "sky.yml")
        yield instance


def test_their_kernels_run_with_their_packages(release: Release, alice: Client, owner: Instance) -> None:
    lab = release.lab(alice, owner)
    with lab.kernel("vision") as kernel:
        assert kernel.run(CODE).split() == ["1.0", f"{ENVS}/vision", f"{ENVS}/vision/bin"]
    with lab.kernel("sky") as kernel:
        assert kernel.run(PLACE).split() == [f"{ENVS}/sky", "1.0", f"{ENVS}/sky"]
    assert made(alice, owner) == ["base", "sky", "vision"]


def test_a_copy_is_made_and_removed(release: Release, alice: Client, owner: Instance) -> None:
    assert "copy is ready" in said(alice, owner, "mlplat", "env", "clone", "copy", "sky")
    with release.lab(alice, owner).kernel("copy") as kernel:
        assert kernel.run(PLACE).split() == [f"{ENVS}/copy", "1.0", f"{ENVS}/copy"]
    said(alice, owner, "mlplat", "env", "remove", "copy", "--yes")
    assert made(alice, owner) == ["base", "sky", "vision"]
    assert said(alice, owner, "sh", "-c", f"test -e {ENVS}/copy || echo gone") == "gone\n"


def test_an_instance_of_the_saved_image_has_them(release: Release, alice: Client, owner: Instance) -> None:
    image = alice.images.wait(alice.instances.save_image(owner.id, "with-environments", "1").id)
    with an_instance(alice, "saved", image=image.id) as other:
        lab = release.lab(alice, other)
        with lab.kernel("vision") as kernel:
            assert kernel.run(CODE).split() == ["1.0", f"{ENVS}/vision", f"{ENVS}/vision/bin"]
        with lab.kernel("sky") as kernel:
            assert kernel.run(PLACE).split() == [f"{ENVS}/sky", "1.0", f"{ENVS}/sky"]
