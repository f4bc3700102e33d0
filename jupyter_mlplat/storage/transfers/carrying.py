"""Carries a transfer out, from its plan to its end, and says how far it is. It may be killed at any line."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from jupyter_mlplat.core.files import full_disk_in_words
from jupyter_mlplat.errors import Conflict, InvalidInput, MlplatError, NoSpace
from jupyter_mlplat.storage.engine.base import part_of
from jupyter_mlplat.storage.engine.failures import (
    Changed,
    NoSuchBucket,
    NoSuchObject,
    NotConfigured,
    Refused,
    StoreUnreachable,
)
from jupyter_mlplat.storage.engine.parallel import AT_ONCE
from jupyter_mlplat.storage.object_urls import ObjectUrl, is_object_url
from jupyter_mlplat.storage.transfers.folder import Ledger, TransferFolder
from jupyter_mlplat.storage.transfers.one import LARGE, Bounds, OneCopy
from jupyter_mlplat.storage.transfers.order import OnConflict, Order
from jupyter_mlplat.storage.transfers.parts import Journal, give_up
from jupyter_mlplat.storage.transfers.planning import Step, StoreFor, Verb, plan, shown
from jupyter_mlplat.storage.transfers.progress import Counted, Progress, Telling
from jupyter_mlplat.storage.transfers.together import Room, Together

THREADS = 64
"""Small files wait for their endpoint most of the time."""

_IN_MEMORY = 96 << 20
_DELETED_AT_ONCE = 1000
PAUSES = (1, 2, 4, 8, 15, 30, 30, 60, 60, 90)
"""Seconds: five minutes in all."""

_OF_ONE = (Changed, NoSuchObject, InvalidInput, Conflict)
"""What is wrong with one file alone, so that the others go on."""

_OF_ALL = (NoSuchBucket, NotConfigured, NoSpace, Refused)


Value = TypeVar("Value")


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
        self._room, self._together = Room(_IN_MEMORY), Together()
        self.progress = Progress()

    def run(self, *, anew: bool = False) -> Outcome:
        """Go on to the end, or to a question. What it raises stopped all of it; another run goes on from there.

        `anew`: with a new plan, of which only large files go on from what has arrived. Conflict where it is under way.
        """
        with self._folder.held(), full_disk_in_words():
            order = self._folder.order
            if anew:
                self._folder.forget_plan()
            done = self._count(self._folder.done())
            if order.on_conflict == OnConflict.ASK and not order.sync and (conflicts := self._conflicts(order)):
                return Outcome(conflicts)
            with self._folder.ledger() as ledger, Telling(lambda: self._tell(ledger)):
                self._copy_all(order, ledger, done)
                ledger.flush()
                if order.delete and not any(self._folder.done().values()):
                    self._delete(ledger, done)
            return Outcome(failed=tuple(self._failures()))

    def _count(self, done: dict[int, str]) -> dict[int, str]:
        """What an earlier run has planned and done. A crash of the machine may have left more done than planned."""
        known: dict[int, str] = {}
        for number, step in self._folder.plan.steps():
            self.progress.expect(step.size)
            if number in done:
                known[number] = done[number]
                self.progress.done += step.size
                self.progress.files += 1
        if len(known) < len(done):
            self._folder.write_done(known)
        self.progress.is_planned = self._folder.plan.is_whole()
        self._say(self.progress.figures())
        return known

    def _conflicts(self, order: Order) -> int:
        """How many targets are there already; all are looked for before anything is copied."""
        if not self.progress.is_planned:
            with Telling(lambda: self._say(self.progress.figures())):
                self._plan(order)
        self._say(self.progress.figures())
        return sum(step.exists and step.verb == Verb.COPY for _, step in self._folder.plan.steps())

    def _plan(self, order: Order) -> None:
        """Write the plan to its end."""

        def steps() -> Iterator[Step]:
            last = self._folder.plan.last()
            for step in plan(order, self._root, self._store_for, last, self._together.look):
                self.progress.expect(step.size)
                yield step

        self._patiently(lambda: self._folder.plan.write(steps()))
        self.progress.is_planned = True

    def _copy_all(self, order: Order, ledger: Ledger, done: dict[int, str]) -> None:
        """Carry out the steps, from several threads; another one goes on with the plan where that is not whole."""
        steps, taking = self._open_steps(done, Verb.COPY, Verb.REFUSE), Lock()

        def planning() -> None:
            try:
                self._plan(order)
            finally:
                self._folder.plan.expect_no_more()

        def copying() -> None:
            while True:
                self._together.look()
                with taking:
                    taken = next(steps, None)
                if taken is None:
                    return
                self._step(*taken, ledger, order.on_conflict)

        if self.progress.is_planned:
            self._together.do([copying] * THREADS)
        else:
            self._folder.plan.expect()
            self._together.do([planning] + [copying] * THREADS)

    def _open_steps(self, done: dict[int, str], *verbs: Verb) -> Iterator[tuple[int, Step]]:
        return (
            (number, step) for number, step in self._folder.plan.steps() if number not in done and step.verb in verbs
        )

    def _step(self, number: int, step: Step, ledger: Ledger, on_conflict: OnConflict) -> None:
        with self._room.of(self._held(step)):
            self._together.look()
            reason = step.mark if step.verb == Verb.REFUSE else self._copied(number, step, on_conflict)
        if reason:
            self.progress.add(step.size)
        ledger.write(number, reason)
        # who is killed before a line is on the disk copies that file again
        if step.size >= LARGE or on_conflict == OnConflict.RENAME:
            ledger.flush()
        self.progress.finish(step.source)

    def _held(self, step: Step) -> int:
        """How much of a file is in memory while it moves, in bytes: a small one twice, as it is read and as it is
        sent; none of one that its endpoint copies."""
        if is_object_url(step.source) and is_object_url(step.target):
            source, target = ObjectUrl.parse(step.source), ObjectUrl.parse(step.target)
            if self._store_for(source.bucket) is self._store_for(target.bucket):
                return 0
        return 2 * step.size if step.size < LARGE else min(step.size, AT_ONCE * part_of(step.size))

    def _copied(self, number: int, step: Step, on_conflict: OnConflict) -> str:
        """Copy one file; why that failed where it is the file's own fault."""

        def once() -> str:
            moved = Counted(self.progress)
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
                self._together.pause(pause)
        done = do()
        self.progress.waiting = ""
        return done

    def _delete(self, ledger: Ledger, done: dict[int, str]) -> None:
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

    def _delete_some(self, ledger: Ledger, which: list[tuple[int, ObjectUrl]]) -> None:
        bucket = which[0][1].bucket
        self._store_for(bucket).delete(bucket, [url.key for _, url in which])
        self._deleted(ledger, which)

    def _deleted(self, ledger: Ledger, which: "list[tuple[int, ObjectUrl]] | list[tuple[int, str]]") -> None:
        for number, name in which:
            ledger.write(number, "")
            self.progress.finish(str(name))

    def _failures(self) -> Iterator[tuple[str, str]]:
        failed = {number: reason for number, reason in self._folder.done().items() if reason}
        if failed:
            yield from (
                (shown(step.source), failed[number]) for number, step in self._folder.plan.steps() if number in failed
            )

    def _tell(self, ledger: Ledger) -> None:
        figures = self.progress.figures()
        ledger.flush()
        self._say(figures)


def abandon(folder: TransferFolder, store_for: StoreFor) -> None:
    """Clear away the uploads and files that are not whole. What does not answer stays in its journal."""
    for path in folder.journals():
        facts, _ = Journal(path).read()
        give_up(facts, lambda url: store_for(url.bucket).parts)
        path.unlink()
