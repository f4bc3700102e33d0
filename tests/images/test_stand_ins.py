"""Presets whose bases cannot be had everywhere, built on stand-ins of the same layout: a channel of conda's with one
Python, and a CANN without its libraries. What the real ones bring is not tried here."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import build_images
import pytest
from conda_channel import make_channel, python_package
from containers import Container, buildah
from shelf import served
from test_presets import READINGS, check_files, check_sshd

TAG = "stand-in"
CANN = "localhost/mlplat-cann:stand-in"
LAYOUT = """
FROM {base}
RUN cd /usr/local && mkdir -p Ascend/ascend-toolkit/8.5.0 && cd Ascend/ascend-toolkit && ln -s 8.5.0 latest \\
    && mkdir -p 8.5.0/bin 8.5.0/lib64/plugin 8.5.0/opp/built-in/op_impl/ai_core/tbe 8.5.0/python/site-packages \\
    && mkdir -p 8.5.0/compiler && echo Version=8.5.0 > 8.5.0/compiler/version.info
"""

pytestmark = pytest.mark.timeout(1200)


def build(name: str, *arguments: str) -> Container:
    script = [sys.executable, build_images.__file__, "--local-base", "--machine-settings", "--tag", TAG, name]
    subprocess.run([*script, *[word for each in arguments for word in ("--build-arg", each)]], check=True)
    return Container(name, TAG)


@pytest.fixture(scope="module")
def conda(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    folder = tmp_path_factory.mktemp("shelf")
    make_channel(folder / "channel", python_package())
    with served(folder) as address:
        container = build("conda-only", f"CHANNEL={address}/channel", "SPECS=python=3.11")
    yield container
    container.remove()


@pytest.fixture(scope="module")
def ascend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    folder = tmp_path_factory.mktemp("cann")
    base = build_images.local_base(build_images.LOCAL_BASE_PACKAGES)
    (folder / "Containerfile").write_text(LAYOUT.format(base=base))
    buildah("bud", "--quiet", "--tag", CANN, str(folder))
    container = build("mindspore-ascend", f"CANN={CANN}")
    yield container
    container.remove()


@pytest.mark.parametrize("name", ["conda", "ascend"])
def test_they_are_as_clean_as_the_others(name: str, request: pytest.FixtureRequest) -> None:
    container: Container = request.getfixturevalue(name)
    check_files(container)
    check_sshd(container)
    assert container.run("/opt/mlplat/lab/bin/python", "-c", READINGS) == "[] []"
    assert container.run("/opt/mlplat/lab/bin/python", "/tests/lab_answers.py").splitlines()[-1] == "200 200"


def test_a_users_environment_is_of_condas_packages(conda: Container) -> None:
    assert list(conda.root().glob("opt/mlplat/env/conda-meta/python-3.11*.json"))
    print(conda.run("python", "/tests/in_kernel.py", "/images/conda-only/test.py"))
    assert conda.run("python", "-c", "import sys; print(sys.prefix, sys.base_prefix)") == " ".join(
        ["/opt/mlplat/env"] * 2
    )
    conda.run("python", "-c", "import moxing")


def test_an_environment_of_uv_stands_on_condas_python(conda: Container) -> None:
    make = "from pathlib import Path; from jupyter_mlplat.environments.making import clone; import sys;"
    make += "clone(Path('/opt/mlplat/env'), 'copy', 'base', print)"
    conda.run("/opt/mlplat/lab/bin/python", "-c", make)
    python = "/opt/mlplat/env/envs/copy/bin/python"
    assert conda.run(python, "-c", "import sys, ipykernel; print(sys.prefix)") == "/opt/mlplat/env/envs/copy"


def test_mindspore_trains_without_devices_beside_cann(ascend: Container) -> None:
    print(ascend.run("python", "/tests/in_kernel.py", "/images/mindspore-ascend/test.py"))
    version = "/usr/local/Ascend/ascend-toolkit/latest/compiler/version.info"
    assert ascend.run("sh", "-c", f"cat {version}; echo $ASCEND_HOME_PATH").split() == [
        "Version=8.5.0", "/usr/local/Ascend/ascend-toolkit/latest",
    ]  # fmt: skip
    plugin = "opt/mlplat/env/lib/python3.11/site-packages/mindspore/lib/plugin"
    assert list(ascend.root().glob(f"{plugin}/libmindspore_ascend.so*"))


def test_their_sizes(conda: Container, ascend: Container, tmp_path: Path) -> None:
    for container in (conda, ascend):
        print(f"{container.name}: {container.size(tmp_path / container.name) / 1e6:.0f} MB without what stood in")
