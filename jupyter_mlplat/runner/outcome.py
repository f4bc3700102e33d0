"""How a job's task ends, and what the runner asks of one."""

import asyncio
from abc import ABC, abstractmethod
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Outcome:
    """`message` is for the job's owner; `exit_code` is None where there is none (stopped, never begun)."""

    state: Literal["completed", "failed", "stopped"]
    exit_code: int | None
    message: str = ""


STOPPED = Outcome("stopped", None, "Stopped on request.")


class Task(ABC):
    """A notebook or a script that runs."""

    def __init__(self, inputs: "Future[None]") -> None:
        self._inputs = inputs
        self._waiting: asyncio.Future[None] | None = None
        self.stopping = False

    async def inputs_are_there(self) -> None:
        """Wait for the inputs. Raises what went wrong with them, or CancelledError once the task is to stop."""
        self._waiting = asyncio.wrap_future(self._inputs)
        if self.stopping:
            self._waiting.cancel()
        await self._waiting

    @abstractmethod
    async def run(self) -> Outcome:
        """Run to the end."""

    @abstractmethod
    async def stop(self, number: int) -> None:
        """Send a signal to what runs; `run` ends soon after."""
        self.stopping = True
        if self._waiting is not None:
            self._waiting.cancel()
