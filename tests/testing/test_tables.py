"""Tables by a copy: the same as by migrations, and never at the cost of what is there."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.util.exc import CommandError
from fastapi import FastAPI

from propusk import UsersTable, create_auth, make_engine
from propusk.auth import Auth
from propusk.db.revision import is_current
from propusk.testing import Kit, make_tables, settings_for_tests
from propusk.testing.tables import run_apart


@pytest.fixture
def auths() -> Iterator[list[Auth]]:
    """What was made here is closed at the end."""
    made: list[Auth] = []
    yield made
    for auth in made:
        run_apart(auth.close)


def contents(path: Path) -> list[str]:
    """All of a database, as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.iterdump())


def test_a_copy_has_the_tables_that_migrations_make(tmp_path: Path, auths: list[Auth]) -> None:
    auths += [create_auth(settings_for_tests(tmp_path / name)) for name in ("copied", "migrated")]
    make_tables(auths[0])
    run_apart(auths[1].migrate)

    copied, migrated = (contents(tmp_path / name / "propusk.db") for name in ("copied", "migrated"))
    assert copied == migrated
    assert "propusk_users" in " ".join(migrated)


async def test_it_works_in_a_loop_and_the_service_is_ready(tmp_path: Path) -> None:
    auth = create_auth(settings_for_tests(tmp_path))
    make_tables(auth)

    assert await is_current(auth.engine)
    await auth.close()


def test_what_is_there_stays(tmp_path: Path, auths: list[Auth]) -> None:
    auth = create_auth(settings_for_tests(tmp_path))
    auths.append(auth)
    make_tables(auth)
    with closing(sqlite3.connect(tmp_path / "propusk.db")) as connection:
        connection.execute("INSERT INTO propusk_locks (name, n) VALUES ('mine', 7)")
        connection.commit()

    make_tables(auth)

    assert any("'mine',7" in line for line in contents(tmp_path / "propusk.db"))


def test_ours_are_added_to_the_hosts_own(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE orders (id INTEGER); INSERT INTO orders VALUES (7);")
    engine = make_engine(f"sqlite:///{path}")
    auth = create_auth(settings_for_tests(tmp_path), engine=engine)
    app = FastAPI()
    auth.install(app)

    async def use() -> None:
        async with Kit(app).running() as kit:
            assert (await (await kit.client(await kit.user())).get("/users/me")).status_code == 200
        await engine.dispose()

    run_apart(use)

    assert any('INTO "orders" VALUES(7)' in line for line in contents(path))


def test_a_users_table_of_the_hosts_is_not_made_up(tmp_path: Path, auths: list[Auth]) -> None:
    auths.append(create_auth(settings_for_tests(tmp_path), users=UsersTable("account", email="email")))

    with pytest.raises(CommandError, match="adopt_users"):
        make_tables(auths[0])

    assert "propusk_users" not in " ".join(contents(tmp_path / "propusk.db"))
