"""The program that carries one transfer out: `python -m …transfers.worker PARENT VERB FOLDER ROOT`.

PARENT is the pid of the process that started it, with which it ends. It speaks in lines of JSON: figures of
`Progress`, and last `end`: completed, asking (with `conflicts`), or failed (with `message`, and `problems` where
files failed). To pause it, kill it. VERB `abandon` clears away what a transfer that nobody wants has left.
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from jupyter_mlplat.core.proc import end_with, free_memory_soon
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.storage.engine.current import store_for
from jupyter_mlplat.storage.transfers.carrying import Carrier, Outcome, abandon
from jupyter_mlplat.storage.transfers.folder import TransferFolder

SHOWN = 50

_BETWEEN_COLLECTIONS = 50_000
"""New objects between two looks for garbage: what botocore reads at its start alone would bring about hundreds."""


def say(words: dict[str, Any]) -> None:
    print(json.dumps(words), flush=True)


def main(parent: str, verb: str, folder: str, root: str) -> None:
    end_with(int(parent))
    free_memory_soon()
    gc.set_threshold(_BETWEEN_COLLECTIONS)
    transfer = TransferFolder(Path(folder))
    try:
        if verb == "abandon":
            with transfer.held():
                abandon(transfer, store_for)
            say({"end": "completed"})
        else:
            say(ending(Carrier(transfer, Path(root), store_for, say).run()))
    except MlplatError as error:
        say({"end": "failed", "message": error.message})


def ending(outcome: Outcome) -> dict[str, Any]:
    """How a transfer ended, in a line for whoever looks after it."""
    if outcome.conflicts:
        return {"end": "asking", "conflicts": outcome.conflicts}
    if not outcome.failed:
        return {"end": "completed"}
    return {"end": "failed", "message": outcome.message, "problems": outcome.failed[:SHOWN]}


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # all is said; to take apart what is in memory would take 0.2 s
