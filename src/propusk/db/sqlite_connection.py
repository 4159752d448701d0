"""SQLite connections: one change of threads a statement, and writers of one process that wait in a queue.

aiosqlite runs each call of a cursor in the connection's thread: opening it, executing, fetching and closing are four
trips there and back, half of what a login costs beside its hash. Here a statement and its rows are one trip.

SQLite has one writer at a time; whoever waits for it polls, with sleeps that grow, and may be overtaken for seconds.
Within a process a lock does better; between processes SQLite's own waiting remains.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiosqlite
from aiosqlite.core import _connection_worker_thread

PATIENCE = 10.0
"""Seconds to wait for the writer before us."""
Run = Callable[[sqlite3.Cursor], object]
Found = tuple[list[Any], Any, int, int | None]


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

    def __await__(self) -> Generator[Any, None, Self]:
        """SQLAlchemy 2.0 awaits a new cursor; 2.1 enters it."""
        return self.__aenter__().__await__()

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Self:
        """Run a statement and fetch all its rows."""
        return await self._run(sql, lambda cursor: cursor.execute(sql, parameters))

    async def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> Self:
        """Run a statement with each of several sets of parameters."""
        return await self._run(sql, lambda cursor: cursor.executemany(sql, parameters))

    async def _run(self, sql: str, run: Run) -> Self:
        found = await self._connection.in_thread(sql, run)
        self._rows, self.description, self.rowcount, self.lastrowid = found
        return self

    async def fetchall(self) -> list[Any]:
        """The rows that are left."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Nothing is open any more."""


class OneTripConnection(aiosqlite.Connection):
    """A connection whose cursors are `OneTripCursor`s and whose writes wait for `gate`."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], gate: threading.Lock) -> None:
        super().__init__(partial(self._open, connect), iter_chunk_size=64)
        # The process need not wait for it to end.
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._opened: sqlite3.Connection | None = None
        self._gate = gate
        self._is_writer = False
        self._is_busy = False

    async def create_function(self, *args: Any, **options: Any) -> None:
        """Define a function of SQL. SQLAlchemy does so to each new connection, whose thread has nothing else to do: no
        trip, so that nobody is cancelled on the way and drops a connection that is open.
        """
        self._conn.create_function(*args, **options)

    def cursor(self) -> OneTripCursor:  # type: ignore[override]
        """A cursor; costs nothing."""
        return OneTripCursor(self)

    async def in_thread(self, sql: str, run: Run) -> Found:
        """Run a statement on a cursor of its own; rows, description, rowcount and lastrowid."""
        self._is_busy = True
        found: Found = await self._execute(self._run, sql, run)  # type: ignore[no-untyped-call]
        return found

    async def commit(self) -> None:
        """Commit, and let the next writer in. Who wrote nothing has nothing to end, and spares the trip."""
        if self._is_writer or self._is_busy:
            await self._execute(self._end, self._conn.commit)  # type: ignore[no-untyped-call]

    async def rollback(self) -> None:
        """Roll back, and let the next writer in."""
        if self._is_writer or self._is_busy:
            await self._execute(self._end, self._conn.rollback)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close; an open transaction is rolled back by SQLite."""
        if self._is_busy:
            # Whoever asked gave up, and the thread may be waiting for a writer: it closes by itself when it is done.
            self.stop()
            return
        if self._connection is not None:
            await self._execute(self._abandon)  # type: ignore[no-untyped-call]
        await super().close()

    def stop(self) -> Any:
        """End without waiting: SQLAlchemy does so to a connection whose request was cancelled."""
        self._tx.put_nowait((None, self._abandon))
        return super().stop()

    # What follows runs in the connection's thread.

    def _work(self) -> None:
        # aiosqlite's own work ends with an error where the event loop of who asked has ended, and would leave the gate
        # to nobody.
        is_over = False
        while not is_over:
            try:
                _connection_worker_thread(self._tx)
                is_over = True
            except RuntimeError:
                is_over = not self._running and self._tx.empty()

    def _open(self, connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        # Kept here as well: who is cancelled before they hear of it could not close it.
        self._opened = connect()
        return self._opened

    def _run(self, sql: str, run: Run) -> Found:
        word = sql.lstrip()[:9].upper()
        try:
            # Before the gate: a connection that gives no cursor cannot say either whether it is in a transaction.
            with closing(self._conn.cursor()) as cursor:
                try:
                    if not self._is_writer and not word.startswith(("SELECT", "PRAGMA")):
                        self._enter()
                    if word == "SAVEPOINT":
                        self._begin()
                    run(cursor)
                    rows = cursor.fetchall() if cursor.description else []
                    return rows, cursor.description, cursor.rowcount, cursor.lastrowid
                finally:
                    self._leave_unless_writing()
        finally:
            self._is_busy = False

    def _begin(self) -> None:
        # Python does so before DML only, and the outermost savepoint is a transaction: its release would commit.
        if not self._conn.in_transaction and self._conn.isolation_level is not None:
            self._conn.execute("BEGIN IMMEDIATE")

    def _end(self, end: Callable[[], None]) -> None:
        try:
            end()
        finally:
            self._leave_unless_writing()

    def _abandon(self) -> None:
        # Closing ends its transaction: nobody need wait for it any more.
        if self._opened is not None:
            self._opened.close()
        if self._is_writer:
            self._is_writer = False
            self._gate.release()

    def _enter(self) -> None:
        # A use case that wrote and then writes by another connection waits for itself: it must end in an error.
        if not self._gate.acquire(timeout=PATIENCE):
            raise sqlite3.OperationalError("database is locked")
        self._is_writer = True

    def _leave_unless_writing(self) -> None:
        if self._is_writer and not self._conn.in_transaction:
            self._is_writer = False
            self._gate.release()


async def open_connection(path: str, gate: threading.Lock, pragmas: Sequence[str] = ()) -> OneTripConnection:
    """A new connection to an SQLite file.

    Args:
        gate: held by the one connection of this process that writes.
        pragmas: statements to run first, in the trip that opens it.
    """
    connection = OneTripConnection(partial(_open, path, pragmas), gate)
    _ = await connection
    return connection


def _open(path: str, pragmas: Sequence[str]) -> sqlite3.Connection:
    # By the umask, SQLite would let others read it. It knows best what is wrong with a path that cannot be.
    with suppress(OSError):
        Path(path).touch(mode=0o600, exist_ok=False)
    connection = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False)
    try:
        for pragma in pragmas:
            _set(connection, pragma)
        # SQLite's own lower() knows ASCII only; names are not all ASCII. It stays what it is: the schema of a host may
        # use it, and trusts no function of ours.
        connection.create_function("propusk_lower", 1, _lower, deterministic=True)
    except BaseException:
        connection.close()
        raise
    return connection


def _set(connection: sqlite3.Connection, pragma: str) -> None:
    # Of several that turn a new file to WAL at once SQLite refuses all but one, without waiting by itself.
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute(pragma)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


def _lower(value: str | float | bytes | None) -> str | float | bytes | None:
    return value.lower() if isinstance(value, str) else value
