"""Counters in the SQL database, on connections of their own: a refusal rolls its use case back, never its count."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.counters import count_hits, uncount_hits
from propusk.store import Hit

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
        async with self._engine.begin() as connection:
            return await count_hits(connection, self._counters, [(h.key, now + h.limit.window) for h in hits], now)

    async def give_back(self, hits: Sequence[Hit], *, clear: Sequence[Hit] = (), now: datetime) -> None:
        taken = dict.fromkeys((hit.key for hit in hits), 1) | dict.fromkeys((hit.key for hit in clear), _ALL)
        async with self._engine.begin() as connection:
            await uncount_hits(connection, self._counters, taken, now)

    async def health(self) -> Mapping[str, bool]:
        return {}

    async def close(self) -> None:
        """The engine is another's."""
