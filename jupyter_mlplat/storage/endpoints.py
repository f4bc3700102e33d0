"""Endpoints of users: adding, testing, changing and removing one's own, and seeing those that others share."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.groups import Groups, check_own
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import AlreadyExists, BackendFailure, InUse, InvalidInput, NotAllowed, NotFound
from jupyter_mlplat.events import store as events
from jupyter_mlplat.jobs import store as jobs
from jupyter_mlplat.mounts import store as mounts
from jupyter_mlplat.storage import endpoint_store as store
from jupyter_mlplat.storage.endpoint_looks import Look, look
from jupyter_mlplat.storage.endpoint_models import EndpointAdd, EndpointChange
from jupyter_mlplat.storage.endpoint_store import SHARED_MARK, EndpointRow, to_model
from jupyter_mlplat.storage.engine.addresses import Addresses
from jupyter_mlplat.storage.engine.connection import by_path, region_of
from jupyter_mlplat.storage.models import LOCAL, Endpoint
from jupyter_mlplat.storage.object_urls import ObjectUrl, is_object_url
from jupyter_mlplat.storage.service import StorageService
from jupyter_mlplat.storage.vault import Vault

MOST = 50
"""Endpoints of one owner."""


@dataclass(frozen=True)
class EndpointService:
    """Secrets go in and are never told again, but to processes that the owner lets have them (`StorageAccess`)."""

    database: Database
    builtin: StorageService
    vault: Vault
    addresses: Addresses
    groups: Groups

    async def find(self, actor: Actor) -> list[Endpoint]:
        """The built-in endpoint, the caller's own, and those shared with a group of theirs, with their buckets."""
        (local,) = await self.builtin.endpoints(actor)
        groups = await self.groups.known(actor.user)
        async with self.database.read() as session:
            own = await store.of_owner(session, actor.user)
            shared = await store.shared_with(session, actor.user, groups)
        return [local, *(to_model(row, actor.user) for row in [*own, *shared])]

    async def own(self, actor: Actor) -> list[EndpointRow]:
        async with self.database.read() as session:
            return await store.of_owner(session, actor.user)

    async def shared(self, actor: Actor) -> list[EndpointRow]:
        """Those that others share with a group of the caller's; BackendFailure where nobody knows these."""
        groups = await self.groups.of(actor.user)
        async with self.database.read() as session:
            return await store.shared_with(session, actor.user, groups)

    async def get(self, actor: Actor, name: str) -> Endpoint:
        require(actor, "storage:read", owner=actor.user)
        if name == LOCAL:
            return (await self.builtin.endpoints(actor))[0]
        return to_model(await self.row(actor, name), actor.user)

    async def add(self, actor: Actor, wanted: EndpointAdd) -> Endpoint:
        """Keep it and test it; one that does not answer is kept all the same, with what is wrong."""
        require(actor, "storage:manage", owner=actor.user, resource_id=wanted.name)
        await self._check_addresses(wanted)
        row = self._made(actor, wanted)
        async with self.database.transaction() as session:
            known = await store.of_owner(session, actor.user)
            if any(one.name == wanted.name for one in known):
                raise AlreadyExists(f"You have an endpoint {wanted.name} already. Choose another name.")
            if len(known) >= MOST:
                raise InUse(f"You have {MOST} endpoints, which is all that can be. Remove one first.")
            session.add(row)
            _note(session, actor, row, "EndpointAdded", f"The endpoint {row.name} at {row.address} is added")
        return await self._tested(row)

    async def test(self, actor: Actor, name: str) -> Endpoint:
        """Ask the endpoint for a listing, and write down how it went."""
        return await self._tested(await self._own(actor, name))

    async def change(self, actor: Actor, name: str, wanted: EndpointChange) -> Endpoint:
        """Change what is given. New keys are tried first: where they fail the old ones stay."""
        row = await self._own(actor, name)
        given = wanted.model_dump(exclude_none=True, exclude={"secret_key"})
        _check_keys(wanted)
        await check_own(self.groups, row.owner, set(wanted.groups or ()) - set(row.groups))
        await self._check_addresses(wanted)
        sealed = self.vault.seal(wanted.secret_key.get_secret_value()) if wanted.secret_key else row.sealed
        _apply(row, given, sealed)
        seen = await self.looked(row)
        if wanted.secret_key and seen.problem:
            raise InvalidInput(f"The new keys were not taken, the old ones stay. {seen.problem}")
        async with self.database.transaction() as session:
            kept = await self._row(session, actor.user, name)
            _apply(kept, given, sealed)
            _write_down(kept, seen)
            _note(session, actor, kept, "EndpointChanged", f"The endpoint {name} is changed: {_changes(wanted)}")
        return to_model(kept, actor.user)

    async def remove(self, actor: Actor, name: str) -> None:
        """Forget it and its keys; what is in its buckets stays. InUse names the jobs and the mounts that use it."""
        if name == LOCAL:
            raise NotAllowed("The built-in endpoint cannot be removed.")
        await self._own(actor, name)
        async with self.database.transaction() as session:
            row = await self._row(session, actor.user, name)
            using = [job.label for job in await jobs.unfinished(session, actor.user) if _uses(job, row.serves)]
            if mounted := await mounts.at_endpoint(session, actor.user, name):
                raise InUse(f"{', '.join(mounted)} of it is mounted in an instance. Unmount it, then remove {name}.")
            if using:
                raise InUse(f"{', '.join(using)} still uses what is at {name}. Stop it or wait, then remove {name}.")
            _note(session, actor, row, "EndpointRemoved", f"The endpoint {name} is removed")
            await session.delete(row)

    async def reseal(self) -> int:
        """Encrypt with the newest of the platform's keys what older ones have sealed; how many secrets that were.

        What none of them opens is left as it is: its owner is told so by a test.
        """
        done = 0
        async with self.database.transaction(silent=True) as session:
            for row in await store.everyone(session):
                if not self.vault.is_new(row.sealed):
                    with suppress(BackendFailure):
                        row.sealed = self.vault.seal(self.vault.open(row.sealed))
                        done += 1
        return done

    async def row(self, actor: Actor, name: str) -> EndpointRow:
        """The one that the caller calls so, their own or a shared one; NotFound where there is none."""
        async with self.database.read() as session:
            own = await store.named(session, actor.user, name)
        if own is not None:
            return own
        for row in await self.shared(actor) if SHARED_MARK in name else ():
            if row.name_for(actor.user) == name:
                require(actor, "storage:use", owner=row.owner, resource_id=name, shared=True)
                return row
        raise _none(name)

    async def _own(self, actor: Actor, name: str) -> EndpointRow:
        """The same, for those who may change it; NotAllowed where it is somebody else's."""
        require(actor, "storage:manage", owner=actor.user, resource_id=name)
        row = await self.row(actor, name)
        if row.owner != actor.user:
            raise NotAllowed(f"{name} belongs to {row.owner}, who alone can change it. Ask {row.owner}.")
        return row

    async def looked(self, row: EndpointRow) -> Look:
        try:
            secret = self.vault.open(row.sealed)
        except BackendFailure as error:
            return Look([], error.message)
        return await asyncio.to_thread(look, row, secret, self.addresses)

    async def write_down(self, row: EndpointRow, seen: Look) -> Endpoint:
        """What a look has shown, unless the endpoint is gone meanwhile."""
        async with self.database.transaction() as session:
            kept = await session.get(EndpointRow, row.id)
            if kept is None:
                raise _none(row.name)
            _write_down(kept, seen)
        return to_model(kept, kept.owner)

    async def _check_addresses(self, wanted: EndpointAdd | EndpointChange) -> None:
        for address in filter(None, (wanted.address, wanted.sts_address)):
            await asyncio.to_thread(self.addresses.check, address)

    async def _tested(self, row: EndpointRow) -> Endpoint:
        return await self.write_down(row, await self.looked(row))

    async def _row(self, session: AsyncSession, owner: str, name: str) -> EndpointRow:
        row = await store.named(session, owner, name)
        if row is None:
            raise _none(name)
        return row

    def _made(self, actor: Actor, wanted: EndpointAdd) -> EndpointRow:
        same = wanted.model_dump(exclude={"secret_key", "region", "path_style"})
        by_name = wanted.provider == "obs" or not by_path(wanted.address)
        return EndpointRow(
            **same,
            id=new_id("e"),
            owner=actor.user,
            region=wanted.region or region_of(wanted.address),
            path_style=not by_name if wanted.path_style is None else wanted.path_style,
            sealed=self.vault.seal(wanted.secret_key.get_secret_value()),
            found=[],
            state="untested",
            message="",
        )


