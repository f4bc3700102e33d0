"""What commands print: tables and fields for people, JSON for programs, words beside the work on stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TextIO, TypeVar

from jupyter_mlplat.cli.formats import Marked

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Row = TypeVar("Row")
Cell = str | Marked

PIPED_WIDTH = 500


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column of a table; `right` aligns numbers."""

    title: str
    cell: Callable[[Row], Cell]
    right: bool = False


def console(stream: TextIO | None = None) -> "Console":
    """Rich on one stream (stdout); wide where nobody looks, so that nothing is cut."""
    from rich.console import Console

    file = stream or sys.stdout
    width = None if file.isatty() else PIPED_WIDTH
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def on_terminal() -> bool:
    """Whether somebody watches: progress is shown and questions are asked only then."""
    return sys.stderr.isatty()


def show_table(rows: Sequence[Row], columns: Sequence[Column[Row]], *, empty: str) -> None:
    """A table, or the sentence `empty`."""
    if not rows:
        note(empty)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold", show_edge=False)
    for column in columns:
        justify: Any = "right" if column.right else "left"
        table.add_column(column.title, justify=justify, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(_text(column.cell(row)) for column in columns))
    _print_trimmed(table)


def show_fields(fields: Iterable[tuple[str, Cell]]) -> None:
    """Label and value, one a line; empty values are left out."""
    from rich.text import Text

    shown = [(label, value) for label, value in fields if (value.text if isinstance(value, Marked) else value)]
    width = max((len(label) for label, _ in shown), default=0)
    out = console()
    for label, value in shown:
        out.print(Text.assemble((label.ljust(width + 3), "bold"), _text(value)), soft_wrap=True)


def show_json(value: Any) -> None:
    """Models, lists of them, or plain values as JSON."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def show_json_line(value: Any) -> None:
    """One line of JSON of a stream, at once."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(words: str) -> None:
    """The result of a command in words."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def note(words: str) -> None:
    """Words beside the result, on stderr."""
    sys.stdout.flush()
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


def raw_writer(stream: TextIO) -> Callable[[bytes], None]:
    """Writes bytes of another program to a stream at once."""

    def write(data: bytes) -> None:
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()

    return write


def plain(value: Any) -> Any:
    """`value` as JSON can hold it."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _text(cell: Cell) -> "Text":
    from rich.text import Text

    return Text(cell.text, style=cell.style) if isinstance(cell, Marked) else Text(cell)


def _print_trimmed(table: Any) -> None:
    """Print without the blanks that fill up the last column."""
    out = console()
    with out.capture() as captured:
        out.print(table)
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")
