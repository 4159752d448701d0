"""Where the schema stands, told without Alembic: loading it takes longer than everything else at the start."""

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table
from sqlalchemy.ext.asyncio import AsyncEngine

VERSION_TABLE = "propusk_schema_version"


def known_revisions() -> list[str]:
    """Every revision of the one linear history, oldest first: the files begin with them, `0001_core.py`."""
    return sorted(
        path.name.partition("_")[0] for path in (Path(__file__).parent / "migrations/versions").glob("[0-9]*.py")
    )


def newest_revision() -> str:
    """The revision this code was written for."""
    return known_revisions()[-1]


async def current_revision(engine: AsyncEngine) -> str | None:
    """The revision that the database has; None before the first migration."""
    async with engine.connect() as connection:
        return await connection.run_sync(_read_revision)


def _read_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    number: str | None = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    return number


async def is_current(engine: AsyncEngine) -> bool:
    """Whether the schema is not older than the code. A newer one is fine: migrations are additive."""
    revision = await current_revision(engine)
    return revision is not None and (revision == newest_revision() or revision not in known_revisions())
