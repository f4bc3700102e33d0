"""Errors on stderr: one or two plain lines."""

import sys

from jupyter_mlplat.errors import MlplatError

_GREY, _PLAIN = "\x1b[90m", "\x1b[0m"


def report(error: MlplatError | OSError) -> None:
    """What happened and what to do, with the id of the request where there is one."""
    sys.stderr.write(f"Error: {_words(error)}\n")
    request_id = str(getattr(error, "request_id", ""))
    if request_id:
        sys.stderr.write(_grey(f"request {request_id}") + "\n")


def report_defect(error: Exception) -> None:
    """An error that nobody foresaw."""
    sys.stderr.write(f"Error: mlplat itself failed ({type(error).__name__}: {error}).\n")
    sys.stderr.write(_grey("Set MLPLAT_DEBUG=1 to see where, and report it.") + "\n")


def _words(error: MlplatError | OSError) -> str:
    if isinstance(error, MlplatError):
        return error.message
    return f"{error.filename}: {error.strerror}." if error.filename else str(error)


def _grey(text: str) -> str:
    return f"{_GREY}{text}{_PLAIN}" if sys.stderr.isatty() else text
