"""Counters in the SQL database, on connections of their own: a refusal rolls its use case back, never its count."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from propusk.db.batches import Batches
from propusk.db.counters import count_hits, uncount_hits
from propusk.errors import Unavailable
from propusk.store import Hit

T = TypeVar("T")
R = TypeVar("R")
Counted = dict[bytes, tuple[int, datetime]]
_Attempt = tuple[Mapping[bytes, timedelta], datetime]
"""Keys with the lengths of their windows, and when it was made."""
_Return = tuple[Mapping[bytes, int], datetime]
"""Keys with how much to take off, and when."""
MOST = 10
"""Attempts that are counted in one statement. Each number of counters has a text of its own, that drivers keep."""
PATIENCE = 0.1
"""Seconds for which a statement that waits, for somebody's lock or for a server that is gone, holds up the next."""
_ALL = 2**31 - 1
"""More than any counter holds."""


class SqlStore:
    """`Store` on the table of counters. Attempts of the same moment are counted in one statement.

    Args:
        engine: an engine of its own, which need not wait for the disk.
        timeout: seconds after which a statement is given up.
    """

    def __init__(self, engine: AsyncEngine, counters: Table, *, timeout: float = 8.0) -> None:
        self._engine = engine
        self._counters = counters
        self._timeout = timeout
        self._hits: Batches[_Attempt, Counted] = Batches(self._count, most=MOST, patience=PATIENCE)
        self._returns: Batches[_Return, None] = Batches(self._uncount, most=MOST, patience=PATIENCE)

    async def hit(self, hits: Sequence[Hit], *, now: datetime) -> Counted:
        return await self._hits.do(({hit.key: hit.limit.window for hit in hits}, now))

    async def give_back(self, hits: Sequence[Hit], *, clear: Sequence[Hit] = (), now: datetime) -> None:
        taken = dict.fromkeys((hit.key for hit in hits), 1) | dict.fromkeys((hit.key for hit in clear), _ALL)
        await self._returns.do((taken, now))

    async def _count(self, attempts: Sequence[_Attempt]) -> list[Counted]:
        """Each hears what it had heard if they had come one after the other, when the last of them came."""
        now = _latest(attempts)
        each = [windows for windows, _ in attempts]
        later = Counter(key for windows in each for key in windows)
        ends = {key: now + window for windows in each for key, window in windows.items()}
        found = await self._in_transaction(count_hits, {key: (later[key], ends[key]) for key in ends}, now)
        answers = []
        for windows in each:
            later.subtract(windows.keys())
            answers.append({key: (found[key][0] - later[key], found[key][1]) for key in windows})
        return answers

    async def _uncount(self, given: Sequence[_Return]) -> list[None]:
        total: Counter[bytes] = Counter()
        for taken, _ in given:
            total.update(taken)
        bounded = {key: min(count, _ALL) for key, count in total.items()}
        await self._in_transaction(uncount_hits, bounded, _latest(given))
        return [None] * len(given)

    async def _in_transaction(self, act: Callable[[Connection, Table, T, datetime], R], what: T, now: datetime) -> R:
        def run() -> R:
            with self._engine.sync_engine.begin() as connection:
                return act(connection, self._counters, what, now)

        try:
            async with asyncio.timeout(self._timeout):
                # Connecting, counting and giving back in one go: each way into SQLAlchemy's greenlets has its price.
                return await greenlet_spawn(run)
        except TimeoutError as error:
            raise Unavailable from error

    async def health(self) -> Mapping[str, bool]:
        return {}

    async def close(self) -> None:
        """End what is under way. The engine is another's."""
        await asyncio.gather(self._hits.close(), self._returns.close())


def _latest(asked: Iterable[tuple[object, datetime]]) -> datetime:
    return max(now for _, now in asked)
