"""Making environments in a process of its own: how that is called, and what its lines mean. Pure."""

import json
import os
import sys

from jupyter_mlplat import errors
from jupyter_mlplat.errors import MlplatError

BROKE_OFF = "The work on the environment broke off. Nothing is left of it; try again."


def command(verb: str, **arguments: str | os.PathLike[str]) -> list[str]:
    """The command line of `worker` for this process; it is killed when this one ends."""
    described = json.dumps(arguments, default=os.fspath)
    return [sys.executable, "-I", "-m", "jupyter_mlplat.environments.worker", str(os.getpid()), verb, described]


def heard(line: str | bytes) -> str | None:
    """What one line of the worker's says in words; None that the work is done. Raises what it failed with."""
    said = json.loads(line)
    if "error" in said:
        kind = getattr(errors, said["error"], MlplatError)
        raise kind(said["message"])
    return str(said["line"]) if "line" in said else None
