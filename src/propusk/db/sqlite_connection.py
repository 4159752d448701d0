"""SQLite connections with one change of threads a statement.

aiosqlite runs each call of a cursor in the connection's thread: opening it, executing, fetching and closing are four
trips there and back, half of what a login costs beside its hash. Here a statement and its rows are one trip.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import aiosqlite

Run = Callable[[sqlite3.Cursor], object]


class OneTripCursor:
    """What SQLAlchemy asks of a cursor, answered from what one trip brought back."""

    def __init__(self, connection: "OneTripConnection") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Self:
        """Run a statement and fetch all its rows."""
        return await self._run(lambda cursor: cursor.execute(sql, parameters))

    async def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> Self:
        """Run a statement with each of several sets of parameters."""
        return await self._run(lambda cursor: cursor.executemany(sql, parameters))

    async def _run(self, run: Run) -> Self:
        found = await self._connection.in_thread(run)
        self._rows, self.description, self.rowcount, self.lastrowid = found
        return self

    async def fetchall(self) -> list[Any]:
        """The rows that are left."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Nothing is open any more."""


class OneTripConnection(aiosqlite.Connection):
    """A connection whose cursors are `OneTripCursor`s."""

    def cursor(self) -> OneTripCursor:  # type: ignore[override]
        """A cursor; costs nothing."""
        return OneTripCursor(self)

    async def in_thread(self, run: Run) -> tuple[list[Any], Any, int, int | None]:
        """Run a statement on a cursor of its own; rows, description, rowcount and lastrowid."""
        found: tuple[list[Any], Any, int, int | None] = await self._execute(_run, self._conn, run)  # type: ignore[no-untyped-call]
        return found


def _run(connection: sqlite3.Connection, run: Run) -> tuple[list[Any], Any, int, int | None]:
    cursor = connection.cursor()
    try:
        run(cursor)
        rows = cursor.fetchall() if cursor.description else []
        return rows, cursor.description, cursor.rowcount, cursor.lastrowid
    finally:
        cursor.close()


async def open_connection(path: str, *, patience: float) -> aiosqlite.Connection:
    """A new connection to an SQLite file.

    Args:
        patience: seconds that it waits for a lock.
    """
    connection = OneTripConnection(partial(sqlite3.connect, path, timeout=patience), iter_chunk_size=64)
    # Until 0.22 the connection was its thread; either way the process need not wait for it to end.
    thread: Any = getattr(connection, "_thread", connection)
    thread.daemon = True
    return await connection
