"""Keeps the gateway's names as the instances are, and cuts off who would not be let in any more."""

from jupyter_mlplat.backends.ssh import SshTarget, Visit
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.instances import store as instances
from jupyter_mlplat.instances.models import Target
from jupyter_mlplat.reconciling.loop import Reconciler
from jupyter_mlplat.ssh import store
from jupyter_mlplat.ssh.addresses import is_allowed

NAMES = "names"
"""Stands among the pending ids for the names of the gateway."""
LOOK_SECONDS = 5.0
"""Between two looks while somebody is inside: keys expire without a word."""


class SshReconciler(Reconciler):
    """Looks at each commit: a key that is removed, or an address that is cut, closes at once what it has opened."""

    noun = "ssh"

    def __init__(self, database: Database, broker: Broker, target: SshTarget) -> None:
        super().__init__(database, broker)
        self._target = target
        self._known: set[str] | None = None
        self._inside: dict[str, tuple[str, str]] = {}
        """Owner and instance of each visit that goes on."""

    def rest(self) -> float:
        return min(super().rest(), LOOK_SECONDS) if self._inside else super().rest()

    async def pending(self) -> list[str]:
        visits = await self._target.visits()
        async with self.database.read() as session:
            names = await store.logins(session)
            owners = await store.owners_of_good(session, {visit.key_id for visit in visits}) if visits else {}
            homes = {home: await instances.get(session, home) for home in {visit.instance_id for visit in visits}}
        self._tell_of_gone({visit.id: (home.owner, home.id) for visit in visits if (home := homes[visit.instance_id])})
        unwanted = [visit.id for visit in visits if not _is_welcome(visit, owners, homes)]
        return [NAMES] * (names != self._known) + unwanted

    def _tell_of_gone(self, inside: dict[str, tuple[str, str]]) -> None:
        """Whoever looks at an instance sees that somebody has left."""
        for owner, instance_id in {self._inside[visit] for visit in self._inside.keys() - inside.keys()}:
            self.broker.touch(owner, "instance", instance_id)
        self._inside = inside

    async def reconcile(self, resource_id: str) -> None:
        if resource_id != NAMES:
            await self._target.cut(resource_id)
            return
        async with self.database.read() as session:
            names = await store.logins(session)
        await self._target.know(sorted(names))
        self._known = names


def _is_welcome(visit: Visit, owners: dict[str, str], homes: dict[str, instances.InstanceRow | None]) -> bool:
    home = homes[visit.instance_id]
    if home is None or home.target != Target.RUNNING:
        return False
    own = owners.get(visit.key_id) == home.owner and store.is_chosen(home, visit.key_id)
    return own and is_allowed(visit.address, home.ssh_addresses)
