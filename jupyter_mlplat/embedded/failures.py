"""Carries an error of the detached supervisor to the command that started it."""

from typing import Any

from jupyter_mlplat import errors
from jupyter_mlplat.errors import MlplatError


def described(error: MlplatError) -> dict[str, Any]:
    """An error as plain data."""
    return {"error": type(error).__name__, "message": error.message}


def raise_if_failed(answer: dict[str, Any]) -> None:
    """Raise the error that `described` described; anything else is good news."""
    if "error" not in answer:
        return
    kind = getattr(errors, answer["error"], MlplatError)
    raise kind(answer["message"])