def _apply(row: EndpointRow, given: dict[str, object], sealed: str) -> None:
    for name, value in given.items():
        setattr(row, name, value)
    row.sealed = sealed


def _write_down(row: EndpointRow, seen: Look) -> None:
    row.state, row.message, row.tested_at = "failed" if seen.problem else "ready", seen.problem, now()
    if not seen.problem:
        row.found = seen.buckets


def _check_keys(wanted: EndpointChange) -> None:
    if (wanted.access_key is None) != (wanted.secret_key is None):
        raise InvalidInput("An access key and its secret key belong together: give both.")
    if wanted.address is not None and wanted.secret_key is None:
        raise InvalidInput("Keys are not sent to another address unseen: give the access key and the secret key too.")


def _changes(wanted: EndpointChange) -> str:
    names = [name for name in wanted.model_dump(exclude_none=True) if name not in ("secret_key", "groups")]
    if wanted.groups is not None:
        names.append(f"shared with {', '.join(wanted.groups) or 'nobody'}")
    return ", ".join(names) or "nothing"


def _note(session: AsyncSession, actor: Actor, row: EndpointRow, type: str, words: str) -> None:
    audit.record(
        session, actor, "storage:manage", resource_id=row.id, resource_name=row.name, owner=row.owner, detail=words
    )
    events.emit(session, "storage", row.id, row.owner, type, words)


def _uses(job: jobs.JobRow, buckets: Sequence[str]) -> bool:
    urls = [str(channel.get("url", "")) for channel in (*job.inputs, *job.outputs)]
    return any(ObjectUrl.parse(url).bucket in buckets for url in urls if is_object_url(url))


def _none(name: str) -> NotFound:
    return NotFound(f"You have no endpoint {name!r}.")
