"""Migrations: one linear history, up and down, by one process at a time."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.dialect import begin_migration, end_migration
from propusk.db.revision import VERSION_TABLE


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
    def run(connection: Connection) -> None:
        config = _config()
        config.attributes |= {"connection": connection, "metadata": metadata}
        act(config)

    driver = logging.getLogger("asyncmy")
    driver.addFilter(_is_news)
    try:
        await _run_on(engine, run)
    finally:
        driver.removeFilter(_is_news)


async def _run_on(engine: AsyncEngine, run: Callable[[Connection], None]) -> None:
    async with engine.connect() as connection:
        await begin_migration(connection)
        await connection.run_sync(run)
        await connection.commit()
        await end_migration(connection)


def _is_news(record: logging.LogRecord) -> bool:
    """Not what MariaDB says of every table: its primary keys have no names, ours elsewhere do."""
    return re.fullmatch(r"Name '\w+' ignored for PRIMARY key\.?", record.getMessage()) is None


def describe(connection: Connection, metadata: MetaData) -> list[Any]:
    """What autogenerate would still change: empty when the schema equals the metadata."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
    return list(compare_metadata(context, metadata))
