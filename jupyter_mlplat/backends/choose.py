"""The back end that the settings name."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from jupyter_mlplat.backends.base import InstanceBackend, JobBackend
from jupyter_mlplat.backends.imaging import ImageBackend
from jupyter_mlplat.backends.mounting import MountBackend
from jupyter_mlplat.backends.ssh import SshDoors, SshTarget
from jupyter_mlplat.core.settings import Settings


@dataclass(frozen=True)
class Backends:
    """One back end's capabilities, and what closes its connections."""

    instances: InstanceBackend
    images: ImageBackend
    jobs: JobBackend
    mounts: MountBackend
    close: Callable[[], Awaitable[None]]
    ssh: SshTarget | SshDoors | None = None
    """None where nobody is let in over SSH."""


def backends(settings: Settings) -> Backends:
    """Build the back end named by `settings.backend`; only that one is imported."""
    builders = {"local": _local, "kubernetes": _kubernetes, "memory": _memory}
    return builders[settings.backend](settings)


def _local(settings: Settings) -> Backends:
    from jupyter_mlplat.backends.local.environments import Environments
    from jupyter_mlplat.backends.local.images import LocalImages
    from jupyter_mlplat.backends.local.instances import LocalInstances
    from jupyter_mlplat.backends.local.jobs import LocalJobs
    from jupyter_mlplat.backends.local.mounts import LocalMounts
    from jupyter_mlplat.backends.local.ssh import local_ssh
    from jupyter_mlplat.hub.client import HubClient
    from jupyter_mlplat.jobs.bundle import Limits
    from jupyter_mlplat.jobs.tokens import JobLine, JobTokens

    hub = HubClient(settings.hub_api_url, settings.hub_api_token.get_secret_value())
    environments = Environments(settings.data_dir)
    api = f"http://127.0.0.1:{settings.port}{settings.service_prefix}v1"
    granting = asyncio.Lock()
    limits = Limits(files=settings.bundle_files, total_bytes=settings.bundle_bytes)
    data, tokens = settings.data_dir, JobTokens(settings.hub_secret.get_secret_value())

    async def close() -> None:
        await environments.close()
        await hub.close()

    instances = LocalInstances(
        data, hub, environments, api=api, console=settings.service_prefix, granting=granting, variables=_told(settings)
    )
    return Backends(
        instances,
        LocalImages(data, environments),
        LocalJobs(data, environments, granting=granting, limits=limits, line=JobLine(api, tokens)),
        LocalMounts(data),
        close,
        local_ssh(data, instances) if settings.ssh_port else None,
    )


def _told(settings: Settings) -> dict[str, str]:
    """What the platform's owner tells the servers of instances, as variables."""
    return {"MLPLAT_IMPORT_ADDRESSES": ",".join(settings.import_addresses)}


def _kubernetes(settings: Settings) -> Backends:
    from jupyter_mlplat.backends.kubernetes.builds import BuildingImages
    from jupyter_mlplat.backends.kubernetes.client import Cluster
    from jupyter_mlplat.backends.kubernetes.instances import KubernetesInstances
    from jupyter_mlplat.backends.kubernetes.jobs import KubernetesJobs
    from jupyter_mlplat.backends.kubernetes.mounts import KubernetesMounts
    from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
    from jupyter_mlplat.backends.kubernetes.ssh import PodDoors
    from jupyter_mlplat.backends.kubernetes.watch import World
    from jupyter_mlplat.hub.client import HubClient
    from jupyter_mlplat.jobs.survey import Limits
    from jupyter_mlplat.jobs.tokens import JobTokens

    kubernetes = KubernetesSettings()
    cluster = Cluster()
    world = World(cluster, kubernetes.namespace)
    hub = HubClient(settings.hub_api_url, settings.hub_api_token.get_secret_value(), poll_seconds=0.2)
    tokens = JobTokens(settings.hub_secret.get_secret_value())
    api = f"{kubernetes.api_url}{settings.service_prefix}v1"
    limits = Limits(files=settings.bundle_files, total_bytes=settings.bundle_bytes)
    images = BuildingImages(settings.data_dir, cluster, kubernetes, tokens, limits, api=api)
    jobs = KubernetesJobs(settings.data_dir, cluster, world, kubernetes, tokens, api=api)

    async def close() -> None:
        for part in (jobs, images, hub, world, cluster):
            await part.close()

    instances = KubernetesInstances(
        cluster, world, hub, kubernetes, console=settings.service_prefix, variables=_told(settings)
    )
    doors = None
    if kubernetes.sshd_port:
        doors = PodDoors(world, kubernetes.sshd_port, settings.gateway_secret.get_secret_value())
    return Backends(instances, images, jobs, KubernetesMounts(cluster, world, kubernetes), close, doors)


def _memory(_settings: Settings) -> Backends:
    from jupyter_mlplat.backends.memory import MemoryImages, MemoryInstances, MemoryJobs, MemoryMounts

    async def close() -> None:
        """Nothing is open."""

    return Backends(MemoryInstances(), MemoryImages(), MemoryJobs(), MemoryMounts(), close)
