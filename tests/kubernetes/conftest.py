"""The test cluster, the images of this checkout in its registry, and the chart installed from them.

KUBECONFIG and MLPLAT_REGISTRY name the cluster; MLPLAT_HOST_ADDRESS is this machine as pods reach it. With
MLPLAT_TEST_IMAGES=present the images are taken as the registry has them.
"""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from chromium import chromium, pytest_runtest_makereport
from instances_stage import Stage, running, staged
from jobs_stage import Platform, identities
from kubectl import Kubectl
from release import Images, Release, an_instance, installed
from save_stage import Lab, laboratory

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import until
from jupyter_mlplat.testing.ssh_client import Machine

__all__ = ["chromium", "pytest_runtest_makereport"]

ROOT = Path(__file__).parent.parent.parent
PLACES = {"test_ssh_hostile.py": 0, "test_chart.py": 2}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
NEEDED = (
    "KUBECONFIG", "MLPLAT_REGISTRY", "MLPLAT_HOST_ADDRESS", "MLPLAT_TEST_RUNTIME", "MLPLAT_TEST_CONTAINERD",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The installed platform takes room on the nodes until the end, so what needs it comes last: first what needs most
    room, at the very end what installs it anew."""

    def place(item: pytest.Item) -> tuple[bool, int]:
        return "release" in getattr(item, "fixturenames", ()), PLACES.get(item.path.name, 1)

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def kubectl() -> Kubectl:
    """The cluster. Without one every test of this folder fails, with one line that says so."""
    if missing := [name for name in NEEDED if not os.environ.get(name)]:
        pytest.fail(f"There is no cluster to test on: {', '.join(missing)} not set.", pytrace=False)
    cluster = Kubectl(os.environ["MLPLAT_REGISTRY"])
    cluster.run("get", "nodes")
    return cluster


@pytest.fixture(scope="session")
def images(kubectl: Kubectl) -> Images:
    """The images of this checkout, built and pushed where their content has changed."""
    if os.environ.get("MLPLAT_TEST_IMAGES") != "present":
        build = [sys.executable, str(ROOT / "scripts" / "build_images.py"), "--registry", kubectl.registry]
        subprocess.run([*build, "--insecure", "--local-base", "--machine-settings"], check=True)
    names = [f"mlplat/{name}" for name in ("platform", "node-agent", "python", "database", "builder")]
    return Images(*[f"{kubectl.registry}/{name}@{kubectl.digest(name)}" for name in names])


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """An empty namespace in which Pod Security `restricted` is enforced, as in the users' one."""
    with kubectl.namespace("test", **RESTRICTED) as name:
        yield name


@pytest.fixture(scope="session")
def release(kubectl: Kubectl, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The whole platform, installed with helm."""
    with installed(kubectl, images, tmp_path_factory.mktemp("release")) as release:
        yield release


@pytest.fixture(scope="session")
def alice(release: Release) -> Iterator[Client]:
    with release.client("alice") as client:
        yield client


@pytest.fixture(scope="session")
def bob(release: Release) -> Iterator[Client]:
    with release.client("bob") as client:
        yield client


@pytest.fixture(scope="module")
def alices_instance(alice: Client) -> Iterator[Instance]:
    """A running instance that the tests of a module leave running; the nodes have room for few at once."""
    with an_instance(alice, "alices") as instance:
        yield instance


@pytest.fixture(scope="module")
def remote(alice: Client) -> Iterator[Instance]:
    """An instance of alice's that runs, of one module alone."""
    with an_instance(alice, "remote") as instance:
        yield instance


@pytest.fixture(scope="module")
def laptop(alice: Client, remote: Instance, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Alice's, from which it is reached over SSH."""
    machine = Machine(tmp_path_factory.mktemp("laptop") / "ssh", alice)
    until(lambda: machine.ssh("remote.mlplat", "true").returncode == 0, "the instance answers for SSH")
    return machine


@pytest.fixture(scope="session")
def hub() -> Iterator[str]:
    with identities() as address:
        yield address


@pytest.fixture(scope="session")
def references(kubectl: Kubectl) -> dict[str, str]:
    """`mlplat/python:dev` of the registry, or the repository in MLPLAT_TEST_REPOSITORY; and one that is not there."""
    repository = os.environ.get("MLPLAT_TEST_REPOSITORY", "mlplat/python")
    missing = f"{kubectl.registry}/mlplat/nowhere@sha256:{'0' * 64}"
    return {"python": f"{kubectl.registry}/{repository}@{kubectl.digest(repository)}", "missing": missing}


@pytest.fixture
def platform(jobs_platform: Platform) -> Iterator[Platform]:
    yield jobs_platform
    jobs_platform.clear()


@pytest.fixture(scope="session")
def jobs_platform(
    kubectl: Kubectl, hub: str, references: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    with kubectl.namespace("jobs", **RESTRICTED) as namespace:
        platform = Platform(tmp_path_factory.mktemp("jobs"), namespace, references, hub).start()
        yield platform
        platform.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """Pods whose changes are saved."""
    async with laboratory(tmp_path_factory.mktemp("save")) as lab:
        yield lab


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Instances on the cluster, through a Hub."""
    async with staged(tmp_path_factory.mktemp("instances"), patience=timedelta(minutes=3)) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(stage: Stage) -> AsyncIterator[InstanceSpec]:
    """An instance that tests may share which leave it running."""
    async with running(stage, "i-shared") as spec:
        yield spec
