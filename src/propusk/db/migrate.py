"""Migrations: one linear history, up and down, by one process at a time."""

import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, String, column, inspect, literal, table, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from propusk.db.dialect import begin_migration, end_migration
from propusk.db.revision import VERSION_TABLE, our_tables
from propusk.db.schema import IN_METADATA, Tables


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


async def upgrade(engine: AsyncEngine, metadata: MetaData, revision: str = "head") -> None:
    """Bring the schema up to `revision`. A migration that was killed is continued."""
    await _run(engine, metadata, lambda config: command.upgrade(config, revision))


async def downgrade(engine: AsyncEngine, metadata: MetaData, revision: str = "base") -> None:
    """Take the schema down to `revision`; what later revisions added is lost."""
    await _run(engine, metadata, lambda config: command.downgrade(config, revision))


async def _run(engine: AsyncEngine, metadata: MetaData, act: Callable[[Config], None]) -> None:
    tables: Tables = metadata.info[IN_METADATA]

    def run(connection: Connection) -> None:
        _rename_early_revisions(connection)
        config = _config()
        config.attributes |= {"connection": connection, "metadata": metadata, "users": tables.host}
        act(config)

    driver = logging.getLogger("asyncmy")
    driver.addFilter(_is_news)
    try:
        await _run_on(engine, run)
    finally:
        driver.removeFilter(_is_news)


async def _run_on(engine: AsyncEngine, run: Callable[[Connection], None]) -> None:
    async with alone(engine) as connection:
        await connection.run_sync(run)


@asynccontextmanager
async def alone(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection on which one process at a time migrates; it is committed at the end."""
    async with engine.connect() as connection:
        try:
            await begin_migration(connection)
            yield connection
            await connection.commit()
            await end_migration(connection)
        except BaseException:
            # MariaDB's lock would live on with the connection, in the pool.
            await connection.invalidate()
            raise


def _rename_early_revisions(connection: Connection) -> None:
    """The first three were called by their numbers alone, before they could stand in a history with others."""
    if inspect(connection).has_table(VERSION_TABLE):
        version = table(VERSION_TABLE, column("version_num", String))
        early = update(version).where(version.c.version_num.in_(["0001", "0002", "0003"]))
        connection.execute(early.values(version_num=literal("propusk_") + version.c.version_num))


def _is_news(record: logging.LogRecord) -> bool:
    """Not what MariaDB says of every table: its primary keys have no names, ours elsewhere do."""
    return re.fullmatch(r"Name '\w+' ignored for PRIMARY key\.?", record.getMessage()) is None


def describe(connection: Connection, metadata: MetaData) -> list[Any]:
    """What autogenerate would still change in our tables: empty when the schema equals the metadata. A host's tables,
    one that keeps the users included, are its own business.
    """
    tables: Tables = metadata.info[IN_METADATA]
    ours = our_tables(tables)

    def is_ours(_object: object, name: str | None, kind: str, *_rest: object) -> bool:
        return kind != "table" or name in ours

    options = {"version_table": VERSION_TABLE, "compare_type": True, "include_object": is_ours}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))
