"""The one clock: the process's own, corrected to the database's, so that nodes agree."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.dialect import database_time

MEASURE_EVERY = 60.0
"""Seconds."""


def _now() -> datetime:
    return datetime.now(UTC)


class DatabaseClock:
    """Call it for the time. `offset` is what the database's clock is ahead of the process's.

    Args:
        own: the process's, aware.
    """

    def __init__(self, own: Callable[[], datetime] = _now) -> None:
        self.offset = timedelta(0)
        self._own = own
        self._measured = float("-inf")

    def __call__(self) -> datetime:
        return self._own() + self.offset

    async def measure(self, engine: AsyncEngine) -> None:
        """Ask the database for its time; half of the round trip is taken for the way back."""
        self._measured = time.monotonic()
        async with engine.connect() as connection:
            before = self._own()
            there = await database_time(connection)
            after = self._own()
        if there is not None:
            self.offset = there - before - (after - before) / 2

    async def keep_right(self, engine: AsyncEngine) -> None:
        """Measure again if the last time was a minute ago."""
        if time.monotonic() - self._measured >= MEASURE_EVERY:
            await self.measure(engine)
