"""The program that carries one transfer out: `python -m …transfers.worker PARENT VERB FOLDER ROOT`.

PARENT is the pid of the process that started it, with which it ends. It speaks in lines of JSON: figures of
`Progress`, and last `end`: completed, asking (with `conflicts`), or failed (with `message`, and `problems` where
files failed). To pause it, kill it. VERB `abandon` clears away what a transfer that nobody wants has left.
"""

import json
import sys
from pathlib import Path
from typing import Any

from jupyter_mlplat.core.proc import end_with, free_memory_soon
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.storage.engine.current import store_for
from jupyter_mlplat.storage.transfers.carrying import Carrier, Outcome, abandon
from jupyter_mlplat.storage.transfers.folder import TransferFolder

SHOWN = 50


def say(words: dict[str, Any]) -> None:
    print(json.dumps(words), flush=True)


def main(parent: str, verb: str, folder: str, root: str) -> None:
    end_with(int(parent))
    free_memory_soon()
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
