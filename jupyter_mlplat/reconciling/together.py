"""Small changes of many things at once, in few transactions."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.db.engine import Database

T = TypeVar("T")

MOST = 25
"""In one transaction, during which nobody else has the event loop where the database is SQLite."""


@dataclass(eq=False)
class _Change:
    """What is to be done in a transaction to the row of that id, and what came of it."""

    row_id: str
    work: Callable[[AsyncSession], Awaitable[Any]]
    outcome: Any = None
    done: bool = False
    alone: bool = False


class Together:
    """Changes that wait for their turn to write go into one transaction, in the order in which they came.

    A change is made wholly or not at all. Where one fails, those that were with it are made each by itself, so that
    only its own caller hears of it; so they are where the one who wrote for all is cut off.
    """

    def __init__(self, database: Database, table: Any) -> None:
        """The changes begin by getting rows of `table`, which are read all at once."""
        self._database, self._table = database, table
        self._waiting: list[_Change] = []
        self._turn = asyncio.Lock()

    async def change(self, row_id: str, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Returns once what `work` did is committed. It does nothing but read and write in the session."""
        mine = _Change(row_id, work)
        self._waiting.append(mine)
        try:
            async with self._turn:
                if not mine.done:
                    await self._write_with(mine)
        finally:
            self._waiting.remove(mine)
        outcome: T = mine.outcome
        return outcome

    async def _write_with(self, mine: _Change) -> None:
        others = [one for one in self._waiting if not (one.done or one.alone or one is mine)]
        if others and not mine.alone:
            try:
                await self._write([mine, *others[: MOST - 1]])
            except Exception:
                await self._write([mine])
        else:
            await self._write([mine])

    async def _write(self, changes: list[_Change]) -> None:
        for one in changes:
            one.alone = True  # until it is done
        async with self._database.transaction() as session:
            held = await self._rows(session, changes)
            for one in changes:
                one.outcome = await one.work(session)
            del held
        for one in changes:
            one.done = True

    async def _rows(self, session: AsyncSession, changes: list[_Change]) -> list[Any]:
        """To be held while the session is used: it forgets what nobody holds."""
        if len(changes) == 1:
            return []
        ids = [one.row_id for one in changes]
        return list(await session.scalars(select(self._table).where(self._table.id.in_(ids))))
