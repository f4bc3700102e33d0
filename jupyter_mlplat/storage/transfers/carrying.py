"""Carries a transfer out, from its plan to its end, and says how far it is. It may be killed at any line."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Event, Lock, Thread
from typing import IO, Any, TypeVar

from jupyter_mlplat.core.files import full_disk_in_words
from jupyter_mlplat.errors import Conflict, InvalidInput, MlplatError, NoSpace
from jupyter_mlplat.storage.engine.failures import (
    Changed,
    NoSuchBucket,
    NoSuchObject,
    NotConfigured,
    Refused,
    StoreUnreachable,
)
from jupyter_mlplat.storage.object_urls import ObjectUrl, is_object_url
from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.one import Bounds, OneCopy
from jupyter_mlplat.storage.transfers.order import OnConflict
from jupyter_mlplat.storage.transfers.parts import Journal, give_up
from jupyter_mlplat.storage.transfers.planning import Step, StoreFor, Verb, plan

THREADS = 16
_SAID_EVERY = 0.3
_DELETED_AT_ONCE = 1000
PAUSES = (1, 2, 4, 8, 15, 30, 30, 60, 60, 90)
"""Seconds: five minutes in all."""

_OF_ONE = (Changed, NoSuchObject, InvalidInput, Conflict)
"""What is wrong with one file alone, so that the others go on."""

_OF_ALL = (NoSuchBucket, NotConfigured, NoSpace, Refused)


Value = TypeVar("Value")


@dataclass
class Progress:
    """How far a transfer is: bytes and files, those of earlier runs among them. `name` is what moved last."""

    total: int = 0
    files_total: int = 0
    done: int = 0
    files: int = 0
    name: str = ""
    waiting: str = ""
    """Why nothing moves just now."""

    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, size: int) -> None:
        with self._lock:
            self.done += size

    def finish(self, name: str) -> None:
        with self._lock:
            self.files += 1
            self.name = name

    def figures(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "files_total": self.files_total,
            "done": self.done,
            "files": self.files,
            "name": self.name,
            "waiting": self.waiting,
        }


@dataclass(frozen=True)
class Outcome:
    """`conflicts` counts the targets that are there already and wait for an answer: then nothing was copied.

    `failed` names the files that could not be copied, with the reason.
    """

    conflicts: int = 0
    failed: tuple[tuple[str, str], ...] = ()

    @property
    def message(self) -> str:
        """What failed, in a sentence; empty where nothing did."""
        if not self.failed:
            return ""
        name, reason = self.failed[0]
        more = f" {len(self.failed) - 1} more could not be copied." if len(self.failed) > 1 else ""
        return f"{name}: {reason.rstrip('.')}.{more}"


Say = Callable[[dict[str, Any]], None]


class Carrier:
    """One transfer in this process. `say` hears of the figures of `Progress` a few times a second; `pauses` are the
    seconds between tries while an endpoint does not answer."""

    def __init__(
        self, folder: TransferFolder, root: Path, store_for: StoreFor, say: Say, pauses: Sequence[float] = PAUSES
    ) -> None:
        self._folder, self._root, self._say, self._pauses = folder, root.resolve(), say, pauses
        self._store_for, self._bounds = cache(store_for), Bounds(root)
        self.progress = Progress()

    def run(self, *, anew: bool = False) -> Outcome:
        """Go on to the end, or to a question. What it raises stopped all of it; another run goes on from there.

        `anew`: with a new plan, of which only large files go on from what has arrived. Conflict where it is under way.
        """
        with self._folder.held(), full_disk_in_words():
            order = self._folder.order
            if anew:
                self._folder.forget_plan()
            if not self._folder.is_planned:
                self._patiently(lambda: self._folder.write_plan(plan(order, self._root, self._store_for)))
            done = self._folder.done()
            conflicts = self._count(done, ask=order.on_conflict == OnConflict.ASK and not order.sync)
            if conflicts:
                return Outcome(conflicts)
            with self._folder.open_done() as file:
                # who is killed before a line is written copies that file again, under another name where it must not
                ledger = _Ledger(file, at_once=order.on_conflict == OnConflict.RENAME)
                with _Telling(lambda: self._tell(ledger)):
                    self._copy_all(ledger, done, order.on_conflict)
                    ledger.flush()
                    if order.delete and not any(self._folder.done().values()):
                        self._delete(ledger, done)
            return Outcome(failed=tuple(self._failures()))

    def _count(self, done: dict[int, str], *, ask: bool) -> int:
        conflicts = 0
        for number, step in self._folder.steps():
            self.progress.total += step.size
            self.progress.files_total += 1
            conflicts += ask and step.exists and step.verb == Verb.COPY
            if number in done:
                self.progress.done += step.size
                self.progress.files += 1
        self._say(self.progress.figures())
        return conflicts

    def _copy_all(self, ledger: "_Ledger", done: dict[int, str], on_conflict: OnConflict) -> None:
        steps, taking = self._open_steps(done, Verb.COPY, Verb.REFUSE), Lock()
        failed: list[BaseException] = []

        def one_after_another() -> None:
            try:
                while not failed:
                    with taking:
                        taken = next(steps, None)
                    if taken is None:
                        return
                    self._step(*taken, ledger, on_conflict)
            except BaseException as error:
                failed.append(error)

        with ThreadPoolExecutor(THREADS) as pool:
            try:
                wait([pool.submit(one_after_another) for _ in range(THREADS)])
            except BaseException as error:  # somebody's Ctrl-C: what waits is not begun
                failed.append(error)
        if failed:
            raise failed[0]

    def _open_steps(self, done: dict[int, str], *verbs: Verb) -> Iterator[tuple[int, Step]]:
        return ((number, step) for number, step in self._folder.steps() if number not in done and step.verb in verbs)

    def _step(self, number: int, step: Step, ledger: "_Ledger", on_conflict: OnConflict) -> None:
        reason = step.mark if step.verb == Verb.REFUSE else self._copied(number, step, on_conflict)
        if reason:
            self.progress.add(step.size)
        ledger.write(number, reason)
        self.progress.finish(step.source)

    def _copied(self, number: int, step: Step, on_conflict: OnConflict) -> str:
        """Copy one file; why that failed where it is the file's own fault."""

        def once() -> str:
            moved = _Counted(self.progress)
            one = OneCopy(step, self._bounds, self._store_for, self._folder, on_conflict, moved)
            try:
                with full_disk_in_words():
                    one.run()
            except (StoreUnreachable, *_OF_ALL):
                moved.take_back()
                raise
            except (*_OF_ONE, OSError) as error:
                moved.take_back()
                return error.message if isinstance(error, MlplatError) else f"{error.strerror or error}"
            return ""

        return self._patiently(once)

    def _patiently(self, do: Callable[[], Value]) -> Value:
        """`do` it, again and again while an endpoint does not answer."""
        for pause in self._pauses:
            try:
                done = do()
                self.progress.waiting = ""
                return done
            except StoreUnreachable as error:
                self._store_for.cache_clear()  # its endpoint may have other settings meanwhile
                self.progress.waiting = f"{error.message} Trying again in {pause} s."
                time.sleep(pause)
        done = do()
        self.progress.waiting = ""
        return done

    def _delete(self, ledger: "_Ledger", done: dict[int, str]) -> None:
        """What the source lacks, many at a time."""
        waiting: list[tuple[int, ObjectUrl]] = []
        for number, step in self._open_steps(done, Verb.DELETE):
            if not is_object_url(step.target):
                Path(step.target).unlink(missing_ok=True)
                self._deleted(ledger, [(number, step.target)])
                continue
            waiting.append((number, ObjectUrl.parse(step.target)))
            if len(waiting) == _DELETED_AT_ONCE:
                self._delete_some(ledger, waiting)
                waiting = []
        if waiting:
            self._delete_some(ledger, waiting)

    def _delete_some(self, ledger: "_Ledger", which: list[tuple[int, ObjectUrl]]) -> None:
        bucket = which[0][1].bucket
        self._store_for(bucket).delete(bucket, [url.key for _, url in which])
        self._deleted(ledger, which)

    def _deleted(self, ledger: "_Ledger", which: "list[tuple[int, ObjectUrl]] | list[tuple[int, str]]") -> None:
        for number, name in which:
            ledger.write(number, "")
            self.progress.finish(str(name))

    def _failures(self) -> Iterator[tuple[str, str]]:
        failed = {number: reason for number, reason in self._folder.done().items() if reason}
        if failed:
            yield from ((step.source, failed[number]) for number, step in self._folder.steps() if number in failed)

    def _tell(self, ledger: "_Ledger") -> None:
        figures = self.progress.figures()
        ledger.flush()
        self._say(figures)


