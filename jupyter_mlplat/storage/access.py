"""Where a bucket of a user's is, and the keys with which their instances reach it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.errors import Conflict, InvalidInput, MlplatError, NotAllowed, NotFound
from jupyter_mlplat.storage.endpoint_looks import temporary
from jupyter_mlplat.storage.endpoint_models import BucketPlace, Credentials, CredentialsAsked
from jupyter_mlplat.storage.endpoint_store import EndpointRow
from jupyter_mlplat.storage.endpoints import EndpointService
from jupyter_mlplat.storage.engine.connection import Keys
from jupyter_mlplat.storage.models import LOCAL
from jupyter_mlplat.storage.object_urls import ObjectUrl

OWN_KEYS_FOR = timedelta(minutes=15)
"""After which whoever has an endpoint's own keys asks whether they are still the same."""

LOOK_AGAIN = timedelta(seconds=5)
"""After which an endpoint that failed is asked for its buckets again."""

CHOOSE = (
    "Say which buckets each of them is to serve, so that only one has {bucket}: "
    "mlplat storage endpoint change NAME --bucket …"
)


@dataclass(frozen=True)
class StorageAccess:
    """Resolves buckets and gives keys, to who reaches the endpoint and to their instances."""

    endpoints: EndpointService

    async def place(self, actor: Actor, bucket: str) -> BucketPlace:
        """The built-in store where it has the bucket, else the caller's endpoint that serves it, else a shared one.

        NotFound where none does, Conflict where several do.
        """
        require(actor, "storage:use", owner=actor.user)
        (local,) = await self.endpoints.builtin.endpoints(actor)
        if bucket in local.buckets:
            return BucketPlace(bucket=bucket, endpoint=LOCAL)
        return BucketPlace(bucket=bucket, endpoint=(await self._serving(actor, bucket)).name_for(actor.user))

    async def check_given(self, actor: Actor, endpoint: str) -> str:
        """The prefix that an endpoint is for; NotAllowed where its owner lets no keys leave the platform."""
        row = await self.endpoints.row(actor, endpoint)
        _refuse_kept(row, actor.user)
        return row.prefix

    async def credentials(self, actor: Actor, asked: CredentialsAsked) -> Credentials:
        """Keys for an endpoint, or for the one that a bucket is at. NotAllowed where its owner lets none leave."""
        require(actor, "storage:use", owner=actor.user)
        if (asked.endpoint is None) == (asked.bucket is None):
            raise InvalidInput("Name an endpoint or a bucket, one of the two.")
        return await self._given(actor, asked.endpoint or (await self.place(actor, asked.bucket or "")).endpoint)

    async def credentials_for(self, actor: Actor, bucket: str, label: str) -> Credentials:
        """Keys for a job, which `label` names. Temporary ones are good for that bucket alone, and soon end."""
        require(actor, "storage:use", owner=actor.user)
        place = await self.place(actor, bucket)
        return await self._given(actor, place.endpoint, only=bucket, purpose=f" for {label}")

    async def credentials_at(self, actor: Actor, endpoint: str, folder: ObjectUrl, label: str) -> Credentials:
        """Keys for a folder at that endpoint. Temporary ones are good for that folder alone, and soon end."""
        require(actor, "storage:use", owner=actor.user)
        row = await self.endpoints.row(actor, endpoint)
        if (row.buckets and folder.bucket not in row.buckets) or not folder.key.startswith(row.prefix):
            raise NotAllowed(f"{endpoint} is not for {folder} any more.")
        return await self._given(actor, endpoint, only=folder.bucket, below=folder.key, purpose=f" for {label}")

    async def _given(
        self, actor: Actor, name: str, *, only: str = "", below: str = "", purpose: str = ""
    ) -> Credentials:
        """`purpose` is for the audit."""
        if name == LOCAL:
            return Credentials(endpoint=LOCAL, provider="local")
        row = await self.endpoints.row(actor, name)
        _refuse_kept(row, actor.user)
        keys = await self._keys(row, only, below, actor.user)
        await self._note(actor, row, keys, purpose)
        return _described(row, name, keys)

    async def _serving(self, actor: Actor, bucket: str) -> EndpointRow:
        own = await self.endpoints.own(actor)
        if found := await self._with_bucket(own, bucket):
            return _only(found, actor, bucket, CHOOSE.format(bucket=bucket))
        shared = await self.endpoints.shared(actor)
        if found := await self._with_bucket(shared, bucket):
            return _only(found, actor, bucket, "Ask their owners which is to serve it.")
        raise NotFound(f"There is no bucket {bucket} in your storage.{_out_of_reach([*own, *shared], actor.user)}")

    async def _with_bucket(self, rows: list[EndpointRow], bucket: str) -> list[EndpointRow]:
        found = [row for row in rows if bucket in row.serves]
        return found or [row for row in await self._looked_again(rows) if bucket in row.serves]

    async def _looked_again(self, rows: list[EndpointRow]) -> list[EndpointRow]:
        """Those that serve whatever their keys can list, as they are now: a bucket may be new."""
        due = [row for row in rows if not row.buckets and not _just_failed(row)]
        seen = await asyncio.gather(*(self.endpoints.looked(row) for row in due))
        for row, one in zip(due, seen, strict=True):
            row.found = row.found if one.problem else one.buckets
            with suppress(NotFound):  # it is gone meanwhile
                await self.endpoints.write_down(row, one)
        return due

    async def _keys(self, row: EndpointRow, only: str, below: str, user: str) -> Keys:
        try:
            return await self._opened(row, only, below)
        except MlplatError as error:
            if user == row.owner:
                raise
            raise type(error)(f"{row.name_for(user)} gives no keys just now. Ask {row.owner} to test it.") from error

    async def _opened(self, row: EndpointRow, only: str, below: str) -> Keys:
        secret = self.endpoints.vault.open(row.sealed)
        if row.keys == "own":
            return Keys(row.access_key, secret, None, now() + OWN_KEYS_FOR)
        return await asyncio.to_thread(temporary, row, secret, self.endpoints.addresses, only=only, below=below)

    async def _note(self, actor: Actor, row: EndpointRow, keys: Keys, purpose: str) -> None:
        kind = "its own keys" if row.keys == "own" else f"temporary keys until {keys.expires_at:%H:%M:%S} UTC"
        async with self.endpoints.database.transaction(silent=True) as session:
            audit.record(
                session, actor, "storage:use", resource_id=row.id, resource_name=row.name, owner=row.owner,
                detail=f"took {kind} of the endpoint {row.name_for(actor.user)}{purpose}",
            )  # fmt: skip


