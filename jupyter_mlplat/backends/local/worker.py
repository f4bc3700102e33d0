"""The program that works on images beside the platform.

`python -m jupyter_mlplat.backends.local.worker PARENT VERB ARGUMENTS`: PARENT is the pid of the process that started
it, with which it ends; ARGUMENTS is a JSON object. It says what it does in lines of JSON: progress (`message`, `done`,
`total`), last `result`, or an `error` of `jupyter_mlplat.errors` with its `message`. It may be killed at any moment.

Imports are kept few: they are part of the time that a save takes.
"""

import gc
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_mlplat.backends.local.plan import make_plan, summary
from jupyter_mlplat.backends.local.saving import ImageWriter, Meter, Recipe, in_words
from jupyter_mlplat.backends.local.trees import Trees
from jupyter_mlplat.core.proc import end_with
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.oci.layout import Ingest, Layout

_PERIOD = 0.5
"""Seconds between two reports of progress."""


class Voice:
    """Tells progress: each beginning at once, then not every byte."""

    def __init__(self) -> None:
        self._told = ("", -1, -1)
        self._at = 0.0

    def progress(self, message: str, done: int, total: int, *, now: bool = False) -> None:
        state = (message, done, total)
        begins = message != self._told[0] or self._told[1] == 0
        due = now or begins or time.monotonic() - self._at >= _PERIOD
        if due and state != self._told:
            self._told, self._at = state, time.monotonic()
            say(message=message, done=done, total=total)


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


def write(layout: str, trees: str, ingest: str, recipe: str) -> dict[str, Any]:
    """Write an image into a folder of `ingest/` that the caller holds and will commit; the `Written` as JSON."""
    store, voice = Layout(Path(layout)), Voice()
    meter = Meter("Looking for changed files", lambda it: voice.progress(it.message, it.done, it.total))
    meter.tell()
    writer = ImageWriter(store, Trees(Path(trees), store), Ingest(store, Path(ingest)))
    written = writer.write(Recipe.parse(recipe), meter)
    voice.progress(meter.message, meter.done, meter.total, now=True)
    return written.document()


def preview(layout: str, trees: str, recipe: str) -> dict[str, Any]:
    """What an image of this recipe would be, in short."""
    images, wanted = Trees(Path(trees), Layout(Path(layout))), Recipe.parse(recipe)
    if wanted.parent is not None:
        images.prepare(wanted.parent)
    with in_words(wanted.environment):
        return summary(images, wanted, make_plan(images, wanted))


def unpack(layout: str, trees: str, digest: str) -> dict[str, Any]:
    """Unpack an image where that has not been done."""
    voice, message = Voice(), "Unpacking the image"
    voice.progress(message, 0, 0)
    unpacking = Trees(Path(trees), Layout(Path(layout)))
    unpacking.prepare(digest, lambda done, total: voice.progress(message, done, total, now=done == total))
    return {}


VERBS: dict[str, Callable[..., dict[str, Any]]] = {"write": write, "preview": preview, "unpack": unpack}


def main(parent: str, verb: str, arguments: str) -> None:
    end_with(int(parent))
    gc.disable()  # tens of thousands of entries stay until the end, and would be looked through again and again
    try:
        say(result=VERBS[verb](**json.loads(arguments)))
    except MlplatError as error:
        say(error=type(error).__name__, message=error.message)
    finally:
        _finish_removals()


def _finish_removals() -> None:
    """Folders that were discarded are being removed by threads that would end with us."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
