"""Tables that fit the terminal: what can be done without is left out, what is long is cut in the middle."""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from jupyter_mlplat.cli.formats import Marked, middle_cut, visible
from jupyter_mlplat.cli.output import Cell, note, print_marked

Row = TypeVar("Row")

GAP = 3
SHORTEST = 12


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column. `right` aligns numbers; a `long` one may be cut, an `extra` one left out where space is short."""

    title: str
    cell: Callable[[Row], Cell]
    right: bool = False
    long: bool = False
    extra: bool = False


@dataclass
class Drawn:
    """A column with its cells; `width` in terminal columns."""

    right: bool
    long: bool
    extra: bool
    cells: list[Marked]

    @property
    def width(self) -> int:
        return max(_width(cell.text) for cell in self.cells)

    def cut(self, width: int) -> None:
        # a wide character takes two columns, so cut by the number of characters that fit
        for at, cell in enumerate(self.cells):
            room = width
            while _width(text := middle_cut(cell.text, room)) > width:
                room -= 1
            self.cells[at] = Marked(text, cell.style)


def show_table(rows: Sequence[Row], columns: Sequence[Column[Row]], *, empty: str) -> None:
    """A table, or the sentence `empty`. Where nobody looks nothing is cut or left out."""
    if not rows:
        note(empty)
        return
    drawn = [draw(column, rows) for column in columns]
    if sys.stdout.isatty():
        drawn = fitted(drawn, shutil.get_terminal_size().columns)
    for at in range(len(rows) + 1):
        print_marked(_line([(column, column.cells[at]) for column in drawn]))


def fitted(columns: list[Drawn], width: int) -> list[Drawn]:
    """The columns that fit: first `long` ones are cut, then `extra` ones go, the last first."""
    kept = list(columns)
    while True:
        over = sum(column.width + GAP for column in kept) - GAP - width
        longest = max((column for column in kept if column.long), key=lambda column: column.width, default=None)
        extra = next((column for column in reversed(kept) if column.extra), None)
        if over <= 0:
            return kept
        if longest is not None and longest.width > 2 * SHORTEST:
            longest.cut(max(2 * SHORTEST, longest.width - over))
        elif extra is not None:
            kept.remove(extra)
        elif longest is not None and longest.width > SHORTEST:
            longest.cut(max(SHORTEST, longest.width - over))
        else:
            return kept


def draw(column: Column[Row], rows: Sequence[Row]) -> Drawn:
    cells = [column.cell(row) for row in rows]
    plain = [cell if isinstance(cell, Marked) else Marked(cell, "") for cell in cells]
    marked = [Marked(visible(cell.text), cell.style) for cell in plain]
    return Drawn(column.right, column.long, column.extra, [Marked(column.title, "bold"), *marked])


def _line(cells: Sequence[tuple[Drawn, Marked]]) -> list[Marked]:
    line: list[Marked] = []
    for column, cell in cells:
        blanks = " " * (column.width - _width(cell.text))
        line += [Marked(blanks, ""), cell] if column.right else [cell, Marked(blanks, "")]
        line.append(Marked(" " * GAP, ""))
    while line and not line[-1].text.strip():
        line.pop()
    return line


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
