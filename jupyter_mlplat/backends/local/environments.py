"""Environments: the folders in which kernels, terminals and jobs run, each made from an image."""

import asyncio
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from jupyter_mlplat.backends.base import Checkpoint
from jupyter_mlplat.backends.local.apart import Result, apart
from jupyter_mlplat.backends.local.trees import Trees
from jupyter_mlplat.oci.layout import Layout

_T = TypeVar("_T")

_THREADS = ThreadPoolExecutor(16, thread_name_prefix="environments")
"""Apart from the loop's own: those who wait for an image to be unpacked keep no other work waiting."""


class Environments:
    """What instances and jobs do with images. Images lie below `data_dir/images`, their trees below `data_dir/trees`.

    An environment may be used by its path alone: `bin/python` and the scripts beside it work wherever it is moved.
    `background` switches the upkeep of the trees (compiled modules, a spare copy of each), which only saves time.
    """

    def __init__(self, data_dir: Path, *, background: bool = True) -> None:
        self.data_dir = data_dir
        self.layout = Layout(data_dir / "images")
        self.trees = Trees(data_dir / "trees", self.layout)
        self._background = background
        self._unpacking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._upkeep: dict[str, subprocess.Popen[bytes]] = {}
        self.trees.clean()

    async def prepare(self, digest: str) -> None:
        """`unpack` without a word."""
        async with aclosing(self.unpack(digest)) as progress:
            async for _ in progress:
                pass

    async def unpack(self, digest: str) -> AsyncGenerator[Checkpoint, None]:
        """Unpack an image where that has not been done, in a process of its own; yields progress in bytes.

        NotFound, Conflict (it does not fit this machine), NoSpace.
        """
        async with self._unpacking[digest]:
            if not await in_thread(lambda: self.trees.is_ready(digest)):
                async with aclosing(self.work("unpack", digest=digest)) as steps:
                    async for step in steps:
                        if isinstance(step, Checkpoint):
                            yield step
        self.keep_up(digest)

    async def work(self, verb: str, **arguments: str | Path) -> AsyncGenerator[Checkpoint | Result, None]:
        """Work on these images in a process of its own, see `apart`; broken off, it leaves no half-made tree."""
        ended = False
        try:
            async with aclosing(apart(verb, layout=self.layout.root, trees=self.trees.root, **arguments)) as steps:
                async for step in steps:
                    yield step
            ended = True
        finally:
            if not ended:
                await in_thread(self.trees.clean)

    async def clone(self, digest: str, target: Path) -> None:
        """Make `target` a new environment from an image, which is prepared where it is not.

        The folder appears when it is complete. AlreadyExists where there is one; and all that `prepare` raises.
        """
        await self.prepare(digest)
        await in_thread(lambda: self.trees.clone(digest, target))
        self.keep_up(digest)

    async def remove(self, target: Path) -> None:
        """Remove an environment; its path is free on return, the files go in the background. None is no error."""
        await in_thread(lambda: self.trees.discard(target))

    def keep_up(self, digest: str) -> None:
        """Start the upkeep of a prepared image, where none is under way."""
        running = self._upkeep.get(digest)
        idle = running is None or running.poll() is not None
        if not self._background or not idle or self.trees.is_kept_up(digest):
            return
        command = [sys.executable, "-m", "jupyter_mlplat.backends.local.upkeep", str(self.data_dir), digest]
        quiet = subprocess.DEVNULL
        self._upkeep[digest] = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)

    async def close(self) -> None:
        """End the upkeep; it goes on where it was when the image is used again."""
        for process in self._upkeep.values():
            process.terminate()
        for process in self._upkeep.values():
            await asyncio.to_thread(process.wait)


async def in_thread(work: Callable[[], _T]) -> _T:
    """Run blocking work that cannot be broken off: cancelled, it is finished first, so that nothing works on unseen."""
    running = asyncio.get_running_loop().run_in_executor(_THREADS, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        running.exception()
        raise
