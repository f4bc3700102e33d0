"""Figures, and how they are shown."""

import os
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import psutil
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One line of a table: `ours` and `peer` in words, their `ratio`, what is to be reached, and whether it was."""

    what: str
    ours: str
    peer: str
    ratio: str
    reach: str
    reached: bool


def compared(
    what: str, ours: Sequence[float], peer_name: str, peer: Sequence[float], reach: str, test: Callable[[float], bool]
) -> Figure:
    """Medians of seconds side by side; `test` gets ours / peer."""
    mine, theirs = statistics.median(ours), statistics.median(peer)
    ratio = mine / theirs
    return Figure(what, seconds(ours), f"{peer_name}: {seconds(peer)}", f"{ratio:.2f}×", reach, test(ratio))


def seconds(values: Sequence[float]) -> str:
    """Median, and the range where there is more than one."""
    if len(values) == 1:
        return f"{values[0]:.2f} s"
    return f"{statistics.median(values):.2f} s ({min(values):.2f}…{max(values):.2f})"


def machine() -> str:
    memory = psutil.virtual_memory().total / 1024**3
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def show(title: str, figures: Iterable[Figure]) -> None:
    """Each row as it is measured (a run that breaks keeps what it has), then the whole table."""
    console = Console(width=160)
    table = Table(title=f"{title} ({machine()})", title_justify="left")
    for column in ("what", "ours", "peer", "ratio", "reach", ""):
        table.add_column(column, no_wrap=column == "")
    for figure in figures:
        verdict = "reached" if figure.reached else "falls short"
        row = (figure.what, figure.ours, figure.peer, figure.ratio, figure.reach, verdict)
        console.print(" | ".join(row), soft_wrap=True)
        table.add_row(*row)
    console.print(table)