def _only(found: list[EndpointRow], actor: Actor, bucket: str, advice: str) -> EndpointRow:
    if len(found) > 1:
        names = " and ".join(row.name_for(actor.user) for row in found)
        raise Conflict(f"{names} both serve a bucket {bucket}. {advice}")
    return found[0]


def _refuse_kept(row: EndpointRow, user: str) -> None:
    if row.keys == "none" and user != row.owner:
        raise NotAllowed(f"{row.name_for(user)} gives no keys to instances and jobs. Ask {row.owner} to let it.")
    if row.keys == "none":
        raise NotAllowed(
            f"The endpoint {row.name} gives no keys to instances and jobs. Where it has STS, let it give "
            "temporary ones; else let its own keys leave the platform: in the console below Storage, or by "
            f"mlplat storage endpoint change {row.name} --temporary-keys or --hand-out-keys."
        )


def _described(row: EndpointRow, name: str, keys: Keys) -> Credentials:
    same = ("provider", "address", "region", "path_style", "authorities", "prefix")
    return Credentials(
        **{name: getattr(row, name) for name in same},
        endpoint=name,
        access_key=keys.access,
        secret_key=keys.secret,
        token=keys.token,
        expires_at=keys.expires_at,
    )


def _just_failed(row: EndpointRow) -> bool:
    return row.state == "failed" and row.tested_at is not None and row.tested_at > now() - LOOK_AGAIN


def _out_of_reach(rows: list[EndpointRow], user: str) -> str:
    names = [row.name_for(user) for row in rows if row.state == "failed" and not row.buckets]
    return f" It may be at {' or '.join(names)}, which could not be listed." if names else ""
