"""On a cluster the files of a job come while its container starts: waiting for them."""

import os
import signal

from jupyter_mlplat.runner.layout import JobFolder
from jupyter_mlplat.runner.state import State

AWAIT = "MLPLAT_AWAIT_FILES"
"""Set where somebody else brings the files; `spec.json` is written when all the others are there."""

_LOOK_EVERY = 0.02


def files_are_there(folder: JobFolder) -> bool:
    """Wait for the spec; False where the files cannot be had, or a request to stop (SIGTERM, blocked) comes first."""
    while not folder.spec.exists():
        if AWAIT not in os.environ:
            return True
        if State.load(folder.state) is not None:
            return False
        if signal.sigtimedwait({signal.SIGTERM}, _LOOK_EVERY) is not None:
            return False
    return True
