"""What a wait looks like on a terminal; elsewhere only its results are said."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from jupyter_mlplat.cli.formats import duration
from jupyter_mlplat.cli.output import console, note, on_terminal

if TYPE_CHECKING:
    from jupyter_mlplat.instances.models import Instance, Step

Say = Callable[[str], None]


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
    """A bar in bytes; the yielded function is given those moved and those in all."""
    if quiet or not on_terminal():
        yield lambda _moved, _total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as progress:
        task = progress.add_task(words, total=None)
        yield lambda moved, total: progress.update(task, completed=moved, total=total)


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
