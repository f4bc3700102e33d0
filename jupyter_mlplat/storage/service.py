"""What people may ask of object storage. It is always the caller's own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.core.incoming import received
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.events import store as events
from jupyter_mlplat.storage import keys
from jupyter_mlplat.storage.keys import Place
from jupyter_mlplat.storage.local import OwnersFolder
from jupyter_mlplat.storage.models import LOCAL, Deleted, Endpoint, Listing, ObjectInfo
from jupyter_mlplat.storage.opened import OpenedFile


@dataclass(frozen=True)
class StorageService:
    """Lists, reads and writes objects of the built-in endpoint `local`; paths are BUCKET/KEY."""

    database: Database
    settings: Settings

    async def endpoints(self, actor: Actor) -> list[Endpoint]:
        """The caller's endpoints with their buckets."""
        require(actor, "storage:read", owner=actor.user)
        buckets = await asyncio.to_thread(self._folder(actor.user).buckets)
        return [Endpoint(name=LOCAL, provider="local", buckets=buckets)]

    async def list(self, actor: Actor, prefix: str, *, recursive: bool, limit: int, marker: str | None) -> Listing:
        """A page of what begins with `prefix`, in the order of the keys."""
        require(actor, "storage:read", owner=actor.user)
        if folder := prefix.rpartition("/")[0]:
            keys.split(folder)
        return await asyncio.to_thread(
            self._folder(actor.user).list, prefix, recursive=recursive, limit=limit, marker=marker
        )

    async def open(self, actor: Actor, path: str) -> OpenedFile:
        """An object, held open for reading."""
        require(actor, "storage:read", owner=actor.user, resource_id=path)
        return await asyncio.to_thread(self._folder(actor.user).open, _object(path))

    async def put(self, actor: Actor, path: str, pieces: AsyncIterator[bytes]) -> ObjectInfo:
        """Write an object: readers see the old one until the new one is whole."""
        require(actor, "storage:write", owner=actor.user, resource_id=path)
        place, folder = _object(path), self._folder(actor.user)
        await asyncio.to_thread(folder.path, place)
        async with received(pieces, folder.incoming) as upload, self.database.transaction() as session:
            detail = f"wrote {upload.size} bytes"
            audit.record(session, actor, "storage:write", resource_id=path, owner=actor.user, detail=detail)
            await session.flush()
            return await asyncio.to_thread(folder.put, place, upload)

    async def delete(self, actor: Actor, path: str) -> Deleted:
        """Delete one object; NotFound where there is none."""
        require(actor, "storage:write", owner=actor.user, resource_id=path)
        place = _object(path)
        async with self.database.transaction() as session:
            audit.record(session, actor, "storage:write", resource_id=path, owner=actor.user, detail="deleted")
            await session.flush()
            await asyncio.to_thread(self._folder(actor.user).delete, place)
        return Deleted(deleted=1)

    async def delete_below(self, actor: Actor, path: str) -> Deleted:
        """Delete every object whose BUCKET/KEY begins with `path`."""
        require(actor, "storage:write", owner=actor.user, resource_id=path)
        bucket, _, prefix = path.partition("/")
        keys.split(f"{bucket}/{prefix.removesuffix('/')}")
        deleted = await asyncio.to_thread(self._folder(actor.user).delete_below, bucket, prefix)
        async with self.database.transaction() as session:
            detail = f"deleted {deleted} objects below it"
            audit.record(session, actor, "storage:write", resource_id=path, owner=actor.user, detail=detail)
        return Deleted(deleted=deleted)

    async def make_bucket(self, actor: Actor, name: str) -> Endpoint:
        require(actor, "storage:write", owner=actor.user, resource_id=name)
        keys.check_bucket(name)
        return await self._change_buckets(actor, name, "BucketMade", f"The bucket {name} is made")

    async def remove_bucket(self, actor: Actor, name: str) -> Endpoint:
        """Remove a bucket that has no object in it."""
        require(actor, "storage:write", owner=actor.user, resource_id=name)
        keys.check_bucket(name)
        return await self._change_buckets(actor, name, "BucketRemoved", f"The bucket {name} is removed")

    async def resolve(self, owner: str, url: str) -> Path:
        """The file or folder of an owner that an obs:// or s3:// URL names; it need not be there, its bucket must."""
        return await asyncio.to_thread(self._folder(owner).path, keys.parse_url(url))

    async def _change_buckets(self, actor: Actor, name: str, type: str, message: str) -> Endpoint:
        folder = self._folder(actor.user)
        change = folder.make_bucket if type == "BucketMade" else folder.remove_bucket
        async with self.database.transaction() as session:
            audit.record(session, actor, "storage:write", resource_id=name, owner=actor.user, detail=message)
            events.emit(session, "storage", name, actor.user, type, message)
            await session.flush()
            await asyncio.to_thread(change, name)
        return (await self.endpoints(actor))[0]

    def _folder(self, owner: str) -> OwnersFolder:
        return OwnersFolder(self.settings.data_dir / "storage", owner)


def _object(path: str) -> Place:
    place = keys.split(path)
    if not place.key:
        raise InvalidInput(f"{path!r} names a bucket; give the key of an object too, as BUCKET/KEY.")
    return place
