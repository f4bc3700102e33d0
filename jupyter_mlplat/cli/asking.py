"""Questions before something is lost or restarted, and words when somebody leaves."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from jupyter_mlplat.cli.output import note
from jupyter_mlplat.errors import MlplatError

INTERRUPTED = 130


class NotConfirmed(MlplatError):
    """Somebody has to agree first."""

    code = "MLPLAT.NOT_CONFIRMED"


def confirm(what_happens: str, question: str, yes: bool) -> None:
    """Pass where `yes` or the person at the terminal agrees. Raises NotConfirmed otherwise."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotConfirmed(f"{what_happens} Say --yes to agree.")
    note(what_happens)
    if not typer.confirm(question, err=True):
        raise NotConfirmed("Nothing was changed.")


@contextmanager
def leaving(what_goes_on: str) -> Iterator[None]:
    """Ctrl-C in here ends the command with `what_goes_on` in words."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"\n{what_goes_on}")
        raise typer.Exit(INTERRUPTED) from None
