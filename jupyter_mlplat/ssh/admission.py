"""What the gateway asks: which keys open a login, and whether who holds one is let through now."""

import time
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import allowed
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.backends.ssh import Door, SshTarget, Visit
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import BackendFailure, MlplatError
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.instances import store as instances
from jupyter_mlplat.instances.models import Status, Target
from jupyter_mlplat.instances.service import STARTABLE, InstanceService
from jupyter_mlplat.instances.spec import spec_of
from jupyter_mlplat.instances.store import InstanceRow
from jupyter_mlplat.ssh import store
from jupyter_mlplat.ssh.addresses import is_allowed
from jupyter_mlplat.ssh.store import SshKeyRow

REFUSALS_APART = 10.0
"""Seconds between two audit records of the same refusal, so that tries without end fill no table."""

NOT_YOURS = "this key does not open this instance any more."


@dataclass(frozen=True)
class Admitted:
    """A key that opens a login; from one of `addresses` where there are any."""

    instance_id: str
    key_id: str
    public: str
    addresses: list[str]


@dataclass(frozen=True)
class Wait:
    """The instance is not there yet."""

    words: str


@dataclass(frozen=True)
class Refusal:
    words: str


@dataclass(frozen=True)
class Admission:
    """Decides about each connection anew; nothing is kept from one to the next."""

    database: Database
    broker: Broker
    target: SshTarget
    instances: InstanceService
    _refused: dict[tuple[str, str], float] = field(default_factory=dict)

    async def key(self, login: str, fingerprint: str) -> Admitted | None:
        """The key, where it opens this login: NAME.OWNER of an instance, or its id."""
        async with self.database.read() as session:
            row = await _instance_of(session, login)
            key = await store.with_fingerprint(session, row.owner, fingerprint) if row else None
        if row is None or key is None or key.expired or not store.is_chosen(row, key.id):
            await self._note_refusal("unknown key", login, row, f"{login} with {fingerprint}")
            return None
        return Admitted(row.id, key.id, key.public, row.ssh_addresses)

    async def connect(self, visit: Visit, asked: int) -> Door | Wait | Refusal:
        """Let somebody through to an instance that runs; start one that is stopped. `asked` counts the tries."""
        async with self.database.read() as session:
            row = await instances.get(session, visit.instance_id)
            key = await store.get(session, visit.key_id)
            keys = await store.public_of(session, row) if row else []
        if row is None or key is None or not _opens(key, row):
            return await self._refuse(visit, row, NOT_YOURS)
        if not is_allowed(visit.address, row.ssh_addresses):
            return await self._refuse(
                visit, row, f"{visit.address} is not among the addresses that may reach {row.name}."
            )
        if row.status == Status.RUNNING and row.target == Target.RUNNING and not row.switching:
            return await self._admit(visit, row, key, keys)
        return await self._bring_up(visit, row, asked)

    async def _admit(self, visit: Visit, row: InstanceRow, key: SshKeyRow, keys: list[str]) -> Door | Wait:
        spec = spec_of(row, self.instances.flavors.get(row.flavor))
        try:
            door = await self.target.admit(spec, keys, visit)
        except BackendFailure as failure:
            return Wait(failure.message)
        async with self.database.transaction() as session:
            await store.note_use(session, key.id)
            words = f"from {visit.address} with {key.fingerprint}"
            audit.record(session, Actor(row.owner, source=visit.address), "ssh:connect", resource_id=row.id,
                         owner=row.owner, resource_name=row.name, detail=words)  # fmt: skip
        self.broker.touch(row.owner, "instance", row.id)
        return door

    async def _bring_up(self, visit: Visit, row: InstanceRow, asked: int) -> Wait | Refusal:
        """A stopped instance is started once; what becomes of it is told."""
        if row.status not in STARTABLE:
            return Wait(f"{row.name} is {row.situation}: {row.status_message}" if row.status_message else
                        f"{row.name} is {row.situation} …")  # fmt: skip
        if asked and row.target == Target.STOPPED and row.status != Status.STOPPED:
            return Refusal(f"{row.name} did not start: {row.status_message}")
        if row.target != Target.STOPPED:
            return Wait(f"{row.name} is being started …")
        try:
            await self.instances.start(Actor(row.owner, source=visit.address), row.id)
        except MlplatError as error:
            return Refusal(error.message)
        return Wait(f"{row.name} is stopped; starting it …")

    async def _refuse(self, visit: Visit, row: InstanceRow | None, words: str) -> Refusal:
        await self._note_refusal(visit.key_id, visit.instance_id, row, words, visit.address)
        return Refusal(words)

    async def _note_refusal(self, who: str, login: str, row: InstanceRow | None, words: str, address: str = "") -> None:
        moment = time.monotonic()
        for known in [known for known, at in self._refused.items() if moment - at > REFUSALS_APART]:
            del self._refused[known]
        if (who, login) in self._refused or len(self._refused) > 1000:
            return
        self._refused[who, login] = moment
        async with self.database.transaction(silent=True) as session:
            audit.record(session, Actor(who, source=address), "ssh:connect", resource_id=row.id if row else "",
                         owner=row.owner if row else "", resource_name=row.name if row else "", result="refused",
                         detail=words)  # fmt: skip


def _opens(key: SshKeyRow, instance: InstanceRow) -> bool:
    own = allowed(Actor(key.owner), "ssh:connect", instance.owner)
    return own and not key.expired and store.is_chosen(instance, key.id)


def visit_of(visit: str, instance: str, key: str, address: str, gateway: str) -> Visit:
    return Visit(visit, instance, key, address, now(), gateway)


async def _instance_of(session: AsyncSession, login: str) -> InstanceRow | None:
    name, dot, owner = login.partition(".")
    return await (instances.named(session, owner, name) if dot else instances.get(session, login))
