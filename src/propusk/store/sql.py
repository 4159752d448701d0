"""Counters in the SQL database, on connections of their own: a refusal rolls its use case back, never its count."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.counters import count_hits, uncount_hits
from propusk.store import Hit

T = TypeVar("T")
R = TypeVar("R")
_ALL = 2**31 - 1
"""More than any counter holds."""


class SqlStore:
    """`Store` on the table of counters.

    Args:
        engine: an engine of its own, which need not wait for the disk.
    """

    def __init__(self, engine: AsyncEngine, counters: Table) -> None:
        self._engine = engine
        self._counters = counters

    async def hit(self, hits: Sequence[Hit], *, now: datetime) -> dict[bytes, tuple[int, datetime]]:
        ends = [(hit.key, now + hit.limit.window) for hit in hits]
        return await self._in_transaction(count_hits, ends, now)

    async def give_back(self, hits: Sequence[Hit], *, clear: Sequence[Hit] = (), now: datetime) -> None:
        taken = dict.fromkeys((hit.key for hit in hits), 1) | dict.fromkeys((hit.key for hit in clear), _ALL)
        await self._in_transaction(uncount_hits, taken, now)

    async def _in_transaction(self, act: Callable[[Connection, Table, T, datetime], R], what: T, now: datetime) -> R:
        # All of it in one go: a login counts twice, and each way into SQLAlchemy's greenlets has its price.
        def run(connection: Connection) -> R:
            with connection.begin():
                return act(connection, self._counters, what, now)

        async with self._engine.connect() as connection:
            return await connection.run_sync(run)

    async def health(self) -> Mapping[str, bool]:
        return {}

    async def close(self) -> None:
        """The engine is another's."""
