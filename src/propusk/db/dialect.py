"""What the three databases spell differently, each with one meaning. No other file asks for the dialect's name."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from socket import gaierror
from typing import Any

from sqlalchemy import Select, Table, bindparam, insert, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from propusk.db.engine import WROTE


async def insert_if_absent(db: AsyncSession, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless a unique constraint already holds its like; says whether it was inserted."""
    name = db.get_bind().dialect.name
    statement: Any
    if name == "mysql":
        # IGNORE also forgives bad data, so callers check lengths and types first.
        statement = insert(table).prefix_with("IGNORE")
    else:
        make = postgresql.insert if name == "postgresql" else sqlite.insert
        statement = make(table).on_conflict_do_nothing()
    return await changed(db, statement.values(**values)) == 1


async def changed(db: AsyncSession, statement: Any, values: Mapping[str, Any] | None = None) -> int:
    """Run an INSERT, UPDATE or DELETE; returns how many rows it matched. Every write goes through here."""
    db.info[WROTE] = True
    result = await db.execute(statement, values)
    assert isinstance(result, CursorResult)  # noqa: S101 (tells the type checker what a DML statement returns)
    return result.rowcount


def read_current(statement: Select[Any]) -> Select[Any]:
    """The newest committed state, whatever the isolation: who lost a compare-and-set reads through this."""
    return statement.with_for_update()


async def count_hits(
    connection: AsyncConnection, counters: Table, hits: Sequence[tuple[bytes, datetime]], now: datetime
) -> dict[bytes, tuple[int, datetime]]:
    """Count one more for each key, atomically; a window that has passed starts anew.

    Args:
        hits: key and, should its window start now, when that window would end.
    Returns:
        for each key the count with this hit and the end of its window.
    """
    # In one order everywhere, or two who count the same keys could wait for each other.
    values: dict[str, Any] = {"now": now}
    for n, (key, end) in enumerate(sorted(hits)):
        values |= {f"key{n}": key, f"end{n}": end}
    dialect: Any = connection.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    rows = await connection.execute(_upsert_text(name, counters, len(hits)), values)
    if name == "mysql":
        # MySQL knows no RETURNING; within the transaction nobody else has counted since.
        c = counters.c
        rows = await connection.execute(select(c.key, c.count, c.resets_at).where(c.key.in_([k for k, _ in hits])))
    return {bytes(key): (count, end) for key, count, end in rows}


@lru_cache
def _upsert_text(dialect: str, counters: Table, size: int) -> Any:
    """The upsert in the dialect's own words: SQLAlchemy would compile an INSERT of several rows anew each time."""
    into, rows = f"INSERT INTO {counters.name}", ", ".join(f"(:key{n}, 1, :end{n})" for n in range(size))
    if dialect in ("mysql", "mariadb"):
        # Both assign from left to right, so the count must look at the end of the window before it moves.
        sql = (
            f"{into} (`key`, `count`, resets_at) VALUES {rows}"
            " ON DUPLICATE KEY UPDATE `count` = IF(resets_at <= :now, 1, `count` + 1),"
            " resets_at = IF(resets_at <= :now, VALUES(resets_at), resets_at)"
            + (" RETURNING `key`, `count`, resets_at" if dialect == "mariadb" else "")
        )
    else:
        sql = (
            f"{into} AS c (key, count, resets_at) VALUES {rows}"
            " ON CONFLICT (key) DO UPDATE SET count = CASE WHEN c.resets_at <= :now THEN 1 ELSE c.count + 1 END,"
            " resets_at = CASE WHEN c.resets_at <= :now THEN excluded.resets_at ELSE c.resets_at END"
            " RETURNING key, count, resets_at"
        )
    types = {"now": counters.c.resets_at.type}
    for n in range(size):
        types |= {f"key{n}": counters.c.key.type, f"end{n}": counters.c.resets_at.type}
    statement = text(sql).bindparams(*(bindparam(name, type_=kind) for name, kind in types.items()))
    return (
        statement if dialect == "mysql" else statement.columns(counters.c.key, counters.c.count, counters.c.resets_at)
    )


async def database_time(connection: AsyncConnection) -> datetime | None:
    """The database server's clock; None on SQLite, which has none but ours. The only reading of a clock by SQL."""
    match connection.dialect.name:
        case "postgresql":
            statement = "SELECT clock_timestamp() AT TIME ZONE 'UTC'"
        case "mysql":
            statement = "SELECT UTC_TIMESTAMP(6)"
        case _:
            return None
    value: datetime = (await connection.execute(text(statement))).scalar_one()
    return value.replace(tzinfo=UTC)


def is_away(error: BaseException) -> bool:
    """Whether the database was away, busy or gave up on a lock: worth another try, and no fault of the request."""
    if isinstance(error, IntegrityError) or _is_our_fault(error):
        return False
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeoutError, ConnectionError, gaierror, TimeoutError)):
        return True
    if isinstance(error, DBAPIError):
        # PostgreSQL: 08 connection, 28 login, 3D no such database, 40 rollback, 53 resources, 55 lock, 57 shutdown.
        state = getattr(error.orig, "sqlstate", None) or ""
        return error.connection_invalidated or state[:2] in {"08", "28", "3D", "40", "53", "55", "57"}
    return False


def _is_our_fault(error: BaseException) -> bool:
    """SQLite has one class for a locked file and for a table that is not there."""
    cause = str(getattr(error, "orig", ""))
    return isinstance(error, OperationalError) and cause.startswith(("no such ", "near ", "table "))


async def begin_migration(connection: AsyncConnection) -> None:
    """Take the lock that lets one process migrate at a time; it ends with the transaction or the connection."""
    match connection.dialect.name:
        case "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(7814)"))
        case "mysql":
            if not (await connection.execute(text("SELECT GET_LOCK('propusk_migrate', 60)"))).scalar_one():
                raise TimeoutError("another process has been migrating this database for over a minute")
        case _:
            # The driver begins a transaction before DML only, so without this rolled-back DDL would stay.
            await connection.exec_driver_sql("BEGIN IMMEDIATE")


async def end_migration(connection: AsyncConnection) -> None:
    """Release what outlives the transaction: MariaDB's lock belongs to the connection."""
    if connection.dialect.name == "mysql":
        await connection.execute(text("SELECT RELEASE_LOCK('propusk_migrate')"))
