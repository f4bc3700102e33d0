"""`python -m jupyter_mlplat.runner JOB_DIR`: run one attempt of a job and leave its outcome in state.json."""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn

from jupyter_mlplat.core.locks import try_lock
from jupyter_mlplat.core.proc import adopt_orphans, identify
from jupyter_mlplat.runner.arrival import files_are_there
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.run import Run
from jupyter_mlplat.runner.state import State, StateFile


def main(arguments: list[str]) -> int:
    """Exit code 0 where the job has completed, 1 where it has not, 2 for bad usage, 3 where another runner has it."""
    if len(arguments) != 1:
        print("usage: python -m jupyter_mlplat.runner JOB_DIR", file=sys.stderr)
        return 2
    # From the first moment a request to stop waits until somebody can hear it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    folder = JobFolder(Path(arguments[0]).resolve())
    if not _locked(folder):
        return 3
    if not files_are_there(folder):
        return 1
    spec = Spec.load(folder.spec)
    own = identify(os.getpid())
    state = StateFile(folder.state, State("running", spec.attempt, os.getpid(), own.started if own else 0))
    adopt_orphans()
    outcome = Run(spec, folder, state).to_the_end()
    state.finish(outcome.state, outcome.exit_code, outcome.message)
    folder.grant.unlink(missing_ok=True)
    _remove_environment(spec, folder)
    return 0 if outcome.state == "completed" else 1


def _locked(folder: JobFolder) -> bool:
    # The descriptor stays open, and the lock ours, for as long as this process lives.
    return try_lock(os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _remove_environment(spec: Spec, folder: JobFolder) -> None:
    """The job's own copy of the image has done its work. An environment from elsewhere is left alone."""
    if folder.env.is_symlink():
        folder.env.unlink()
    elif Path(spec.environment) == folder.env:
        shutil.rmtree(folder.env, ignore_errors=True)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that still copies for a job that has been stopped would hold the interpreter back.
    os._exit(code)


if __name__ == "__main__":
    _leave(main(sys.argv[1:]))
