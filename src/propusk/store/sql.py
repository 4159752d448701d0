"""Counters in the SQL database, on connections of their own: a refusal rolls its use case back, never its count."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Table, Update, bindparam, case, or_, update
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.dialect import count_hits
from propusk.store import Hit


class SqlStore:
    """`Store` on the table of counters.

    Args:
        engine: an engine of its own, which need not wait for the disk.
    """

    def __init__(self, engine: AsyncEngine, counters: Table) -> None:
        self._engine = engine
        self._counters = counters
        self._give_back = _give_back(counters)

    async def hit(self, hits: Sequence[Hit], *, now: datetime) -> dict[bytes, tuple[int, datetime]]:
        async with self._engine.begin() as connection:
            return await count_hits(connection, self._counters, [(h.key, now + h.limit.window) for h in hits], now)

    async def give_back(self, hits: Sequence[Hit], *, clear: Sequence[Hit] = (), now: datetime) -> None:
        keys = {"cleared": [hit.key for hit in clear], "others": [hit.key for hit in hits]}
        async with self._engine.begin() as connection:
            await connection.execute(self._give_back, {**keys, "now": now})


def _give_back(counters: Table) -> Update:
    c = counters.c
    cleared = c.key.in_(bindparam("cleared", expanding=True))
    others = c.key.in_(bindparam("others", expanding=True))
    statement = update(counters).where(or_(cleared, others), c.count > 0, c.resets_at > bindparam("now"))
    return statement.values(count=case((cleared, 0), else_=c.count - 1))
