"""What the Hub has answered, remembered for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from jupyter_mlplat.errors import BackendFailure, MlplatError

Answer = TypeVar("Answer")

BUSY_SECONDS = 1.0
"""After which an earlier answer is taken, while the Hub goes on looking for a new one."""


class Answers(Generic[Answer]):
    """Asks by `ask`, once for however many ask the same at once; an answer is good for `fresh` seconds.

    While the Hub does not answer (it is being restarted, or starts very many servers) the last answer is good for
    `holds` seconds; without one BackendFailure is raised.
    """

    def __init__(self, ask: Callable[[str], Awaitable[Answer]], *, fresh: float, holds: float) -> None:
        self._ask = ask
        self.fresh, self.holds = fresh, holds
        self._known: dict[str, tuple[float, Answer]] = {}
        self._asking: dict[str, asyncio.Future[Answer]] = {}

    async def of(self, question: str) -> Answer:
        now = time.monotonic()
        self._known = {key: value for key, value in self._known.items() if now - value[0] < self.holds}
        known = self._known.get(question)
        if known is not None and now - known[0] < self.fresh:
            return known[1]
        asking = self._asked_once(question)
        await asyncio.wait({asking}, timeout=None if known is None else BUSY_SECONDS)
        return asking.result() if known is None or asking.done() else known[1]

    def _asked_once(self, question: str) -> asyncio.Future[Answer]:
        if question not in self._asking:
            self._asking[question] = asyncio.ensure_future(self._answer(question))
            self._asking[question].add_done_callback(lambda asked: self._answered(question, asked))
        return self._asking[question]

    def _answered(self, question: str, asked: asyncio.Future[Answer]) -> None:
        self._asking.pop(question)
        if not asked.cancelled():
            asked.exception()  # that nobody waits for it any more is no trouble

    async def _answer(self, question: str) -> Answer:
        before, now = self._known.get(question), time.monotonic()
        try:
            answer = await self._ask(question)
        except BackendFailure:
            if before is None:
                raise
            return before[1]
        except MlplatError:
            self._known.pop(question, None)
            raise
        self._known[question] = (now, answer)
        return answer
