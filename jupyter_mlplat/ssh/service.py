"""What people may ask of SSH: their keys, who may come from where, and who is inside."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.backends.ssh import SshTarget
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import AlreadyExists, Conflict, InvalidInput, NotFound, QuotaExceeded
from jupyter_mlplat.events import store as events
from jupyter_mlplat.gateway.host_keys import GATEWAY, derived_pair, new_pair
from jupyter_mlplat.instances import store as instances
from jupyter_mlplat.instances.models import InstanceFilter
from jupyter_mlplat.instances.service import InstanceService
from jupyter_mlplat.instances.spec import spec_of
from jupyter_mlplat.instances.store import InstanceRow
from jupyter_mlplat.ssh import store
from jupyter_mlplat.ssh.models import (
    SshAllowed,
    SshChosen,
    SshGateway,
    SshHost,
    SshKey,
    SshKeyCreate,
    SshPair,
    SshPairCreate,
    SshSession,
)
from jupyter_mlplat.ssh.public_keys import PublicKey, read_public_key
from jupyter_mlplat.ssh.store import SshKeyRow

MANY = 500
NOT_HERE = "This platform has no SSH gateway yet."


@dataclass(frozen=True)
class SshService:
    """`target` is None where nobody is let in over SSH; keys are kept all the same."""

    database: Database
    target: SshTarget | None
    instances: InstanceService
    settings: Settings

    async def keys(self, actor: Actor) -> list[SshKey]:
        """The caller's keys, the newest first."""
        require(actor, "ssh:read", owner=actor.user)
        async with self.database.read() as session:
            return [store.to_model(row) for row in await store.of_owner(session, actor.user)]

    async def add(self, actor: Actor, wanted: SshKeyCreate) -> SshKey:
        """Take a public key. InvalidInput, AlreadyExists and QuotaExceeded say why not."""
        require(actor, "ssh:manage", owner=actor.user)
        key = read_public_key(wanted.key)
        row = _row(
            actor.user, key, SshPairCreate(comment=wanted.comment or key.comment[:200], expires_at=wanted.expires_at)
        )
        async with self.database.transaction() as session:
            return await self._keep(session, actor, row)

    async def make(self, actor: Actor, wanted: SshPairCreate) -> SshPair:
        """Make a pair and keep its public half; the private one is in the answer alone."""
        require(actor, "ssh:manage", owner=actor.user)
        private, public = new_pair()
        async with self.database.transaction() as session:
            kept = await self._keep(session, actor, _row(actor.user, read_public_key(public), wanted))
        return SshPair(key=kept, private_key=private)

    async def _keep(self, session: AsyncSession, actor: Actor, row: SshKeyRow) -> SshKey:
        if await store.with_fingerprint(session, row.owner, row.fingerprint):
            raise AlreadyExists(f"You have this key already ({row.fingerprint}).")
        if await store.count(session, row.owner) >= self.settings.ssh_key_quota:
            raise QuotaExceeded(f"You have {self.settings.ssh_key_quota} keys, as many as you may. Remove one first.")
        if row.expired:
            raise InvalidInput("This key would have expired already. Choose a later time, or none.")
        session.add(row)
        _audit(session, actor, "ssh:manage", row, f"added {row.type} {row.fingerprint}")
        events.emit(session, "ssh-key", row.id, row.owner, "Added", f"Key {row.comment or row.fingerprint} was added")
        await session.flush()
        return store.to_model(row)

    async def remove(self, actor: Actor, key_id: str) -> None:
        """Forget a key: it opens nothing more, and who came in by it is cut off by the reconciler."""
        async with self.database.transaction() as session:
            row = await store.get(session, key_id)
            if row is None or row.owner != actor.user:
                raise NotFound(f"There is no SSH key {key_id!r}. `mlplat ssh key list` shows yours.")
            require(actor, "ssh:manage", owner=row.owner, resource_id=row.id)
            await session.delete(row)
            _audit(session, actor, "ssh:manage", row, f"removed {row.type} {row.fingerprint}")
            words = f"Key {row.comment or row.fingerprint} was removed"
            events.emit(session, "ssh-key", row.id, row.owner, "Removed", words)

    def gateway(self, actor: Actor) -> SshGateway:
        """Where the gateway is, and how it is known again."""
        require(actor, "ssh:read", owner=actor.user)
        settings = self.settings
        if self.target is None:
            return SshGateway(host="", port=0, host_key="", fingerprint="", absent=self._absent())
        key = settings.ssh_host_key or derived_pair(self._secret(), GATEWAY)[1]
        fingerprint = read_public_key(key).fingerprint
        return SshGateway(host=settings.ssh_host, port=settings.ssh_port, host_key=key, fingerprint=fingerprint)

    async def hosts(self, actor: Actor) -> list[SshHost]:
        """How each of the caller's instances is reached."""
        require(actor, "ssh:read", owner=actor.user)
        found = await self.instances.find(
            actor, InstanceFilter(owner=actor.user, limit=MANY, sort_key="name", sort_dir="asc")
        )
        async with self.database.read() as session:
            rows = [await session.get_one(InstanceRow, instance.id) for instance in found.data]
        return [await self._host(row) for row in rows]

    async def host(self, actor: Actor, instance_id: str) -> SshHost:
        async with self.database.read() as session:
            row = await self._instance(session, actor, "ssh:read", instance_id)
        return await self._host(row)

    async def allow(self, actor: Actor, instance_id: str, wanted: SshAllowed) -> SshHost:
        """From where people are let in from now on; who is inside from elsewhere is cut off by the reconciler."""
        self._open()
        async with self.database.transaction() as session:
            row = await self._instance(session, actor, "ssh:manage", instance_id)
            row.ssh_addresses = list(dict.fromkeys(wanted.addresses))
            words = ", ".join(row.ssh_addresses) or "everywhere"
            audit.record(session, actor, "ssh:manage", resource_id=row.id, owner=row.owner, resource_name=row.name,
                         detail=f"allowed from {words}")  # fmt: skip
            events.emit(session, "instance", row.id, row.owner, "SshAddresses", f"SSH is allowed from {words}")
        return await self._host(row)

    async def choose(self, actor: Actor, instance_id: str, wanted: SshChosen) -> SshHost:
        """Which keys open an instance from now on; who came in by another is cut off by the reconciler."""
        self._open()
        async with self.database.transaction() as session:
            row = await self._instance(session, actor, "ssh:manage", instance_id)
            own = {key.id: key for key in await store.of_owner(session, row.owner)}
            if unknown := [key_id for key_id in wanted.keys if key_id not in own]:
                raise NotFound(f"There is no SSH key {unknown[0]!r}. `mlplat ssh key list` shows yours.")
            row.ssh_keys = list(dict.fromkeys(wanted.keys))
            words = ", ".join(own[key_id].fingerprint for key_id in row.ssh_keys) or "all keys"
            audit.record(session, actor, "ssh:manage", resource_id=row.id, owner=row.owner, resource_name=row.name,
                         detail=f"opened by {words}")  # fmt: skip
            told = "SSH is opened by chosen keys alone" if row.ssh_keys else "SSH is opened by all keys"
            events.emit(session, "instance", row.id, row.owner, "SshKeys", told)
        return await self._host(row)

    async def sessions(self, actor: Actor, instance_id: str) -> list[SshSession]:
        """Who is on an instance over SSH now, the oldest first."""
        async with self.database.read() as session:
            row = await self._instance(session, actor, "ssh:read", instance_id)
            comments = {key.id: key.comment for key in await store.of_owner(session, row.owner)}
        visits = await self.target.visits(instance_id) if self.target else []
        return [
            SshSession(
                id=visit.id,
                instance_id=visit.instance_id,
                key_id=visit.key_id,
                key_comment=comments.get(visit.key_id, ""),
                address=visit.address,
                since=visit.since,
            )
            for visit in visits
        ]

    async def cut(self, actor: Actor, instance_id: str, session_id: str) -> None:
        """End a session of an instance, with what runs in it."""
        if session_id not in {known.id for known in await self.sessions(actor, instance_id)}:
            raise NotFound(f"There is no SSH session {session_id!r} any more.")
        async with self.database.transaction() as session:
            row = await self._instance(session, actor, "ssh:cut", instance_id)
            audit.record(session, actor, "ssh:cut", resource_id=row.id, owner=row.owner, resource_name=row.name)
        await self._open().cut(session_id)

    async def owners_keys(self, actor: Actor, instance_id: str) -> list[str]:
        """The public keys that open an instance, which asks for itself."""
        async with self.database.read() as session:
            row = await self._instance(session, actor, "ssh:serve", instance_id)
            return await store.public_of(session, row)

    async def own_host_key(self, actor: Actor, instance_id: str) -> str:
        """Both halves of the host key of an instance, which asks for itself; it follows from our secret."""
        async with self.database.read() as session:
            row = await self._instance(session, actor, "ssh:serve", instance_id)
        return derived_pair(self._secret(), row.id)[0]

    async def _host(self, row: InstanceRow) -> SshHost:
        launch = self.instances.backend.launch(spec_of(row, self.instances.flavors.get(row.flavor)))
        return SshHost(
            instance_id=row.id,
            instance_name=row.name,
            login=f"{row.name}.{row.owner}",
            user=row.owner,
            host_key=await self._open().host_key(row.id),
            folder=launch.work_dir,
            addresses=row.ssh_addresses,
            keys=row.ssh_keys,
        )

    def _secret(self) -> str:
        """What the platform shares with its gateways; Conflict where there is none."""
        self._open()
        return self.settings.gateway_secret.get_secret_value()

    def _open(self) -> SshTarget:
        """Conflict where nobody is let in over SSH."""
        if self.target is None:
            raise Conflict(self._absent())
        return self.target

    def _absent(self) -> str:
        return self.settings.ssh_absent or NOT_HERE

    async def _instance(self, session: AsyncSession, actor: Actor, action: str, instance_id: str) -> InstanceRow:
        row = await instances.get(session, instance_id)
        if row is None:
            raise NotFound(f"There is no instance {instance_id!r}.")
        require(actor, "instance:read", owner=row.owner, resource_id=row.id, instance_id=row.id)
        require(actor, action, owner=row.owner, resource_id=row.id, instance_id=row.id)
        return row


def _row(owner: str, key: PublicKey, wanted: SshPairCreate) -> SshKeyRow:
    at = now()
    return SshKeyRow(
        id=new_id("k"),
        owner=owner,
        type=key.type,
        bits=key.bits,
        public=key.line,
        fingerprint=key.fingerprint,
        comment=wanted.comment,
        expires_at=wanted.expires_at,
        last_used_at=None,
        created_at=at,
        updated_at=at,
    )


def _audit(session: AsyncSession, actor: Actor, action: str, row: SshKeyRow, detail: str) -> None:
    audit.record(session, actor, action, resource_id=row.id, owner=row.owner, resource_name=row.comment, detail=detail)
