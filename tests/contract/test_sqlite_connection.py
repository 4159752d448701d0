"""The gate of SQLite's writers: whatever happens to who holds it, the next one gets in."""

import asyncio
import gc
import random
import sqlite3
import stat
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.engine import connect, database_url, gate_of
from propusk.db.sqlite_connection import PATIENCE, OneTripConnection, open_connection
from tests.kit import make_settings, until

INSERT = text("INSERT INTO parents (name) VALUES (:name)")
TABLES = (
    "CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT)",
    "CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)",
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "gate.db")


@pytest.fixture
def gate(path: str) -> threading.Lock:
    return gate_of(path)


@pytest.fixture
async def engine(path: str, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    made = connect(database_url(make_settings(f"sqlite:///{path}", tmp_path)), pool_size=6)
    async with made.begin() as connection:
        for table in TABLES:
            await connection.execute(text(table))
    yield made
    await made.dispose()


async def write(engine: AsyncEngine, name: str, *, pause: float = 0) -> None:
    """Two rows in one transaction."""
    async with engine.begin() as connection:
        await connection.execute(INSERT, {"name": name})
        await asyncio.sleep(pause)
        await connection.execute(INSERT, {"name": name})


async def write_at_once(engine: AsyncEngine, gate: threading.Lock) -> None:
    """A write that need wait for nobody, or for somebody who is about to go: who waits for `PATIENCE` is refused."""
    await write(engine, "after")
    # Whoever was cancelled while they waited may get it once more, to give it back.
    await until(lambda: not gate.locked())


async def count(engine: AsyncEngine, name: str) -> int:
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT count(*) FROM parents WHERE name = :name"), {"name": name})
        return int(found.scalar_one())


@pytest.mark.parametrize("seed", [1, 2])
async def test_writers_that_are_cancelled_at_any_moment_let_the_next_one_in(
    engine: AsyncEngine, gate: threading.Lock, seed: int
) -> None:
    chance = random.Random(seed)
    for n in range(50):
        tasks = [asyncio.create_task(write(engine, f"{n} {k}", pause=chance.uniform(0, 0.004))) for k in range(4)]
        for task in tasks:
            await asyncio.sleep(chance.uniform(0, 0.004))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await write_at_once(engine, gate)
        for k in range(4):
            assert await count(engine, f"{n} {k}") in (0, 2), "all of a transaction or nothing"
    assert await count(engine, "after") == 100


async def test_a_connection_whose_opening_is_cancelled_at_any_moment_is_closed(engine: AsyncEngine) -> None:
    """One that is dropped while it is open says so, and any warning fails a test."""

    async def open_one() -> None:
        async with engine.connect():
            pass

    for steps in range(0, 300, 3):
        await engine.dispose()
        opening = asyncio.create_task(open_one())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
    gc.collect()


async def test_what_was_opened_for_somebody_who_is_cancelled_meanwhile_is_closed(
    path: str, gate: threading.Lock
) -> None:
    made: list[sqlite3.Connection] = []

    let_go = threading.Event()

    def connect() -> sqlite3.Connection:
        assert let_go.wait(60)
        made.append(sqlite3.connect(path, check_same_thread=False))
        return made[-1]

    connection = OneTripConnection(connect, gate)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            _ = await connection
    let_go.set()
    await asyncio.to_thread(connection._thread.join, 60)

    [opened] = made
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened.execute("SELECT 1")


async def test_a_file_is_made_for_us_alone_and_one_that_is_there_stays_as_it_is(engine: AsyncEngine, path: str) -> None:
    """SQLite gives the files beside it the mode of the database."""
    made = sorted(Path(path).parent.glob("gate.db*"))
    assert [(file.name, stat.S_IMODE(file.stat().st_mode)) for file in made] == [
        ("gate.db", 0o600),
        ("gate.db-shm", 0o600),
        ("gate.db-wal", 0o600),
    ]
    await engine.dispose()
    Path(path).chmod(0o640)
    await write(engine, "again")
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o640


async def test_a_schema_that_uses_lower_is_no_matter_of_ours(engine: AsyncEngine, path: str) -> None:
    """It trusts SQLite's own functions, and none that a connection brings along."""
    with closing(sqlite3.connect(path)) as plain:
        plain.execute("CREATE TABLE accounts (email TEXT CHECK (lower(email) = email))")
        plain.execute("CREATE UNIQUE INDEX one_name ON parents (lower(name))")
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO accounts VALUES ('ada@example.com')"))
        await connection.execute(INSERT, {"name": "Ada"})
    with pytest.raises(IntegrityError):
        await write(engine, "ADA")


async def test_what_a_first_savepoint_released_is_undone_with_its_transaction(
    engine: AsyncEngine, gate: threading.Lock
) -> None:
    async with engine.connect() as connection:
        for name in ("released", "released too"):
            async with connection.begin_nested():
                await connection.execute(INSERT, {"name": name})
        with suppress(ZeroDivisionError):
            async with connection.begin_nested():
                await connection.execute(INSERT, {"name": "undone"})
                raise ZeroDivisionError
        assert gate.locked(), "it is a transaction that writes, from the first savepoint on"
        names = await connection.execute(text("SELECT name FROM parents"))
        assert list(names.scalars()) == ["released", "released too"]
        await connection.rollback()
    await write_at_once(engine, gate)
    assert await count(engine, "released") == 0


async def test_a_writer_that_is_cancelled_while_it_waits_neither_writes_nor_keeps_the_gate(
    engine: AsyncEngine, gate: threading.Lock
) -> None:
    async with engine.begin() as connection:
        await connection.execute(INSERT, {"name": "holder"})
        waiting = asyncio.create_task(write(engine, "waiting"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert gate.locked(), "the holder has it still"
    await write_at_once(engine, gate)
    assert (await count(engine, "holder"), await count(engine, "waiting")) == (1, 0)


async def test_a_waiting_writer_goes_on_when_the_holder_commits(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(INSERT, {"name": "holder"})
        waiting = asyncio.create_task(write(engine, "waiting"))
        await asyncio.sleep(0.5)
        assert not waiting.done()
    await waiting
    assert await count(engine, "waiting") == 2


async def test_several_rows_in_one_call_are_written_and_the_gate_given_back(
    engine: AsyncEngine, gate: threading.Lock
) -> None:
    async with engine.begin() as connection:
        await connection.execute(INSERT, [{"name": "many"} for _ in range(20)])
    assert await count(engine, "many") == 20
    await write_at_once(engine, gate)


async def test_a_refused_commit_gives_the_gate_back_once_it_is_rolled_back(
    engine: AsyncEngine, gate: threading.Lock
) -> None:
    with pytest.raises(IntegrityError):
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO children (parent) VALUES (7)"))
    await write_at_once(engine, gate)


async def test_a_refused_statement_gives_the_gate_back_at_the_end(engine: AsyncEngine, gate: threading.Lock) -> None:
    with pytest.raises(IntegrityError):
        async with engine.begin() as connection:
            for _ in range(2):
                await connection.execute(text("INSERT INTO parents (id) VALUES (1)"))
    await write_at_once(engine, gate)


@pytest.mark.parametrize("way", ["close", "stop"])
async def test_a_connection_that_is_closed_in_a_transaction_gives_the_gate_back(
    engine: AsyncEngine, path: str, gate: threading.Lock, way: str
) -> None:
    connection = await open_connection(path, gate)
    _ = await connection.cursor().execute("INSERT INTO parents (name) VALUES ('lost')")
    assert gate.locked()
    if way == "close":
        await connection.close()
    else:
        connection.stop()
    await write_at_once(engine, gate)
    assert await count(engine, "lost") == 0


async def test_a_file_is_turned_to_wal_when_who_writes_it_has_ended(path: str, gate: threading.Lock) -> None:
    """SQLite refuses at once here, whatever its time-out: so fell who started second on a new file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        opening = asyncio.create_task(open_connection(path, gate, ["PRAGMA journal_mode = WAL"]))
        done, _ = await asyncio.wait([opening], timeout=0.1)
        assert not done
        other.execute("ROLLBACK")
        connection = await opening
    cursor = await connection.cursor().execute("PRAGMA journal_mode")
    assert await cursor.fetchall() == [("wal",)]
    await connection.close()


async def test_what_is_wrong_with_a_pragma_is_said_at_once(path: str, gate: threading.Lock) -> None:
    begun = time.monotonic()
    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        _ = await open_connection(path, gate, ["PRAGMA ="])
    assert time.monotonic() - begun < PATIENCE


@pytest.mark.parametrize("is_told", [True, False])
def test_who_asked_may_end_with_their_event_loop(path: str, gate: threading.Lock, is_told: bool) -> None:
    """In the middle of a statement; whether or not the connection has been told to stop by then."""
    has_begun, may_end = threading.Event(), threading.Event()

    def write(cursor: sqlite3.Cursor) -> None:
        cursor.execute("CREATE TABLE t (id INTEGER)")
        cursor.execute("INSERT INTO t VALUES (1)")
        has_begun.set()
        may_end.wait(60)

    async def leave() -> OneTripConnection:
        connection = await open_connection(path, gate)
        writing = asyncio.create_task(connection.in_thread("INSERT", write))
        while not has_begun.is_set():
            await asyncio.sleep(0.001)
        writing.cancel()
        if is_told:
            connection.stop()
        return connection

    connection = asyncio.run(leave())
    assert gate.locked()
    may_end.set()
    if not is_told:
        connection.stop()
    connection._thread.join(60)
    assert not connection._thread.is_alive()
    assert not gate.locked()


async def test_a_connection_that_breaks_gives_the_gate_back(path: str, gate: threading.Lock) -> None:
    """SQLite's own connection is closed under ours, before a write and in the middle of one."""
    idle, writing = await open_connection(path, gate), await open_connection(path, gate)
    await idle._execute(idle._conn.close)  # type: ignore[no-untyped-call]
    with pytest.raises(sqlite3.ProgrammingError):
        _ = await idle.cursor().execute("CREATE TABLE t (id INTEGER)")
    assert not gate.locked()

    for sql in ("CREATE TABLE t (id INTEGER)", "INSERT INTO t VALUES (1)"):
        _ = await writing.cursor().execute(sql)
    assert gate.locked()
    await writing._execute(writing._conn.close)  # type: ignore[no-untyped-call]
    await writing.close()
    assert not gate.locked()
    await idle.close()
