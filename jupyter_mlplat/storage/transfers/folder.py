"""The folder of one transfer: its order, its plan, and what has arrived.

order.json      what is asked
state.json      where it stands, written by whoever looks after the queue
plan.jsonl      one line for each file, see `plan_file.py`
done            a line for each file that needs no more: its number in the plan, and after a space why it failed
parts/NAME      the journal of a large file that is under way, see `parts.py`; NAME stands for its source and target
lock            held by whoever carries it out
"""

import json
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from jupyter_mlplat.core.files import write_atomically
from jupyter_mlplat.core.locks import try_lock
from jupyter_mlplat.errors import Conflict
from jupyter_mlplat.storage.transfers.order import Order
from jupyter_mlplat.storage.transfers.plan_file import PlanFile, cut_to_last_line
from jupyter_mlplat.storage.transfers.planning import Step


class TransferFolder:
    """Reads and writes the files of a transfer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan = PlanFile(path / "plan.jsonl")
        self.parts = path / "parts"

    @classmethod
    def make(cls, path: Path, order: Order) -> "TransferFolder":
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = cls(path)
        folder.write_order(order)
        return folder

    @property
    def order(self) -> Order:
        return Order.read(json.loads((self.path / "order.json").read_bytes()))

    def write_order(self, order: Order) -> None:
        write_atomically(self.path / "order.json", json.dumps(asdict(order)).encode(), 0o600)

    def read_state(self) -> dict[str, Any]:
        """Empty where none was ever written."""
        with suppress(FileNotFoundError, ValueError):
            found = json.loads((self.path / "state.json").read_bytes())
            return found if isinstance(found, dict) else {}
        return {}

    def write_state(self, state: dict[str, Any]) -> None:
        write_atomically(self.path / "state.json", json.dumps(state).encode(), 0o600)

    def done(self) -> dict[int, str]:
        """The numbers of the steps that need no more, and why those failed that did (else empty)."""
        found: dict[int, str] = {}
        with suppress(FileNotFoundError), (self.path / "done").open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):  # the last one may be cut short by a kill
                    number, _, reason = line[:-1].partition(" ")
                    found[int(number)] = json.loads(reason) if reason else ""
        return found

    def forget_failures(self) -> None:
        """Those that failed are to be tried again."""
        self.write_done({number: reason for number, reason in self.done().items() if not reason})

    def write_done(self, done: dict[int, str]) -> None:
        """In place of what is written there."""
        lines = [_line(number, reason) for number, reason in done.items()]
        write_atomically(self.path / "done", "".join(lines).encode(), 0o600)

    @contextmanager
    def ledger(self) -> Iterator["Ledger"]:
        """Where those are written down, behind what a kill may have cut short."""
        with (self.path / "done").open("a+b", buffering=0) as file:
            cut_to_last_line(file.fileno())
            ledger = Ledger(file.fileno())
            try:
                yield ledger
            finally:
                ledger.flush()

    def forget_plan(self) -> None:
        """Look anew at what there is to do; large files that are under way go on from their journals."""
        self.plan.forget()
        (self.path / "done").unlink(missing_ok=True)

    def journal(self, step: Step) -> Path:
        """The path of a step's journal, whichever plan the step is in."""
        return self.parts / sha256(f"{step.source}\0{step.target}".encode()).hexdigest()[:16]

    def journals(self) -> list[Path]:
        """The journals of files that are under way."""
        return sorted(self.parts.iterdir()) if self.parts.is_dir() else []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Conflict where somebody else carries this transfer out."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not try_lock(descriptor):
                raise Conflict("This copy is being carried out already.")
            yield
        finally:
            os.close(descriptor)


class Ledger:
    """Takes down which steps need no more; with `flush` it is in the file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._flushing = descriptor, Lock()
        self._lines = deque[str]()
        self._left = b""

    def write(self, number: int, reason: str) -> None:
        # without a lock: many threads come here at once, and would queue for it
        self._lines.append(_line(number, reason))

    def flush(self) -> None:
        """Where the disk is full, what could not be written comes with the next one."""
        with self._flushing:
            self._left += "".join(self._lines.popleft() for _ in range(len(self._lines))).encode()
            while self._left:
                self._left = self._left[os.write(self._descriptor, self._left) :]


def _line(number: int, reason: str) -> str:
    return f"{number} {json.dumps(reason)}\n" if reason else f"{number}\n"
