"""When a preset of a catalogue file ends, and what is to be taken then. Pure."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from jupyter_mlplat.errors import InvalidInput


def retirement(entry: Mapping[str, Any]) -> tuple[date | None, str]:
    """`retires` and `instead` of a preset's entry. InvalidInput where they are no date (without quotes) and no text."""
    day, instead = entry.get("retires"), entry.get("instead", "")
    if day is not None and type(day) is not date:
        raise InvalidInput(f"{entry.get('name')}: write retires as a day, such as 2027-01-31, without quotes.")
    if not isinstance(instead, str) or len(instead) > 200:
        raise InvalidInput(f"{entry.get('name')}: write instead as the name of another image.")
    return day, instead
