"""The hot read: strict, batched, and never a yes when the database cannot be asked."""

import asyncio
import sqlite3
from uuid import UUID

import pytest
from sqlalchemy import text, update

from propusk.db.engine import connect, database_url
from propusk.db.reader import ReadFailed, RowReader
from propusk.sessions.live import LiveSessions
from propusk.sessions.queries import session_and_user
from tests.backends import Backend
from tests.conftest import MakeHouse
from tests.kit import House

KILL = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mariadb": "SELECT CONCAT('KILL ', id) FROM information_schema.processlist"
    " WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}


async def kill_connections(house: House, backend: Backend) -> None:
    """End every connection to this database but the one that does it."""
    engine = connect(database_url(house.auth.settings), pool_size=1)
    async with engine.connect() as connection:
        found = (await connection.execute(text(KILL[backend.name]))).scalars().all()
        for statement in found if backend.name == "mariadb" else ():
            await connection.execute(text(statement))
    await engine.dispose()
    assert found


async def set_name(house: House, name: str) -> None:
    async with house.auth.engine.begin() as connection:
        await connection.execute(update(house.auth.tables.users).values(name=name))


async def test_a_read_that_starts_after_a_commit_sees_it(house: House) -> None:
    ada = await house.register()
    for n in range(30):
        await set_name(house, f"name {n}")
        answers = await asyncio.gather(*(ada.get("/users/me") for _ in range(3)))
        assert {answer.json()["name"] for answer in answers} == {f"name {n}"}


async def test_many_who_read_at_once_each_get_their_own(house: House) -> None:
    people = [await house.register(f"user{n}@example.com") for n in range(9)]
    asked = people * 12

    answers = await asyncio.gather(*(person.get("/users/me") for person in asked))

    assert [answer.json()["email"] for answer in answers] == [person.email for person in asked]


async def test_a_row_that_is_not_there_is_none_beside_others_that_are(house: House) -> None:
    ada = await house.register()
    tables = house.auth.tables
    reader = RowReader(house.auth.engine, session_and_user(tables), tables.sessions.c.id)
    there = (await house.rows("sessions"))[0]["id"]
    absent = UUID(int=7)

    rows = await asyncio.gather(*(reader.get(key) for key in (there, absent, there)))
    await reader.close()

    assert rows[0] is not None
    assert (rows[1], rows[2]) == (None, rows[0])
    assert str(reader.convert(rows[0])[0]) == ada.tokens["session_id"]


async def test_a_connection_that_was_killed_is_replaced(house: House, backend: Backend) -> None:
    if backend.name == "sqlite":
        pytest.skip("SQLite has no connections that another could kill")
    ada = await house.register()
    for _ in range(3):
        assert await ada.is_in()
        await kill_connections(house, backend)
        answers = await asyncio.gather(*(ada.get("/users/me") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}


async def fill_pools(house: House) -> None:
    """Open almost every connection that the pools may hold, and give them back."""
    for engine, size in ((house.auth.engine, 9), (house.auth._engines.counters, 4)):
        open_ = [await engine.connect() for _ in range(size)]
        for connection in open_:
            await connection.execute(text("SELECT 1"))
        for connection in open_:
            await connection.close()


async def test_after_a_restart_of_the_database_who_is_logged_in_notices_nothing(house: House, backend: Backend) -> None:
    if backend.name == "sqlite":
        pytest.skip("SQLite has no connections that another could kill")
    ada = await house.register()
    await fill_pools(house)
    await kill_connections(house, backend)

    assert [(await ada.get("/users/me")).status_code for _ in range(12)] == [200] * 12


async def test_after_a_restart_of_the_database_one_write_a_pool_is_refused_at_most(
    house: House, backend: Backend
) -> None:
    """The first dead connection tells of all the others; nothing is repeated that may have been done."""
    if backend.name == "sqlite":
        pytest.skip("SQLite has no connections that another could kill")
    ada = await house.register()
    await fill_pools(house)
    await kill_connections(house, backend)

    login = {"login": ada.email, "password": ada.password}
    logins = [(await house.client.post("/auth/login", json=login)).status_code for _ in range(12)]
    writes = [(await ada.patch("/users/me", {"name": f"name {n}"})).status_code for n in range(12)]

    refused = [status for status in logins + writes if status != 200]
    assert set(refused) <= {503}
    assert len(refused) <= 2


async def test_a_database_that_is_away_is_503_and_never_a_yes(
    house: House, backend: Backend, make_house: MakeHouse
) -> None:
    """The engine of a second node is pointed at nowhere; its liveness reads fail, and so must its answers."""
    ada = await house.register()
    away = await make_house()
    nowhere = database_url(away.auth.settings).set(database="propusk_nowhere")
    if backend.name == "sqlite":
        nowhere = nowhere.set(database="/nonexistent/propusk.db")
    engine = connect(nowhere, pool_size=2)
    tables = away.auth.tables
    reader = RowReader(engine, session_and_user(tables), tables.sessions.c.id)
    with pytest.raises(ReadFailed):
        await reader.get(UUID(int=1))
    await away.auth.live.close()
    away.auth.live = LiveSessions(engine, tables)

    client = away.new_client()
    answers = [await client.get("/users/me", headers=ada.bearer) for _ in range(3)]
    answers.append(await client.delete("/auth/sessions", headers=ada.bearer))
    await reader.close()
    await away.auth.live.close()
    await engine.dispose()

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    assert await ada.is_in()


async def test_a_locked_sqlite_file_is_waited_for_and_not_answered_with_a_guess(house: House, backend: Backend) -> None:
    if backend.name != "sqlite":
        pytest.skip("only SQLite locks the whole file")
    ada = await house.register()
    path = str(house.auth.engine.url.database)
    await house.auth.live.close()
    await house.auth.engine.dispose()
    await house.auth._engines.counters.dispose()
    other = sqlite3.connect(path, isolation_level=None)
    # An exclusive lock outside of WAL keeps readers out, too.
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN EXCLUSIVE")
    asking = asyncio.create_task(ada.get("/users/me"))
    await asyncio.sleep(0.3)
    assert not asking.done()

    other.execute("COMMIT")
    other.execute("PRAGMA locking_mode = NORMAL")
    other.execute("PRAGMA journal_mode = WAL")
    other.close()

    assert (await asking).status_code == 200
