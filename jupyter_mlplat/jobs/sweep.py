"""Gives back what uploads left that came to nothing: broken off by a crash, or never submitted as a job."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.jobs import store
from jupyter_mlplat.jobs.uploads import BundleFolder, release

KEEP = timedelta(days=1)
"""How long an upload may wait for what it was made for."""


async def sweep(database: Database, bundles: BundleFolder, incoming: Path) -> None:
    """Remove bundles that no job was made of and unfinished uploads (`incoming`: those of objects), both a day old."""
    async with database.read() as session:
        unused = await store.unused_bundles(session, before=now() - KEEP)
    for upload in unused:
        async with database.transaction() as session:
            await release(session, bundles, upload.owner, upload.digest)
    for folder in (bundles.incoming, incoming):
        await asyncio.to_thread(_remove_old, folder)


def _remove_old(folder: Path) -> None:
    oldest = time.time() - KEEP.total_seconds()
    for path in folder.glob("*"):
        if path.lstat().st_mtime < oldest:
            path.unlink(missing_ok=True)
