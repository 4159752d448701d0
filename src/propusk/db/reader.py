"""The hot read: one row by its id, through the driver itself, on one connection that a process keeps for it.

A SQLAlchemy transaction costs many times as much. Reads are strict: a row is only
ever answered by a statement that started after it was asked for.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Column, Select, Uuid, any_, bindparam
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from propusk.db.batches import Batches
from propusk.db.engine import is_pooled, open_sqlite_reader

Row = tuple[Any, ...]
TIMEOUT = 8.0
"""Seconds that a read may take before those who wait for it are refused."""
log = logging.getLogger(__name__)


class ReadFailed(Exception):
    """The row could not be read: the database is away. A lookup by primary key fails for no other reason."""


class RowReader:
    """Reads rows of `statement` by `key`. The first column of the statement must be `key`.

    Rows come as the driver gives them; `convert` turns one into the values that the columns' types promise.
    """

    def __init__(self, engine: AsyncEngine, statement: Select[Any], key: Column[UUID]) -> None:
        dialect = engine.dialect
        self._processors = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in statement.selected_columns
        ]
        self._source = _source(engine, statement, key)
        self._batches = Batches(self._fetch)

    async def get(self, key: UUID) -> Row | None:
        """The raw row of this id, as committed after the call began.

        Raises:
            ReadFailed
        """
        try:
            return await self._batches.do(key)
        except Exception as error:
            raise ReadFailed from error

    def convert(self, row: Row) -> list[Any]:
        """The row with each value as its column's type has it."""
        return [value if fix is None else fix(value) for fix, value in zip(self._processors, row, strict=True)]

    async def close(self) -> None:
        await self._batches.close()
        await self._source.close()

    async def _fetch(self, keys: Sequence[UUID]) -> Sequence[Row | None]:
        try:
            async with asyncio.timeout(TIMEOUT):
                rows = await self._source.fetch(list(dict.fromkeys(keys)))
        except Exception as error:
            log.warning("liveness read failed", exc_info=error)
            raise
        return [rows.get(key) for key in keys]


def _source(engine: AsyncEngine, statement: Select[Any], key: Column[UUID]) -> "_InLoop | _Kept":
    match engine.dialect.driver:
        case "aiosqlite":
            return _InLoop(engine, statement, key)
        case "asyncpg":
            return _Asyncpg(engine, statement, key)
        case "asyncmy":
            return _Asyncmy(engine, statement, key)
        case _:
            return _Kept(engine, statement, key)


class _InLoop:
    """SQLite: a look into the page cache is cheaper than going to a thread for it."""

    def __init__(self, engine: AsyncEngine, statement: Select[Any], key: Column[UUID]) -> None:
        self._sql = _compile(engine, statement.where(key == bindparam("id", type_=key.type)))
        self._path = str(engine.url.database)
        self._connection: sqlite3.Connection | None = None

    async def fetch(self, keys: Sequence[UUID]) -> Mapping[UUID, Row]:
        """The rows of these ids."""
        try:
            if self._connection is None:
                self._connection = open_sqlite_reader(self._path)
            return self._read(self._connection, keys)
        except sqlite3.OperationalError:
            # Somebody recovers or truncates the log: wait for them, but not in the loop.
            await self.close()
            return await asyncio.to_thread(self._read_patiently, keys)

    def _read(self, connection: sqlite3.Connection, keys: Sequence[UUID]) -> Mapping[UUID, Row]:
        # Looking whether the file has changed is most of a read's cost: one look for all of them.
        connection.execute("BEGIN")
        try:
            rows = {key: connection.execute(self._sql, (key.bytes,)).fetchone() for key in keys}
        finally:
            connection.execute("ROLLBACK")
        return {key: row for key, row in rows.items() if row is not None}

    def _read_patiently(self, keys: Sequence[UUID]) -> Mapping[UUID, Row]:
        with closing(open_sqlite_reader(self._path)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {int(TIMEOUT * 1000)}")
            return self._read(connection, keys)

    async def close(self) -> None:
        """Close the connection; the next read opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Kept:
    """One connection, kept; opened anew when it breaks. The engine must have no pool of connections as dead as it."""

    def __init__(self, engine: AsyncEngine, statement: Select[Any], key: Column[UUID]) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._statement = statement
        self._key = key
        self._connection: AsyncConnection | None = None
        self._driver: Any = None

    async def fetch(self, keys: Sequence[UUID]) -> Mapping[UUID, Row]:
        """The rows of these ids. A connection that turns out to be dead is replaced once: reads may be repeated."""
        fresh = self._connection is None
        try:
            return await self._attempt(keys)
        except Exception as error:
            if fresh or isinstance(error, TimeoutError):
                raise
        return await self._attempt(keys)

    async def _attempt(self, keys: Sequence[UUID]) -> Mapping[UUID, Row]:
        try:
            if self._connection is None:
                self._connection = await self._engine.connect()
                self._driver = (await self._connection.get_raw_connection()).driver_connection
            return await self._read(keys)
        except BaseException:
            # Cancelled in the middle of an answer, it is of no more use than a dead one.
            await self._drop()
            raise

    async def _read(self, keys: Sequence[UUID]) -> Mapping[UUID, Row]:
        """Through SQLAlchemy: any driver that ours are not."""
        assert self._connection is not None  # noqa: S101 (set by _attempt)
        rows = await self._connection.execute(self._statement.where(self._key.in_(keys)))
        return {row[0]: tuple(row) for row in rows}

    async def _drop(self) -> None:
        connection, self._connection, self._driver = self._connection, None, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    async def close(self) -> None:
        connection, self._connection, self._driver = self._connection, None, None
        if connection is not None:
            await connection.close()


class _Asyncpg(_Kept):
    """PostgreSQL: an array of ids is one prepared statement, whatever their number."""

    def __init__(self, engine: AsyncEngine, statement: Select[Any], key: Column[UUID]) -> None:
        super().__init__(engine, statement, key)
        self._sql = _compile(engine, statement.where(key == any_(bindparam("ids", type_=ARRAY(Uuid)))))
        self._is_pooled = is_pooled(engine.url)

    async def _read(self, keys: Sequence[UUID]) -> Mapping[UUID, Row]:
        # The driver prepares, then executes: PgBouncer keeps only a transaction on one connection of the server.
        async with self._driver.transaction() if self._is_pooled else nullcontext():
            return {row[0]: row for row in await self._driver.fetch(self._sql, keys)}


class _Asyncmy(_Kept):
    """MySQL and MariaDB know no arrays: a list of placeholders, its length a power of two so that texts repeat."""

    def __init__(self, engine: AsyncEngine, statement: Select[Any], key: Column[UUID]) -> None:
        super().__init__(engine, statement, key)
        self._texts: dict[int, str] = {}

    async def _read(self, keys: Sequence[UUID]) -> Mapping[UUID, Row]:
        size = 1 << (len(keys) - 1).bit_length()
        padded = [key.bytes for key in keys] + [keys[0].bytes] * (size - len(keys))
        async with self._driver.cursor() as cursor:
            await cursor.execute(self._text(size), padded)
            return {UUID(bytes=row[0]): row for row in await cursor.fetchall()}

    def _text(self, size: int) -> str:
        if size not in self._texts:
            places = [bindparam(f"id{n}", type_=self._key.type) for n in range(size)]
            self._texts[size] = _compile(self._engine, self._statement.where(self._key.in_(places)))
        return self._texts[size]


def _compile(engine: AsyncEngine, statement: Select[Any]) -> str:
    return str(statement.compile(dialect=engine.dialect))
