"""What a wait looks like on a terminal; elsewhere only its results are said."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from jupyter_mlplat.cli.formats import duration
from jupyter_mlplat.cli.output import console, note, on_terminal

if TYPE_CHECKING:
    from jupyter_mlplat.instances.models import Instance, Step

Say = Callable[[str], None]

WORTH_A_BAR = 4 * 1024**2


@contextmanager
def spinner(words: str, quiet: bool = False) -> Iterator[Say]:
    """A spinner with words while something lasts; the yielded function changes the words."""
    if quiet or not on_terminal():
        yield lambda _: None
        return
    with console(sys.stderr).status(words) as status:
        yield lambda changed: status.update(changed)


@contextmanager
def byte_bar(words: str, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A spinner, and a bar once many bytes move; the yielded function is given those moved and those in all."""
    if quiet or not on_terminal():
        yield lambda _moved, _total: None
        return
    with ExitStack() as stack:
        status = stack.enter_context(console(sys.stderr).status(words))
        bar: _Bar | None = None

        def show(moved: int, total: int) -> None:
            nonlocal bar
            if bar is None and total >= WORTH_A_BAR:
                status.stop()
                bar = _Bar(words, total, stack)
            if bar is not None:
                bar.show(moved)

        yield show


class _Bar:
    def __init__(self, words: str, total: int, stack: ExitStack) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        label, sizes = TextColumn("{task.description}"), DownloadColumn(binary_units=True)
        columns = (label, BarColumn(), sizes, TransferSpeedColumn())
        self._progress = stack.enter_context(Progress(*columns, console=console(sys.stderr), transient=True))
        self._task = self._progress.add_task(words, total=total)

    def show(self, moved: int) -> None:
        self._progress.update(self._task, completed=moved)


class StepLines:
    """Says each step of an instance's start once it is done, with how long it took; for `seen` of a wait.

    Steps that were done before `since` belong to an earlier start.
    """

    def __init__(self, since: datetime, say: Say) -> None:
        self._since = since
        self._say = say
        self._said: set[str] = set()

    def __call__(self, instance: "Instance") -> None:
        for step in instance.steps:
            if step.name not in self._said and self._is_done(step):
                self._said.add(step.name)
                note(f"✓ {step_words(step)}   {duration(_seconds(step))}")
        under_way = next((step for step in instance.steps if step.status == "PROCESSING"), None)
        if under_way is not None:
            self._say(under_way.message or step_words(under_way))

    def _is_done(self, step: "Step") -> bool:
        return step.status == "COMPLETED" and step.finished_at is not None and step.finished_at >= self._since


def step_words(step: "Step") -> str:
    return step.name.value.replace("_", " ").capitalize()


def _seconds(step: "Step") -> float | None:
    return (step.finished_at - step.started_at).total_seconds() if step.finished_at and step.started_at else None
