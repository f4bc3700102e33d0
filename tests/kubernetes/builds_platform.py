"""The platform process with jobs and builds on the real cluster: nobody needs a Hub here.

Its settings come from the environment, as for the real one. Killed and started again it finds what it left.
"""

from jobs_platform import AnyFlavor

from jupyter_mlplat import app
from jupyter_mlplat.backends import choose
from jupyter_mlplat.backends.choose import Backends
from jupyter_mlplat.backends.kubernetes.builds import BuildingImages
from jupyter_mlplat.backends.kubernetes.client import Cluster
from jupyter_mlplat.backends.kubernetes.jobs import KubernetesJobs
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.watch import World
from jupyter_mlplat.backends.memory import MemoryMounts
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.jobs.survey import Limits
from jupyter_mlplat.jobs.tokens import JobTokens


def on_the_cluster(settings: Settings) -> Backends:
    cluster, kubernetes = Cluster(), KubernetesSettings()
    world = World(cluster, kubernetes.namespace)
    api = f"{kubernetes.api_url}{settings.service_prefix}v1"
    tokens = JobTokens(settings.hub_secret.get_secret_value())
    jobs = KubernetesJobs(settings.data_dir, cluster, world, kubernetes, tokens, api=api)
    images = BuildingImages(settings.data_dir, cluster, kubernetes, tokens, Limits(), api=api)

    async def close() -> None:
        for part in (jobs, images, world, cluster):
            await part.close()

    return Backends(AnyFlavor(), images, jobs, MemoryMounts(), close)


if __name__ == "__main__":
    choose.backends = on_the_cluster
    app.main()
