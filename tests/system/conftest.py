"""One whole platform for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import nbformat
import pytest

from jupyter_mlplat.gateway.programs import find_programs, missing
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform, running_platform
from jupyter_mlplat.testing.ssh_client import Machine


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    with running_platform(tmp_path_factory.mktemp("platform") / "data") as platform:
        yield platform


@pytest.fixture(scope="session")
def alice(platform: RunningPlatform) -> Iterator[Client]:
    with platform.user("alice") as client:
        yield client


@pytest.fixture(scope="session")
def bob(platform: RunningPlatform) -> Iterator[Client]:
    with platform.user("bob") as client:
        yield client


@pytest.fixture(scope="session")
def alices_instance(alice: Client) -> Instance:
    instance = alice.instances.create("alices", flavor="cpu.1u2g")
    return alice.instances.wait(instance.id)


@pytest.fixture(scope="module")
def laptop(alice: Client, alices_instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Alice's own machine."""
    assert find_programs(), missing()
    return Machine(tmp_path_factory.mktemp("alices") / "ssh", alice)


@pytest.fixture(scope="module")
def stranger(bob: Client, alices_instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Bob's machine, from which nothing of alice's is to be reached."""
    return Machine(tmp_path_factory.mktemp("bobs") / "ssh", bob)


@pytest.fixture
def notebook_folder(tmp_path: Path) -> Path:
    """A folder with a notebook that imports a module beside it."""

    cells = [
        nbformat.v4.new_code_cell("steps = 3  # how many", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "import mlplat\nfrom beside import square\n"
            "for step in range(steps):\n    mlplat.log(step=step, value=square(step))"
        ),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "work.ipynb")
    (tmp_path / "beside.py").write_text("def square(x):\n    return x * x\n")
    return tmp_path


@pytest.fixture(scope="module")
def carol(platform: RunningPlatform) -> Iterator[Client]:
    with platform.user("carol") as client:
        yield client


@pytest.fixture
def raw(carol: Client) -> Iterator[httpx.Client]:
    """Sends whatever it is given, as no client of ours would."""
    headers = {"Authorization": f"token {carol.profile.token}", "Content-Type": "application/json"}
    with httpx.Client(base_url=carol.profile.api, headers=headers, timeout=60) as client:
        yield client
