"""How we connect: the driver, the pool, the pragmas and the time-outs that each database needs."""

import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, NullPool, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from propusk.db.sqlite_connection import open_connection
from propusk.settings import Settings, SettingsError

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "mysql": "mysql+asyncmy",
    "mariadb": "mysql+asyncmy",
}
OURS = "propusk_owns_this_session"
WROTE = "propusk_wrote_in_this_session"
_MYSQL_SESSION = (
    "SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds},"
    " sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
)
_SSL = {
    "disable": False,
    "prefer": "prefer",
    "require": "require",
    "verify-ca": "verify-ca",
    "verify-full": "verify-full",
}


def database_url(settings: Settings) -> URL:
    """The URL to connect to, with our driver in it.

    Raises:
        SettingsError: `database_url` cannot be read or names a database that we do not support.
    """
    if settings.database_url is None:
        return URL.create("sqlite+aiosqlite", database=str(settings.data_dir.absolute() / "propusk.db"))
    try:
        url = make_url(settings.database_url.get_secret_value())
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError, with a piece of the URL in it
        raise SettingsError("database_url: not a database URL (sqlite:///…, postgresql://…, mysql://…)") from None
    if url.drivername not in DRIVERS:
        raise SettingsError("database_url: use sqlite:///…, postgresql://… or mysql://…; the driver is our business")
    if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
        raise SettingsError("database_url: SQLite needs a file: several processes share it")
    return url.set(drivername=DRIVERS[url.drivername])


def connect(
    url: URL,
    *,
    pool_size: int = 10,
    durable: bool = True,
    migrating: bool = False,
    gate: "threading.Lock | None" = None,
) -> AsyncEngine:
    """An engine for `url`.

    Args:
        pool_size: most connections at once; 0 keeps none, each is new.
        durable: False for the short-lived counters, each a statement of its own: they need no transaction, and as
            they need not survive a power cut, they do not wait for the disk, where the database can be told so.
        migrating: a statement may take as long as it takes, and waits for a lock for a minute rather than 10 s.
        gate: where the writers of one process to one SQLite file wait for each other.
    """
    options: dict[str, Any] = {"hide_parameters": True}
    if pool_size:
        options |= {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": 5}
    else:
        options["poolclass"] = NullPool
    alone: dict[str, Any] = {} if durable else {"isolation_level": "AUTOCOMMIT"}
    if not durable:
        # Each ends what it began; asking the server to roll back nothing would cost a trip.
        options["pool_reset_on_return"] = None
    match url.get_backend_name():
        case "sqlite":
            opening = partial(open_connection, str(url.database), gate or threading.Lock())
            engine = create_async_engine(url, async_creator=opening, **alone, **options)
            _prepare_sqlite(engine, durable=durable, migrating=migrating)
        case "postgresql":
            arguments = _postgresql_arguments(durable=durable, migrating=migrating)
            engine = create_async_engine(_with_ssl(url), connect_args=arguments, pool_recycle=1800, **alone, **options)
        case _:
            engine = create_async_engine(
                url.update_query_dict({"charset": "utf8mb4"}),
                connect_args={
                    "connect_timeout": 5,
                    "init_command": _MYSQL_SESSION.format(seconds=_patience(migrating)),
                },
                # MariaDB's default re-reads an old snapshot after a lost compare-and-set.
                isolation_level="READ COMMITTED",
                pool_recycle=1800,
                **options,
            )
            event.listen(engine.sync_engine, "do_connect", _connect_mysql)
    return engine


def _connect_mysql(dialect: Any, _record: object, arguments: Any, keywords: Any) -> Any:
    """Connect; asyncmy says `RuntimeError` of a connection that is reset while it is made."""
    try:
        return dialect.connect(*arguments, **keywords)
    except RuntimeError as error:
        raise ConnectionResetError("the connection was lost while it was made") from error


def _patience(migrating: bool) -> int:
    """Seconds to wait for a lock."""
    return 60 if migrating else 10


def _postgresql_arguments(*, durable: bool, migrating: bool) -> dict[str, Any]:
    server = {
        "application_name": "propusk",
        "jit": "off",
        "statement_timeout": "0" if migrating else "10000",
        "lock_timeout": str(_patience(migrating) * 1000),
        "idle_in_transaction_session_timeout": "60000",
        "default_transaction_isolation": "read committed",
    }
    if not durable:
        server["synchronous_commit"] = "off"
    return {"timeout": 5, "command_timeout": None if migrating else 15, "server_settings": server}


def _with_ssl(url: URL) -> URL:
    """`sslmode`, as every PostgreSQL URL spells it, in asyncpg's word."""
    mode = url.query.get("sslmode")
    if not isinstance(mode, str):
        return url
    if mode not in _SSL:
        raise SettingsError("database_url: sslmode is one of " + ", ".join(_SSL))
    return url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


def _prepare_sqlite(engine: AsyncEngine, *, durable: bool, migrating: bool) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def _set_pragmas(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in sqlite_pragmas(durable=durable, migrating=migrating):
            cursor.execute(pragma)
        cursor.close()
        # SQLite's own lower() knows ASCII only; names are not all ASCII.
        connection.run_async(lambda raw: raw.create_function("lower", 1, _lower, deterministic=True))


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def sqlite_pragmas(*, durable: bool, migrating: bool = False) -> tuple[str, ...]:
    """What every connection to an SQLite file sets first."""
    return (
        f"PRAGMA busy_timeout = {_patience(migrating) * 1000}",
        "PRAGMA journal_mode = WAL",
        f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}",
        "PRAGMA foreign_keys = ON",
        "PRAGMA trusted_schema = OFF",
        "PRAGMA secure_delete = ON",
    )


def create_sqlite_file(path: Path) -> None:
    """Make the database file and its folder readable by us alone, before SQLite does it by the umask.

    SQLite gives the `-wal` and `-shm` files the mode of the database file.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    path.chmod(0o600)


def open_sqlite_reader(path: str) -> sqlite3.Connection:
    """A connection that only reads, for the thread that opens it."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0, cached_statements=16)
    connection.execute("PRAGMA query_only = ON")
    return connection


def session_factory(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions that are ours, so that `release` may give their connection back."""
    return async_sessionmaker(engine, expire_on_commit=False, info={OURS: True})


async def release(db: AsyncSession) -> None:
    """Give the connection back before something slow. Only before the first write of a use case.

    A session that a host lent us keeps its connection: a commit here would commit the host's work.
    """
    if db.info.get(OURS):
        if db.info.get(WROTE):
            raise RuntimeError("release() after a write would commit half a use case")
        await db.commit()
