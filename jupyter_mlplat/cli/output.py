"""What commands print: words and fields for people, JSON for programs, words beside the work on stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from jupyter_mlplat.cli.formats import Marked, visible

if TYPE_CHECKING:
    from rich.console import Console

Cell = str | Marked


def console(stream: TextIO) -> "Console":
    """Rich on one stream, taking text as it is."""
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)


def on_terminal() -> bool:
    """Whether somebody watches: progress is shown only then."""
    return sys.stderr.isatty()


def show_fields(fields: Iterable[tuple[str, Cell]]) -> None:
    """Label and value, one a line; empty values are left out."""
    shown = [(label, value if isinstance(value, Marked) else Marked(value, "")) for label, value in fields if value]
    shown = [(label, value) for label, value in shown if value.text]
    width = max((len(label) for label, _ in shown), default=0)
    for label, value in shown:
        print_marked([Marked(label.ljust(width + 3), "bold"), value])


def print_marked(line: Sequence[Marked]) -> None:
    """One line of text, with its colours where somebody looks."""
    line = [Marked(visible(part.text), part.style) for part in line]
    if not sys.stdout.isatty():
        say("".join(part.text for part in line))
        return
    from rich.text import Text

    console(sys.stdout).print(Text.assemble(*((part.text, part.style) for part in line)), no_wrap=True)


def show_json(value: Any) -> None:
    """Models, lists of them, or plain values as JSON."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def show_json_line(value: Any) -> None:
    """One line of JSON of a stream, at once."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(words: str) -> None:
    """The result of a command in words."""
    sys.stdout.write(visible(words, keep="\n\t") + "\n")


def note(words: str) -> None:
    """Words beside the result, on stderr."""
    sys.stdout.flush()
    sys.stderr.write(visible(words, keep="\n\t") + "\n")
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
