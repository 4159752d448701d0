"""Counters in the SQL database, on connections of their own: a refusal rolls its use case back, never its count."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Integer, Table, Update, bindparam, update
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
        kept = dict.fromkeys((hit.key for hit in hits), 1) | dict.fromkeys((hit.key for hit in clear), 0)
        # In one order everywhere, as in `count_hits`, and so a statement each: one for all locks them in any order.
        rows = [{"hit": key, "kept": keep, "now": now} for key, keep in sorted(kept.items())]
        async with self._engine.begin() as connection:
            await connection.execute(self._give_back, rows)


def _give_back(counters: Table) -> Update:
    c = counters.c
    counted = (c.key == bindparam("hit"), c.count > 0, c.resets_at > bindparam("now"))
    return update(counters).where(*counted).values(count=(c.count - 1) * bindparam("kept", type_=Integer))
