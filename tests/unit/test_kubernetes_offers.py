"""What a running instance on a cluster may switch to: what it has itself is its own to use."""

from typing import Any

import pytest

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.kubernetes.client import Cluster
from jupyter_mlplat.backends.kubernetes.instances import KubernetesInstances
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.watch import World
from jupyter_mlplat.flavors.models import Accelerator, Category, Flavor
from jupyter_mlplat.hub.client import HubClient

Json = dict[str, Any]
SMALL = Flavor(id="small", name="small", vcpus=1, memory_mib=1024)
LARGER = Flavor(id="larger", name="larger", vcpus=2, memory_mib=1024)
LARGEST = Flavor(id="largest", name="largest", vcpus=4, memory_mib=1024)
GPU = Flavor(
    id="gpu", name="gpu", category=Category.GPU, vcpus=2, memory_mib=1024, accelerator=Accelerator(type="a", count=1)
)
OURS = InstanceSpec("i-1", "ann", "ours", "m-1", "", "python:dev", SMALL)


class Known(World):
    """What it is told, instead of what a cluster tells."""

    async def synced(self) -> None:
        return None

    def node(self, name: str, cores: int, **more: str) -> None:
        self.nodes.keep(
            {
                "metadata": {"name": name, "labels": {"kubernetes.io/arch": "amd64"}},
                "spec": {},
                "status": {
                    "allocatable": {
                        "cpu": str(cores),
                        "memory": "64Gi",
                        "pods": "10",
                        "ephemeral-storage": "1Ti",
                        **more,
                    },
                    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                },
            }
        )

    def takes(self, name: str, node: str, cores: int) -> None:
        container = {"name": "notebook", "resources": {"requests": {"cpu": str(cores)}}}
        running = {"name": "notebook", "state": {"running": {}}}
        self.pods.keep(
            {
                "metadata": {"name": name, "namespace": self.namespace, "uid": name},
                "spec": {"nodeName": node, "containers": [container]},
                "status": {"phase": "Running", "containerStatuses": [running]},
            }
        )


@pytest.fixture
def world() -> Known:
    return Known(Cluster(), "users")


async def sold_out(world: World, *flavors: Flavor, switching: InstanceSpec | None = OURS) -> list[bool]:
    settings = KubernetesSettings(namespace="users", api_url="http://platform", registry="registry")
    hub = HubClient("http://127.0.0.1:9", "")
    instances = KubernetesInstances(Cluster(), world, hub, settings, console="/")
    return [offer.sold_out for offer in await instances.offers(flavors, switching)]


async def test_what_it_has_counts_as_free_for_it_alone(world: Known) -> None:
    world.node("n1", 2)
    world.takes("instance-i-1", "n1", 1)
    assert await sold_out(world, LARGER) == [False]
    assert await sold_out(world, LARGER, switching=None) == [True]


async def test_a_resize_happens_on_its_own_node_and_a_restart_anywhere(world: Known) -> None:
    world.node("n1", 3)
    world.node("n2", 8, **{"nvidia.com/gpu": "1"})
    world.takes("instance-i-1", "n1", 1)
    assert await sold_out(world, LARGER, LARGEST, GPU) == [False, True, False]
    assert await sold_out(world, LARGEST, switching=None) == [False]


async def test_one_that_does_not_run_may_start_anywhere(world: Known) -> None:
    world.node("n1", 1)
    world.node("n2", 8)
    assert await sold_out(world, LARGEST) == [False]
