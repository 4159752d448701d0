"""What the three databases spell differently, each with one meaning. No other file asks for the dialect's name."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from traceback import walk_tb
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, Result, Row, Select, Table, func, insert, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from propusk.db.engine import is_pooled
from propusk.db.transactions import TOUCHED, by_us, is_fresh, release_sync

_DUPLICATE = 1062
"""MariaDB's number for a row that a unique constraint refuses."""

_MARIADB_AWAY = {
    *(1020, 1205, 1213, 3572),  # somebody else's lock or write
    *(1021, 1037, 1040, 1041, 1203, 1226, 1637),  # no room: disk, memory, connections, transactions
    *(1044, 1045, 1049, 1129, 1130, 1698),  # login, no such database, this host is shut out
    *(1042, 1043, 1047, 1158, 1159, 1160, 1161, 1184),  # connection, a node that is not ready
    *(1053, 1152, 1180, 1290, 1317, 1792, 1836, 1927, 1969, 3024, 4031),  # shutdown, read-only, killed, out of time
}


async def insert_if_absent(db: AsyncSession, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless a unique constraint already holds its like; says whether it was inserted."""
    name = db.get_bind().dialect.name
    if name != "mysql":
        make = postgresql.insert if name == "postgresql" else sqlite.insert
        return await changed(db, make(table).on_conflict_do_nothing().values(**values)) == 1
    try:
        # INSERT IGNORE would forgive bad data, too, and mangle it. What a duplicate undoes is this statement alone.
        return await changed(db, insert(table).values(**values)) == 1
    except IntegrityError as error:
        if error.orig is not None and error.orig.args[0] == _DUPLICATE:
            return False
        raise


async def read(
    db: AsyncSession, statement: Executable, values: Mapping[str, Any] | None = None
) -> "Result[*tuple[Any, ...]]":
    """Run a SELECT. Every one goes through here, and so is known for ours."""
    with by_us(db):
        return await db.run_sync(_execute, statement, values)


async def changed(
    db: AsyncSession, statement: Any, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
) -> int:
    """Run an INSERT, UPDATE or DELETE; returns how many rows it matched. Every write goes through here.

    With several sets of values it is run with each, in their order, and not every driver counts then.
    """
    with by_us(db):
        result = await db.run_sync(_execute, statement, values)
    if result.rowcount:
        db.info[TOUCHED] = True
    return result.rowcount


def _execute(session: Session, statement: Executable, values: Any) -> CursorResult[Any]:
    """Past what the session does for mapped classes, which takes time and is of no use for tables; but what a host's
    objects wait to write comes first, as everywhere.
    """
    if session.autoflush:
        session.flush()
    return session.connection({"clause": statement}).execute(statement, values)


def lower(db: AsyncSession, value: Any) -> ColumnElement[str]:
    """In lower case, all letters of it: SQLite's own function knows ASCII's only."""
    return (func.propusk_lower if db.get_bind().dialect.name == "sqlite" else func.lower)(value)


def read_current(statement: Select[Any], *, shared: bool = False) -> Select[Any]:
    """The newest committed state, whatever the isolation: who lost a compare-and-set reads through this.

    Args:
        shared: who reads changes nothing; several who do so at once get on with each other.
    """
    return statement.with_for_update(read=shared)


async def read_alone(
    db: AsyncSession, statement: Executable, values: Mapping[str, Any] | None = None
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Run a SELECT by itself and give the connection back, before something slow: in one way into SQLAlchemy's
    greenlets, and where the driver begins and ends a transaction by trips of their own, without those. What has begun,
    or what a host lent us, is read as part of that.
    """
    with by_us(db):
        return await db.run_sync(_execute_alone, statement, values)


def _execute_alone(session: Session, statement: Executable, values: Any) -> Sequence[Row[*tuple[Any, ...]]]:
    engine = session.get_bind().engine
    begins_nothing = engine.dialect.name == "postgresql" and is_fresh(session) and not is_pooled(engine.url)
    if begins_nothing:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
    try:
        rows = _execute(session, statement, values).all()
    except Exception:
        if begins_nothing:
            # What a host does after that shall be a transaction again.
            session.rollback()
        raise
    release_sync(session)
    return rows


async def check_deferred(db: AsyncSession) -> None:
    """Check now what a deferred constraint would refuse at the commit, too late to tell what it was about.

    PostgreSQL alone can be told so. For the rest of the transaction its constraints are checked by the statement.

    Raises:
        IntegrityError
    """
    if db.get_bind().dialect.name == "postgresql":
        await db.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))


def server_name(connection: AsyncConnection | Connection) -> str:
    """The dialect's name, with MariaDB apart from MySQL."""
    dialect: Any = connection.dialect
    return "mariadb" if getattr(dialect, "is_mariadb", False) else str(dialect.name)


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
    """Whether the database was away, busy or gave up on a lock: worth another try, and no fault of who asked it."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _passes(error, error.orig)
    if isinstance(error, PoolTimeoutError):
        return True
    # What asyncpg raises while it connects comes as it is: the system's errors, and before SQLAlchemy 2.1 the server's.
    # A host's code has the same ones, when it asks somebody else.
    return (isinstance(error, OSError) or _is_postgresql_away(error)) and _came_by_sqlalchemy(error)


def _passes(error: DBAPIError, cause: Any) -> bool:
    """Whether it is about the server rather than about the statement."""
    number = cause.args[0] if cause is not None and cause.args else None
    if isinstance(number, int):
        # After a deadlock inside a savepoint, all that is heard of it is that there is no such savepoint any more.
        is_undone = number == 1305 and "SAVEPOINT" in str(cause)
        return is_undone or number in _MARIADB_AWAY or 2000 <= number < 3000  # those are the driver's
    if getattr(cause, "sqlstate", None):
        return _is_postgresql_away(cause)
    # SQLite has one class for a locked file and for a table that is not there, whose code is the general one.
    is_general = getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    return isinstance(error, (OperationalError, InterfaceError)) and not is_general


def _is_postgresql_away(cause: Any) -> bool:
    # 08 connection, 28 login, 3D no such database, 40 rollback, 53 resources, 55 lock, 57 shutdown.
    return str(getattr(cause, "sqlstate", None))[:2] in {"08", "28", "3D", "40", "53", "55", "57"}


def _came_by_sqlalchemy(error: BaseException) -> bool:
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__", "").startswith("sqlalchemy.") for frame in frames)


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
