"""Where the schema stands, told without Alembic: loading it takes longer than everything else at the start."""

from pathlib import Path

from sqlalchemy import Connection, MetaData, Table, column, inspect, select, table
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.schema import IN_METADATA, Tables

VERSION_TABLE = "propusk_schema_version"


def known_revisions() -> list[str]:
    """Every revision of the one linear history, oldest first: the files begin with them, `propusk_0001_core.py`."""
    versions = Path(__file__).parent / "migrations/versions"
    return sorted("_".join(path.name.split("_")[:2]) for path in versions.glob("propusk_[0-9]*.py"))


def newest_revision() -> str:
    """The revision this code was written for."""
    return known_revisions()[-1]


async def current_revision(engine: AsyncEngine) -> str | None:
    """The revision that the database has; None before the first migration, or where a host's history has our tables."""
    async with engine.connect() as connection:
        return await connection.run_sync(_read_revision)


def _read_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    number: str | None = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    return number


async def is_current(engine: AsyncEngine, metadata: MetaData | None = None) -> bool:
    """Whether the schema is not older than the code. A newer one is fine: migrations are additive.

    Args:
        metadata: with our tables, for a database where a host's history made them and no version of ours is kept:
            then the schema is current when it has all their columns.
    """
    revision = await current_revision(engine)
    if revision is None and metadata is not None:
        async with engine.connect() as connection:
            return await connection.run_sync(_has_all_columns, metadata)
    return revision is not None and (revision == newest_revision() or revision not in known_revisions())


def _has_all_columns(connection: Connection, metadata: MetaData) -> bool:
    tables: Tables = metadata.info[IN_METADATA]
    inspector = inspect(connection)
    names = set(inspector.get_table_names())
    return all(
        ours.name in names
        and {each.name for each in ours.columns} <= {found["name"] for found in inspector.get_columns(ours.name)}
        for ours in vars(tables).values()
        if isinstance(ours, Table)
    )


def our_tables(tables: Tables) -> set[str]:
    """The names of the tables that are ours alone."""
    every = {each.name for each in vars(tables).values() if isinstance(each, Table)}
    return every - {tables.host.table} if tables.host is not None else every
