"""Migrations: one history, up and down, on each database; by one process at a time, and again after a kill."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.engine import connect, database_url
from propusk.db.migrate import describe, downgrade, upgrade
from propusk.db.revision import VERSION_TABLE, current_revision, is_current, newest_revision
from propusk.db.schema import build_tables
from tests.backends import NAMES, drop_backend, is_reachable, make_backend
from tests.kit import make_settings


@pytest.fixture
def metadata() -> MetaData:
    return build_tables().metadata


@pytest.fixture(params=NAMES)
async def engines(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[AsyncEngine]]:
    """Two processes' engines on one empty database of this test's own."""
    name: str = request.param
    if name not in request.config.getoption("--db").split(",") or not is_reachable(name):
        pytest.skip(f"{name} was not asked for or is not running")
    backend = await asyncio.to_thread(make_backend, name, tmp_path, f"m{tmp_path.name[-12:]}")
    url = database_url(make_settings(backend.url, tmp_path))
    made = [connect(url, pool_size=5), connect(url, pool_size=5)]
    yield made
    for engine in made:
        await engine.dispose()
    await asyncio.to_thread(drop_backend, backend)


async def table_names(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_up_down_and_up_again_equals_the_metadata(engines: list[AsyncEngine], metadata: MetaData) -> None:
    engine = engines[0]
    assert (await current_revision(engine), await is_current(engine)) == (None, False)
    await upgrade(engine, metadata)
    async with engine.connect() as connection:
        assert await connection.run_sync(describe, metadata) == []
    assert await table_names(engine) == {*metadata.tables, VERSION_TABLE}

    await downgrade(engine, metadata)
    assert await table_names(engine) == {VERSION_TABLE}
    assert (await current_revision(engine), await is_current(engine)) == (None, False)

    await upgrade(engine, metadata)
    async with engine.connect() as connection:
        assert await connection.run_sync(describe, metadata) == []
        assert (await connection.execute(text("SELECT name FROM propusk_locks"))).scalars().all() == ["superusers"]
    assert (await current_revision(engine), await is_current(engine)) == (newest_revision(), True)


async def test_a_difference_from_the_metadata_is_seen(engines: list[AsyncEngine], metadata: MetaData) -> None:
    engine = engines[0]
    await upgrade(engine, metadata)
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE propusk_locks ADD COLUMN extra INTEGER"))
    async with engine.connect() as connection:
        assert await connection.run_sync(describe, metadata) != []


async def test_a_migration_that_was_killed_before_its_end_is_run_again(
    engines: list[AsyncEngine], metadata: MetaData
) -> None:
    """MariaDB commits every table by itself: a kill leaves some of them, and no version."""
    engine = engines[0]
    await upgrade(engine, metadata)
    for lost in ([], ["propusk_audit_events"], ["propusk_audit_events", "propusk_locks", "propusk_counters"]):
        async with engine.begin() as connection:
            await connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))
            for table in lost:
                await connection.execute(text(f"DROP TABLE {table}"))
            if not lost:
                await connection.execute(text("DELETE FROM propusk_locks"))
        await upgrade(engine, metadata)
        async with engine.connect() as connection:
            assert await connection.run_sync(describe, metadata) == []
            assert (await connection.execute(text("SELECT name FROM propusk_locks"))).scalars().all() == ["superusers"]
        assert await is_current(engine)


async def test_two_who_migrate_at_once_both_succeed(engines: list[AsyncEngine], metadata: MetaData) -> None:
    await asyncio.gather(*(upgrade(engine, metadata) for engine in engines))

    assert await is_current(engines[0])
    async with engines[0].connect() as connection:
        assert await connection.run_sync(describe, metadata) == []
        assert (await connection.execute(text("SELECT count(*) FROM propusk_locks"))).scalar_one() == 1


async def test_a_revision_of_newer_code_counts_as_current(engines: list[AsyncEngine], metadata: MetaData) -> None:
    """So that the old nodes stay ready in a rolling upgrade."""
    engine = engines[0]
    await upgrade(engine, metadata)
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    assert await is_current(engine)


async def test_a_database_from_before_revisions_had_our_name_goes_on(
    engines: list[AsyncEngine], metadata: MetaData
) -> None:
    engine = engines[0]
    await upgrade(engine, metadata, "propusk_0002")
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0002'"))

    await upgrade(engine, metadata)

    assert await current_revision(engine) == newest_revision()
    async with engine.connect() as connection:
        assert await connection.run_sync(describe, metadata) == []
