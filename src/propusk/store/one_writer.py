"""Counting on SQLite, which has one writer: a transaction that has written would wait for itself."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from propusk.db.transactions import by_us
from propusk.store import Hit, Store


class BeforeWrites:
    """`Store` for the transaction of `db`, that refuses at once what could only time out."""

    def __init__(self, store: Store, db: AsyncSession) -> None:
        self._store = store
        self._db = db

    async def hit(self, hits: Sequence[Hit], *, now: datetime) -> dict[bytes, tuple[int, datetime]]:
        await self._check()
        return await self._store.hit(hits, now=now)

    async def give_back(self, hits: Sequence[Hit], *, clear: Sequence[Hit] = (), now: datetime) -> None:
        await self._check()
        await self._store.give_back(hits, clear=clear, now=now)

    async def _check(self) -> None:
        if await _writes(self._db):
            raise RuntimeError(
                "On SQLite, what counts attempts (to register, log in, refresh, prove a password) must come before"
                " whatever else its transaction writes, and before savepoints: attempts are counted beside it, and"
                " SQLite has one writer"
            )

    async def health(self) -> Mapping[str, bool]:
        return await self._store.health()

    async def close(self) -> None:
        """The store is another's."""


async def _writes(db: AsyncSession) -> bool:
    """Whether its connection is SQLite's one writer, or will be at the next flush. A lent session tells no more."""
    if db.new or db.dirty or db.deleted:
        return True
    if not db.in_transaction():
        return False
    with by_us(db):
        connection = await db.connection()
    driver: Any = (await connection.get_raw_connection()).driver_connection
    return bool(driver.in_transaction)
