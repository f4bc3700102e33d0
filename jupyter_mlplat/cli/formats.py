"""Times, sizes and states in words."""

import unicodedata
from datetime import UTC, datetime
from typing import NamedTuple

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")

_STEERING = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of characters that do something instead of being seen."""
_REVERSING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_TONES = {
    "green": {"RUNNING", "ACTIVE", "COMPLETED", "OK", "UP", "READY", "MOUNTED"},
    "red": {
        "FAILED", "ABNORMAL", "ERROR", "CREATE_FAILED", "START_FAILED", "DELETE_FAILED", "REFUSED", "SOLD OUT", "GONE",
        "MOUNT_FAILED", "UNMOUNT_FAILED",
    },
    "bright_black": {"STOPPED", "TERMINATED", "DELETED", "INIT", "FROZEN", "DOWN", "UNMOUNTED"},
}  # fmt: skip


class Marked(NamedTuple):
    """Text with a colour."""

    text: str
    style: str


def visible(text: str, keep: str = "") -> str:
    """`text` with its control characters but `keep` as escapes: a file's name must not steer the terminal."""
    return "".join(_escape(each) if _steers(each) and each not in keep else each for each in text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in _STEERING or character in _REVERSING


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def state(name: str) -> Marked:
    """A state as a dot and a word; a colour for well, ill and at rest, another for under way."""
    tone = next((tone for tone, names in _TONES.items() if name.upper() in names), "yellow")
    dot = "○" if tone == "bright_black" else "●"
    return Marked(f"{dot} {name.replace('_', ' ').capitalize()}", tone)


def relative(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, such as `3 m ago`; the date beyond 30 days; - for never."""
    if moment is None:
        return "-"
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 5:
        return "just now"
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago" if seconds < 30 * 86400 else f"{moment:%Y-%m-%d}"
    return "just now"


def exact(moment: datetime | None) -> str:
    """Local time to the second."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else "-"


def duration(seconds: float | None) -> str:
    """Such as 0.4 s, 12 s, 3 m 12 s, 2 h 5 m."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} m"


def size(count: float) -> str:
    """Bytes in the largest fitting unit, such as 12.3 KiB or 4 GiB."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            break
        count /= 1024
    text = f"{count:.1f}".removesuffix(".0") if count < 100 else f"{count:.0f}"
    return f"{text} {unit}"


def count(number: int, noun: str) -> str:
    """Such as 1 file, 3 files."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def number(value: float) -> str:
    """A metric's value, at most six significant digits."""
    return f"{value:.6g}"


def middle_cut(text: str, width: int) -> str:
    """At most `width` characters, cut in the middle."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"
