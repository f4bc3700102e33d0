"""Bundles on the disk: one file for each digest, whoever uploaded it."""

import asyncio
import tarfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import zstandard
from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import require
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.incoming import Received, received
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.jobs import store
from jupyter_mlplat.jobs.models import Bundle, BundleLimits
from jupyter_mlplat.jobs.store import BundleRow

_LOOK_AT = 64 * 1024**2
_WINDOW_AT_MOST = 128 * 1024**2


@dataclass(frozen=True)
class BundleFolder:
    """The folder `bundles/`; a digest is sha256:HEX."""

    root: Path

    def path(self, digest: str) -> Path:
        return self.root / f"{digest.removeprefix('sha256:')}.tar.zst"

    @property
    def incoming(self) -> Path:
        """Where uploads are until they are whole."""
        return self.root / ".incoming"

    def receive(self, pieces: AsyncIterator[bytes], limit: int) -> AbstractAsyncContextManager[Received]:
        return received(pieces, self.incoming, limit=limit, hashed=True)

    def check_entry(self, digest: str, entry: str) -> None:
        """InvalidInput where the bundle does not hold `entry`, NotFound where there is no bundle.

        Only the first 64 MiB of the unpacked bundle are looked at; what comes later is found out by the run.
        """
        try:
            found = _holds(self.path(digest), entry)
        except FileNotFoundError:
            raise NotFound(f"There is no bundle {digest}. Upload it again.") from None
        except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError):
            raise InvalidInput("The bundle cannot be read: it is no whole tar+zstd file. Pack it again.") from None
        if not found:
            raise InvalidInput(f"The bundle does not hold {entry!r}. Upload the folder with it.")


async def release(session: AsyncSession, folder: BundleFolder, owner: str, digest: str) -> None:
    """Give up an owner's bundle once no job of theirs needs it, and its bytes once no owner does."""
    if await store.drop_bundle(session, owner, digest):
        # Inside the transaction, as a file is placed: one comes wholly before the other.
        await asyncio.to_thread(folder.path(digest).unlink, missing_ok=True)


@dataclass(frozen=True)
class BundleService:
    """What people may ask of bundles. One that somebody else uploaded does not exist for you."""

    database: Database
    settings: Settings

    @property
    def folder(self) -> BundleFolder:
        return BundleFolder(self.settings.data_dir / "bundles")

    @property
    def limits(self) -> BundleLimits:
        """The owner's settings for what a bundle may hold."""
        return BundleLimits(files=self.settings.bundle_files, total_bytes=self.settings.bundle_bytes)

    async def get(self, actor: Actor, digest: str) -> Bundle:
        """The bundle, where the caller has uploaded it."""
        require(actor, "bundle:read", owner=actor.user, resource_id=digest)
        async with self.database.read() as session:
            bundle = await store.bundle(session, actor.user, digest)
        if bundle is None or not await asyncio.to_thread(self.folder.path(digest).exists):
            raise NotFound(f"There is no bundle {digest}. Upload it first.")
        return bundle

    async def put(self, actor: Actor, digest: str, pieces: AsyncIterator[bytes]) -> Bundle:
        """Keep the uploaded bytes, whose sha256 must be the digest."""
        require(actor, "bundle:create", owner=actor.user, resource_id=digest)
        async with self.folder.receive(pieces, self.settings.bundle_bytes) as upload:
            if digest != f"sha256:{upload.sha256}":
                raise InvalidInput(f"What arrived has the digest sha256:{upload.sha256}, not {digest}. Send it again.")
            async with self.database.transaction() as session:
                await session.merge(BundleRow(owner=actor.user, digest=digest, size=upload.size, created_at=now()))
                audit.record(session, actor, "bundle:create", resource_id=digest, owner=actor.user)
                await session.flush()
                await asyncio.to_thread(upload.place, self.folder.path(digest))
            return Bundle(digest=digest, size=upload.size)


class _Glimpse:
    """The first bytes of a stream; `cut` says that there would have been more."""

    def __init__(self, stream: zstandard.ZstdDecompressionReader) -> None:
        self._stream, self._left, self.cut = stream, _LOOK_AT, False

    def read(self, size: int) -> bytes:
        block = self._stream.read(min(size, self._left))
        self._left -= len(block)
        self.cut = self._left == 0
        return block


def _holds(bundle: Path, entry: str) -> bool:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_AT_MOST)
    with bundle.open("rb") as raw, decompressor.stream_reader(raw) as stream:
        glimpse = _Glimpse(stream)
        try:
            with tarfile.open(fileobj=cast(IO[bytes], glimpse), mode="r|") as tar:
                if any(member.name == entry for member in tar):
                    return True
        except (tarfile.TarError, EOFError):
            if not glimpse.cut:
                raise
        return glimpse.cut
