"""How numbers and names look on the pages."""

import re

from jupyter_mlplat.console.words import Words

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: int) -> str:
    """Bytes in the unit that leaves one to four digits before the point: `1.4 GiB`."""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.0f} {UNITS[unit]}" if unit < 2 or amount >= 100 else f"{amount:.1f} {UNITS[unit]}"


def memory(mebibytes: int) -> str:
    """MiB as GiB where they are whole ones: `8 GiB`."""
    whole, rest = divmod(mebibytes, 1024)
    return f"{mebibytes} MiB" if rest or not whole else f"{whole} GiB"


def duration(seconds: float | None, words: Words) -> str:
    """Seconds in the two largest units: `3 m 12 s`; an empty text for None."""
    if seconds is None:
        return ""
    total = max(0, round(seconds))
    days, hours, minutes = total // 86400, total // 3600 % 24, total // 60 % 60
    if days:
        return words("{d} d {h} h", d=days, h=hours)
    if hours:
        return words("{h} h {m} m", h=hours, m=minutes)
    if minutes:
        return words("{m} m {s} s", m=minutes, s=total % 60)
    return words("{s} s", s=total)


def middle(name: str, length: int = 40) -> str:
    """The name, cut in the middle where it is longer than `length`."""
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[:head]}…{name[head + 1 - length :]}"


def metric(value: float) -> str:
    """A number of a metric with up to four significant digits."""
    return f"{value:.4g}"


def in_image(path: str) -> str:
    """A path in an image as its user knows it: below the environment without saying so, packages by their own name."""
    return re.sub(r"^(lib/python[^/]*/site-packages/)", "", path.removeprefix("opt/mlplat/env/"))