def abandon(folder: TransferFolder, store_for: StoreFor) -> None:
    """Clear away the uploads and files that are not whole. What does not answer stays in its journal."""
    for path in folder.journals():
        facts, _ = Journal(path).read()
        give_up(facts, lambda url: store_for(url.bucket).parts)
        path.unlink()


class _Ledger:
    """Writes down which steps need no more: `at_once`, or with each `flush`."""

    def __init__(self, file: IO[str], *, at_once: bool) -> None:
        self._file, self._at_once, self._lock = file, at_once, Lock()

    def write(self, number: int, reason: str) -> None:
        with self._lock:
            self._file.write(f"{number} {json.dumps(reason)}\n" if reason else f"{number}\n")
            if self._at_once:
                self._file.flush()

    def flush(self) -> None:
        with self._lock:
            self._file.flush()


class _Counted:
    """Adds to the figures what one try has moved, and takes it back where it failed."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._moved, self._lock = progress, 0, Lock()

    def __call__(self, size: int) -> None:
        with self._lock:
            self._moved += size
        self._progress.add(size)

    def take_back(self) -> None:
        self._progress.add(-self._moved)
        self._moved = 0


class _Telling:
    """Tells again and again while a block runs, and once at its end."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell, self._over = tell, Event()
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._tell()

    def _run(self) -> None:
        while not self._over.wait(_SAID_EVERY):
            with suppress(OSError):  # the end says it
                self._tell()
