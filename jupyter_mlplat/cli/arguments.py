"""What is given as text and meant as something else."""

import json
import math
from enum import StrEnum
from typing import TypeVar

import typer

Scalar = bool | int | float | str
Choice = TypeVar("Choice", bound=StrEnum)


def parameters(given: list[str]) -> dict[str, Scalar]:
    """--param K=V: a value that is a JSON number, true, false or quoted string is that, any other is text."""
    return {key: scalar(value) for key, value in pairs(given, "--param").items()}


def pairs(given: list[str], option: str) -> dict[str, str]:
    """K=V, each key once; BadParameter otherwise."""
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE.", param_hint=option)
        if key in found:
            raise typer.BadParameter(f"{key!r} is given twice.", param_hint=option)
        found[key] = value
    return found


def scalar(text: str) -> Scalar:
    """The JSON scalar that `text` is, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, float) and not math.isfinite(value):
        return text
    return value if isinstance(value, bool | int | float | str) else text


def one_of(kind: type[Choice], text: str | None, option: str) -> Choice | None:
    """The member of an enumeration that is meant, in whatever case it is written; BadParameter otherwise."""
    if text is None:
        return None
    for member in kind:
        if member.value.lower() == text.lower():
            return member
    known = ", ".join(member.value for member in kind)
    raise typer.BadParameter(f"{text!r} is none of {known}.", param_hint=option)
