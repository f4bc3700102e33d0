"""The platform process: builds every part, owns nothing else."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI

from jupyter_mlplat import __version__
from jupyter_mlplat.access.groups import HubGroups
from jupyter_mlplat.access.identity import HubIdentities
from jupyter_mlplat.access.routes import router as access_router
from jupyter_mlplat.access.sessions import Sessions
from jupyter_mlplat.advisories.routes import router as advisories_router
from jupyter_mlplat.audit.routes import router as audit_router
from jupyter_mlplat.backends import choose
from jupyter_mlplat.backends.choose import Backends
from jupyter_mlplat.backends.ssh import SshDoors
from jupyter_mlplat.console.routes import router as console_router
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.db.migrate import migrate
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.events.feed import Feed
from jupyter_mlplat.events.relay import Relay
from jupyter_mlplat.events.routes import router as events_router
from jupyter_mlplat.flavors.routes import router as flavors_router
from jupyter_mlplat.flavors.service import FlavorService, read_catalog
from jupyter_mlplat.health import router as health_router
from jupyter_mlplat.http import PROBLEMS, Services, install_errors
from jupyter_mlplat.images.build_intake import router as build_intake_router
from jupyter_mlplat.images.reconcile import ImageReconciler
from jupyter_mlplat.images.routes import router as images_router
from jupyter_mlplat.images.service import ImageService
from jupyter_mlplat.instances.reconcile import InstanceReconciler
from jupyter_mlplat.instances.routes import internal as internal_router
from jupyter_mlplat.instances.routes import router as instances_router
from jupyter_mlplat.instances.service import InstanceService
from jupyter_mlplat.jobs.intake_routes import router as intake_router
from jupyter_mlplat.jobs.reconcile import JobReconciler
from jupyter_mlplat.jobs.routes import bundles as bundles_router
from jupyter_mlplat.jobs.routes import router as jobs_router
from jupyter_mlplat.jobs.service import JobService
from jupyter_mlplat.mounts.keys import MountKeys
from jupyter_mlplat.mounts.reconcile import MountReconciler
from jupyter_mlplat.mounts.routes import router as mounts_router
from jupyter_mlplat.mounts.service import MountService
from jupyter_mlplat.quotas.routes import router as quotas_router
from jupyter_mlplat.reconciling.leader import Leader
from jupyter_mlplat.reconciling.loop import Reconciler
from jupyter_mlplat.serving import serve
from jupyter_mlplat.ssh.admission import Admission
from jupyter_mlplat.ssh.reconcile import SshReconciler
from jupyter_mlplat.ssh.remote import RemoteGateways
from jupyter_mlplat.ssh.routes import internal as gateway_router
from jupyter_mlplat.ssh.routes import router as ssh_router
from jupyter_mlplat.ssh.routes import served as served_router
from jupyter_mlplat.ssh.service import SshService
from jupyter_mlplat.storage.access import StorageAccess
from jupyter_mlplat.storage.endpoint_looks import addresses_of
from jupyter_mlplat.storage.endpoint_routes import router as endpoint_router
from jupyter_mlplat.storage.endpoints import EndpointService
from jupyter_mlplat.storage.routes import router as storage_router
from jupyter_mlplat.storage.service import StorageService
from jupyter_mlplat.storage.vault import vault_of

ROUTERS = (
    access_router, flavors_router, instances_router, images_router, jobs_router, bundles_router,
    storage_router, events_router, audit_router, quotas_router, internal_router, intake_router,
    build_intake_router,
    endpoint_router, mounts_router,
    ssh_router, gateway_router, served_router,
    advisories_router,
)  # fmt: skip


@dataclass(frozen=True)
class Platform:
    """What `build` made: the parts that routes call, who reconciles beside them, and what carries word."""

    parts: Services
    leader: Leader
    reconcilers: tuple[Reconciler, ...]
    carriers: tuple[Feed, Relay]
    backends: Backends


def build(settings: Settings) -> Platform:
    """Every part of the platform, wired; nothing is started yet."""
    broker = Broker()
    database = Database(settings.database, broker.committed)
    backends = choose.backends(settings)
    groups = HubGroups(settings.hub_api_url, settings.hub_api_token.get_secret_value())
    flavors = FlavorService(read_catalog(settings.flavor_catalog), backends.instances)
    storage = StorageService(database, settings)
    endpoints = EndpointService(database, storage, vault_of(settings), addresses_of(settings), groups)
    access = StorageAccess(endpoints)
    jobs = JobService(database, backends.jobs, flavors, storage, access, settings, groups)
    instances = InstanceService(database, backends.instances, flavors, settings, groups)
    ssh = backends.ssh
    if isinstance(ssh, SshDoors):
        ssh = RemoteGateways(database, broker, ssh)
    parts = Services(
        settings=settings,
        database=database,
        broker=broker,
        identities=HubIdentities(settings.hub_api_url),
        groups=groups,
        sessions=Sessions(settings.hub_secret.get_secret_value()),
        flavors=flavors,
        instances=instances,
        images=ImageService(database, backends.images, flavors, groups, settings),
        jobs=jobs,
        storage=storage,
        endpoints=endpoints,
        access=access,
        mounts=MountService(database, backends.mounts, access),
        ssh=SshService(database, ssh, instances, settings),
        admission=Admission(database, broker, ssh, instances) if ssh else None,
    )
    leader = Leader(database, broker)
    reconcilers: tuple[Reconciler, ...] = (
        InstanceReconciler(leader.database(), broker, backends.instances, backends.images, flavors),
        ImageReconciler(leader.database(), broker, backends.images, backends.instances, flavors, settings),
        JobReconciler(leader.database(), broker, backends.jobs, backends.images, flavors, jobs.channels, settings),
        MountReconciler(leader.database(), broker, backends.mounts, MountKeys(access)),
    )
    if ssh:
        reconcilers += (SshReconciler(leader.database(), broker, ssh),)
    return Platform(parts, leader, reconcilers, (Feed(database, broker), Relay(database, broker)), backends)


def create_app(settings: Settings) -> FastAPI:
    """The web application; its lifespan migrates the database and runs the reconcilers."""
    return assemble(build(settings))


def assemble(platform: Platform) -> FastAPI:
    """The web application around the parts of a platform."""
    settings = platform.parts.settings
    prefix = settings.service_prefix.rstrip("/")

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(migrate, settings.database)
        await platform.parts.endpoints.reseal()
        tasks = [asyncio.create_task(carrier.run()) for carrier in platform.carriers]
        tasks.append(asyncio.create_task(platform.leader.run(platform.reconcilers)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await platform.backends.close()
        await platform.parts.identities.close()
        await platform.parts.groups.close()
        await platform.parts.database.close()

    app = FastAPI(
        title="jupyter-mlplat",
        version=__version__,
        lifespan=lifespan,
        openapi_url=f"{prefix}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.parts = platform.parts
    install_errors(app)
    api = APIRouter(prefix=f"{prefix}/v1", responses=PROBLEMS)
    for router in ROUTERS:
        api.include_router(router)
    app.include_router(api)
    app.include_router(console_router, prefix=prefix)
    app.include_router(health_router)
    return app


def main() -> None:
    """Serve on the address of the settings until told to stop; they come from the environment."""
    logging.basicConfig(
        level=os.environ.get("MLPLAT_LOG_LEVEL", "INFO"), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = Settings()
    serve(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        timeout_graceful_shutdown=2,
        # the proxy keeps its connections: one that we close in the moment it is used again costs a request
        timeout_keep_alive=3600,
        proxy_headers=False,
    )


if __name__ == "__main__":
    main()
