"""Who uses what now: instances that hold a flavor, and jobs that run on one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.console.states import State, instance_state, job_state
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.flavors.models import Flavor
from jupyter_mlplat.http import Services
from jupyter_mlplat.instances.models import Instance, InstanceFilter, Status
from jupyter_mlplat.jobs.models import Job, JobFilter, Phase

MANY = 500
HOLDING = frozenset({Status.CREATING, Status.STARTING, Status.RUNNING, Status.STOPPING, Status.SNAPSHOTTING})
WORKING = (Phase.RUNNING, Phase.TERMINATING, Phase.CREATING)


@dataclass(frozen=True)
class Use:
    """One instance or job that holds a flavor; `path` is its page below the console."""

    flavor: Flavor
    user: str
    noun: str
    name: str
    path: str
    state: State
    since: datetime | None


@dataclass(frozen=True)
class Holding:
    """What one user holds: numbers of instances and jobs, CPU cores, MiB of memory, accelerator devices."""

    user: str
    instances: int
    jobs: int
    vcpus: int
    memory_mib: int
    accelerators: int


async def current_uses(parts: Services, actor: Actor) -> list[Use]:
    """All uses that the caller may see: accelerators first, then the biggest flavors."""
    instances = [row for row in await _instances(parts, actor) if row.status in HOLDING]
    uses = [_of_instance(row, _flavor(parts, row.flavor)) for row in instances]
    uses += [_of_job(row, _flavor(parts, row.flavor)) for row in await _jobs(parts, actor)]
    return sorted(uses, key=lambda use: (-_devices(use.flavor), -use.flavor.vcpus, use.flavor.id, use.user, use.name))


def sum_by_user(uses: Iterable[Use]) -> list[Holding]:
    """What each user holds; who holds most accelerators first."""
    users: dict[str, list[Use]] = {}
    for use in uses:
        users.setdefault(use.user, []).append(use)
    holdings = [_sum(user, held) for user, held in users.items()]
    return sorted(holdings, key=lambda holding: (-holding.accelerators, -holding.vcpus, holding.user))


def _sum(user: str, held: list[Use]) -> Holding:
    return Holding(
        user=user,
        instances=sum(use.noun == "instance" for use in held),
        jobs=sum(use.noun == "job" for use in held),
        vcpus=sum(use.flavor.vcpus for use in held),
        memory_mib=sum(use.flavor.memory_mib for use in held),
        accelerators=sum(_devices(use.flavor) for use in held),
    )


def _of_instance(row: Instance, flavor: Flavor) -> Use:
    path = f"instances/{row.id}"
    return Use(flavor, row.owner, "instance", row.name, path, instance_state(row), row.started_at)


def _of_job(row: Job, flavor: Flavor) -> Use:
    return Use(flavor, row.owner, "job", f"{row.name} #{row.number}", f"jobs/{row.id}", job_state(row), row.started_at)


def _devices(flavor: Flavor) -> int:
    return flavor.accelerator.count if flavor.accelerator else 0


def _flavor(parts: Services, flavor_id: str) -> Flavor:
    """The flavor; where the catalogue lost it, one that holds as little as can be said."""
    try:
        return parts.flavors.get(flavor_id)
    except InvalidInput:
        return Flavor(id=flavor_id, name=flavor_id, vcpus=1, memory_mib=1)


async def _instances(parts: Services, actor: Actor) -> list[Instance]:
    found: list[Instance] = []
    while True:
        page = await parts.instances.find(actor, InstanceFilter(limit=MANY, offset=len(found)))
        found += page.data
        if not page.data or len(found) >= page.total:
            return found


async def _jobs(parts: Services, actor: Actor) -> list[Job]:
    """The jobs that run now; the newest 500 of each phase, which is more than one machine runs."""
    pages = [await parts.jobs.find(actor, JobFilter(limit=MANY, phase=phase)) for phase in WORKING]
    return [row for page in pages for row in page.data]
