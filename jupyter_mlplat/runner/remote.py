"""Channels at S3 endpoints, moved by transfers: what a killed runner has begun, the next attempt goes on with."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_mlplat.core.files import write_atomically
from jupyter_mlplat.errors import BackendFailure, InvalidInput, MlplatError, NotFound
from jupyter_mlplat.runner.layout import JobFolder
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.storage.transfers.carrying import PAUSES, Carrier, abandon
from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.order import OnConflict, Order
from jupyter_mlplat.storage.transfers.parts import is_same
from jupyter_mlplat.storage.transfers.planning import Step, StoreFor, Verb, mark_of_file

_LOOKED_UP_AT_ONCE = 16


def fetch(name: str, url: str, folder: JobFolder, store_for: StoreFor) -> None:
    """Bring an object, or all below a folder, to inputs/NAME. What an earlier attempt has brought is left out.

    InvalidInput where nothing is there, BackendFailure where it cannot be fetched.
    """
    folder.inputs.mkdir(exist_ok=True)
    order = Order(url, f"{name}/", OnConflict.OVERWRITE, sync=True)
    transfer = TransferFolder.make(folder.transfers / f"input-{name}", order)
    try:
        outcome = Carrier(transfer, folder.inputs, store_for, _quietly).run(anew=True)
    except NotFound as error:
        raise InvalidInput(f"The input {name!r} is not there. {error.message}") from error
    except MlplatError as error:
        raise BackendFailure(f"The input {name!r} could not be fetched. {error.message}") from error
    if outcome.failed:
        raise BackendFailure(f"The input {name!r} could not be fetched. {outcome.message}")


class RemoteOutput:
    """Keeps a folder at an endpoint like one of the job: new and changed files are sent, none is deleted there.

    What was sent is written down beside the transfer: a later attempt sends nothing twice.
    """

    def __init__(self, name: str, source: Path, url: str, folder: JobFolder, store_for: StoreFor) -> None:
        self.name, self.source = name, source
        self._url, self._store_for = ObjectUrl.parse(url), store_for
        order = Order(str(source), url, OnConflict.OVERWRITE)
        self._transfer = TransferFolder.make(folder.transfers / f"output-{name}", order)
        self._record = self._transfer.path / "sent.json"
        self._sent = self._remembered()

    def push(self, files: Iterator[Path], *, last: bool) -> None:
        """Send what is new. BackendFailure with the reason where that fails.

        Before the last time a file may fail: it is written to, or gone, and comes again the next time. The last time
        an endpoint that does not answer is waited for.
        """
        steps = list(self._steps(files))
        if not steps:
            return
        self._transfer.forget_plan()
        self._transfer.plan.write(steps)
        pauses = PAUSES if last else ()
        outcome = Carrier(self._transfer, self.source, self._store_for, _quietly, pauses).run()
        self._remember()
        if last and outcome.failed:
            raise BackendFailure(outcome.message)
        if last:
            abandon(self._transfer, self._store_for)

    def adopt(self, files: Iterator[Path]) -> None:
        """Leave out what is there with the same content. What cannot be looked up is sent again."""
        with ThreadPoolExecutor(_LOOKED_UP_AT_ONCE) as pool:
            for name, mark in pool.map(self._found, files):
                if mark:
                    self._sent[name] = mark

    def _found(self, path: Path) -> tuple[str, str]:
        name = path.relative_to(self.source).as_posix()
        with suppress(MlplatError, OSError, UnicodeEncodeError):
            mark, url = mark_of_file(path), self._url.child(name)
            if is_same(self._store_for(url.bucket), url, path):
                return name, mark
        return name, ""

    def _steps(self, files: Iterator[Path]) -> Iterator[Step]:
        for path in files:
            try:
                facts, mark = path.stat(), mark_of_file(path)
                name = path.relative_to(self.source).as_posix()
                name.encode()
            except FileNotFoundError:  # files come and go while the job runs
                continue
            except UnicodeEncodeError:
                words = "its name is no text in UTF-8"
                yield Step(Verb.REFUSE, ascii(str(path)), "", 0, words, False, None)
                continue
            if self._sent.get(name) != mark:
                target = str(self._url.child(name))
                yield Step(Verb.COPY, str(path), target, facts.st_size, mark, False, facts.st_mtime)

    def _remember(self) -> None:
        """Take down what the plan has brought there."""
        done = self._transfer.done()
        for number, step in self._transfer.plan.steps():
            if done.get(number) == "":
                self._sent[Path(step.source).relative_to(self.source).as_posix()] = step.mark
        write_atomically(self._record, json.dumps(self._sent).encode())

    def _remembered(self) -> dict[str, str]:
        try:
            found = json.loads(self._record.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return dict(found)


def _quietly(_: dict[str, Any]) -> None:
    pass
