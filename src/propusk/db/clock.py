"""The one clock: the process's own, corrected to the database's, so that nodes agree."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.dialect import database_time


class DatabaseClock:
    """Call it for the time. `offset` is what the database's clock is ahead of the process's."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    async def measure(self, engine: AsyncEngine) -> None:
        """Ask the database for its time; half of the round trip is taken for the way back."""
        async with engine.connect() as connection:
            before = datetime.now(UTC)
            there = await database_time(connection)
            after = datetime.now(UTC)
        if there is not None:
            self.offset = there - before - (after - before) / 2
