"""Channels and the log of a pod's job at S3 endpoints: its messenger moves them, beside its own line to the platform.

Keys, and what they are asked for with, stay in the messenger's process; what is noted of transfers holds neither.
"""

import json
from dataclasses import replace
from threading import Event, Thread
from typing import Any

from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.runner.channels import Outputs
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.log import Log
from jupyter_mlplat.runner.remote import fetch
from jupyter_mlplat.runner.state import State, write_durably
from jupyter_mlplat.runner.stores import JobStores

EVERY = 10.0


class Endpoints:
    """Fetches inputs; then sends outputs and the log in a thread of its own, which holds nothing else up."""

    def __init__(self, beginning: dict[str, Any], folder: JobFolder, stores: JobStores) -> None:
        """`beginning` is what the platform has told this node."""
        far = beginning["far"]
        self._inputs, self._folder, self._stores = far["inputs"], folder, stores
        spec = replace(Spec(**beginning["spec"]), outputs=far["outputs"], logs_to=far["logs"])
        self._restored = bool(beginning["outputs"]["files"])
        folder.logs.mkdir(parents=True, exist_ok=True)
        self._outputs, self._log = Outputs(spec, folder, stores), Log(folder.log(spec.node))
        self._over = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def fetch(self) -> None:
        """Bring the inputs. InvalidInput where one is not there, BackendFailure where it cannot be fetched."""
        for name, url in self._inputs:
            fetch(name, url, self._folder, self._stores.store_for)

    def start(self) -> None:
        """From now on send what comes."""
        self._thread.start()

    def is_home(self) -> bool:
        """Whether all has been sent, for which this is the last time. What could not be is said in log and state."""
        self._over.set()
        return not self._thread.is_alive()

    def _run(self) -> None:
        if self._restored:
            self._outputs.adopt()
        said = ""
        while not self._over.wait(EVERY):
            trouble = self._pushed(last=False)
            if trouble and trouble != said:
                self._log.note(trouble)
            said = trouble
        self._bring_home()

    def _bring_home(self) -> None:
        if trouble := self._pushed(last=True):
            self._log.note(trouble)
            self._tell(trouble, fails=True)
        for trouble in self._outputs.push_logs(last=True):
            self._log.note(trouble)
            self._tell(trouble, fails=False)

    def _pushed(self, *, last: bool) -> str:
        """Why that failed; empty where it did not."""
        try:
            self._outputs.push(last=last)
        except MlplatError as error:
            return error.message
        except Exception as error:
            return f"The platform could not send the outputs: {type(error).__name__}: {error}."
        return ""

    def _tell(self, words: str, *, fails: bool) -> None:
        """Add to the last word of the runner, which has ended, if it had one."""
        state = State.load(self._folder.state)
        if state is None or state.state == "running":
            return
        failed = fails and state.state == "completed"
        told = replace(state, message=words) if failed else replace(state, message=f"{state.message} {words}".strip())
        told = replace(told, state="failed", exit_code=None) if failed else told
        write_durably(self._folder.state, json.dumps(vars(told), indent=1).encode())
