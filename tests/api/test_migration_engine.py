"""Migrations run on connections of their own: what stops a hanging request does not stop them."""

from sqlalchemy import text

from propusk.db.engine import connect, database_url
from tests.backends import Backend
from tests.kit import House

_WAITS = {
    "sqlite": ["PRAGMA busy_timeout"],
    "postgresql": ["SHOW statement_timeout", "SHOW lock_timeout"],
    "mariadb": ["SELECT @@innodb_lock_wait_timeout", "SELECT @@lock_wait_timeout"],
}
_SERVING = {"sqlite": ["10000"], "postgresql": ["10s", "10s"], "mariadb": ["10", "10"]}
_MIGRATING = {"sqlite": ["60000"], "postgresql": ["0", "1min"], "mariadb": ["60", "60"]}


async def waits(house: House, backend: Backend, *, migrating: bool) -> list[str]:
    engine = connect(database_url(house.auth.settings), pool_size=1, migrating=migrating)
    try:
        async with engine.connect() as connection:
            return [str((await connection.execute(text(ask))).scalar_one()) for ask in _WAITS[backend.name]]
    finally:
        await engine.dispose()


async def test_a_migration_may_take_its_time_and_waits_longer_for_a_lock(house: House, backend: Backend) -> None:
    assert await waits(house, backend, migrating=False) == _SERVING[backend.name]
    assert await waits(house, backend, migrating=True) == _MIGRATING[backend.name]
