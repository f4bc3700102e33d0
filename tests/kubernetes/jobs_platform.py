"""The platform process with jobs on the real cluster, for tests of jobs alone: nobody needs a Hub or a registry here.

Its settings come from the environment, as for the real one; IMAGES is {name: reference with digest} as JSON. Killed and
started again it finds what it left.
"""

import json
import os
from collections.abc import AsyncGenerator, Sequence

from jupyter_mlplat import app
from jupyter_mlplat.backends import choose
from jupyter_mlplat.backends.base import Checkpoint, InstanceSpec
from jupyter_mlplat.backends.choose import Backends
from jupyter_mlplat.backends.imaging import PresetImage
from jupyter_mlplat.backends.kubernetes.client import Cluster
from jupyter_mlplat.backends.kubernetes.jobs import KubernetesJobs
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.watch import World
from jupyter_mlplat.backends.memory import MemoryImages, MemoryInstances, MemoryMounts
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.flavors.models import Flavor, FlavorOffer
from jupyter_mlplat.jobs.tokens import JobTokens


class AnyFlavor(MemoryInstances):
    """Offers everything: what there is not is for the cluster to say."""

    async def offers(self, flavors: Sequence[Flavor], switching: InstanceSpec | None = None) -> list[FlavorOffer]:
        return [FlavorOffer(**flavor.model_dump()) for flavor in flavors]


class GivenImages(MemoryImages):
    """Images that are in the registry already, the first of them the default."""

    async def presets(self) -> list[PresetImage]:
        given: dict[str, str] = json.loads(os.environ["IMAGES"])
        return [
            PresetImage(name, "dev", name, reference.partition("@")[2], 1, ("x86_64",), ("CPU",), at == 0, reference)
            for at, (name, reference) in enumerate(given.items())
        ]

    async def prepare(self, digest_or_name: str) -> AsyncGenerator[Checkpoint, None]:
        yield Checkpoint(f"{digest_or_name} is there")


def on_the_cluster(settings: Settings) -> Backends:
    cluster, kubernetes = Cluster(), KubernetesSettings()
    world = World(cluster, kubernetes.namespace)
    api = f"{kubernetes.api_url}{settings.service_prefix}v1"
    tokens = JobTokens(settings.hub_secret.get_secret_value())
    jobs = KubernetesJobs(settings.data_dir, cluster, world, kubernetes, tokens, api=api)

    async def close() -> None:
        await jobs.close()
        await world.close()
        await cluster.close()

    return Backends(AnyFlavor(), GivenImages(), jobs, MemoryMounts(), close)


if __name__ == "__main__":
    choose.backends = on_the_cluster
    app.main()
