"""The program that makes environments: `python -m jupyter_mlplat.environments.worker PARENT VERB ARGUMENTS`.

PARENT is the pid of the process that started it, with which it ends; ARGUMENTS is a JSON object. It says what goes on
in lines of JSON: `line`s in words, last `done`, or an `error` of `jupyter_mlplat.errors` with its `message`. SIGTERM
and SIGINT end it in good order: nothing half made is left.
"""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_mlplat.core.proc import end_with
from jupyter_mlplat.environments.making import clone, create, remove
from jupyter_mlplat.errors import MlplatError


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


def say_line(line: str) -> None:
    say(line=line)


def _create(environment: str, name: str, file: str, source: str) -> None:
    create(Path(environment), name, Path(file), source, say_line)


def _clone(environment: str, name: str, original: str) -> None:
    clone(Path(environment), name, original, say_line)


def _remove(environment: str, name: str) -> None:
    remove(Path(environment), name)


VERBS: dict[str, Callable[..., None]] = {"create": _create, "clone": _clone, "remove": _remove}


def main(parent: str, verb: str, arguments: str) -> None:
    end_with(int(parent))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        VERBS[verb](**json.loads(arguments))
        say(done=True)
    except MlplatError as error:
        say(error=type(error).__name__, message=error.message)


def _leave(*_: object) -> None:
    """Once only: nothing breaks off the clearing away."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
