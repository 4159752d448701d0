"""How we connect: the driver, the pool, the pragmas and the time-outs that each database needs."""

import os
import sqlite3
import threading
from errno import EACCES
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import URL, NullPool, PoolResetState, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from propusk.db.sqlite_connection import open_connection
from propusk.extras import explained
from propusk.settings import Settings, SettingsError

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "mysql": "mysql+asyncmy",
    "mariadb": "mysql+asyncmy",
}
_GATES: dict[str, threading.Lock] = {}
SILENCE = 15
"""Seconds for any answer of a server, waits for locks included; then the connection counts as dead."""
PGBOUNCER = "pgbouncer"
"""In the query of a URL, `?pgbouncer=true`: each transaction may be on another connection of the server."""
OURS = "propusk_owns_this_session"
# MariaDB alone can end a transaction that idles, as of a process that was frozen with locks in its hands: a minute.
_MYSQL_SESSION = (
    "SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds},"
    " /*M!100301 idle_transaction_timeout = 60, */"
    " sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
)
# What may stand after the `?`. Of the rest drivers refuse some by a TypeError and overlook others, or we set it.
_OPTIONS = {
    "sqlite": (),
    "postgresql": (
        *(PGBOUNCER, "sslmode", "ssl", "direct_tls", "target_session_attrs", "passfile", "krbsrvname", "gsslib"),
        *("host", "port", "user", "password", "database", "prepared_statement_cache_size"),
    ),
    "mysql": (
        *("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher", "ssl_check_hostname", "charset", "unix_socket"),
        *("host", "user", "password", "database", "read_default_file", "read_default_group", "program_name"),
    ),
}
_SSL = ("disable", "prefer", "require", "verify-ca", "verify-full")


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
    if url.drivername == "sqlite" and (url.host or url.database in (None, "", ":memory:")):
        raise SettingsError("database_url: SQLite needs a file, after three slashes: several processes share it")
    if url.port is not None and not 0 < url.port < 65536:
        raise SettingsError("database_url: the port is a number from 1 to 65535")
    if url.query.get(PGBOUNCER, "true") != "true":
        raise SettingsError("database_url: pgbouncer is true, or is not said")
    url = url.set(drivername=DRIVERS[url.drivername])
    try:
        import_module(url.get_driver_name())
    except ModuleNotFoundError as missing:
        extra = "postgresql" if url.get_backend_name() == "postgresql" else "mariadb"
        raise SettingsError(f"database_url: {explained(missing, extra)}") from None
    _check_options(url)
    return url


def _check_options(url: URL) -> None:
    """Refuse what stands after the `?` and would end in a driver's error, or in nothing."""
    known = _OPTIONS[url.get_backend_name()]
    often = ("host",) if url.get_backend_name() == "postgresql" else ()
    for name, value in url.query.items():
        if name not in known:
            may = f"only {', '.join(known)}" if known else "nothing"
            raise SettingsError(f"database_url: there is no option {name[:50]!r}; after the ? may stand {may}")
        if not isinstance(value, str) and name not in often:
            raise SettingsError(f"database_url: {name} stands there twice")
    if url.query.get("sslmode", "prefer") not in _SSL:
        raise SettingsError(f"database_url: sslmode is one of {', '.join(_SSL)}")
    try:
        url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError):  # with the value in its text
        raise SettingsError("database_url: an option after the ? has a value that cannot be") from None


def split_connections(most: int) -> tuple[int, int]:
    """How many of a process's connections are for use cases and how many for counters; one more reads the sessions."""
    counters = most // 4 + 1
    return most - counters - 1, counters


def connect(
    url: URL,
    *,
    pool_size: int,
    durable: bool = True,
    migrating: bool = False,
) -> AsyncEngine:
    """An engine for `url`.

    Args:
        pool_size: most connections at once; 0 keeps none, each is new.
        durable: False for the short-lived counters, each a statement of its own: they need no transaction, and as
            they need not survive a power cut, they do not wait for the disk, where the database can be told so.
        migrating: a statement may take as long as it takes, and waits for a lock for a minute rather than 10 s.
    """
    options: dict[str, Any] = {"hide_parameters": True}
    if pool_size:
        options |= {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": 8}
    else:
        options["poolclass"] = NullPool
    alone: dict[str, Any] = {} if durable or is_pooled(url) else {"isolation_level": "AUTOCOMMIT"}
    if alone:
        # Each ends what it began; asking the server to roll back nothing would cost a trip.
        options["pool_reset_on_return"] = None
    match url.get_backend_name():
        case "sqlite":
            pragmas = sqlite_pragmas(durable=durable, migrating=migrating)
            opening = partial(open_connection, str(url.database), gate_of(str(url.database)), pragmas)
            engine = create_async_engine(url, async_creator=opening, execution_options={OURS: True}, **alone, **options)
        case "postgresql":
            arguments = _postgresql_arguments(durable=durable, migrating=migrating)
            if is_pooled(url):
                arguments = _through_pgbouncer(arguments)
            engine = create_async_engine(_with_ssl(url), connect_args=arguments, pool_recycle=1800, **alone, **options)
            event.listen(engine.sync_engine, "do_connect", _drop_our_parameter)
        case _:
            options["pool_reset_on_return"] = None  # but by `_reset_mysql`
            engine = create_async_engine(
                url.update_query_dict({"charset": "utf8mb4"}),
                connect_args={
                    "connect_timeout": 8,
                    # A server that is gone without a word says nothing for ever.
                    "read_timeout": None if migrating else SILENCE,
                    "init_command": _MYSQL_SESSION.format(seconds=_patience(migrating)),
                },
                # MariaDB's default re-reads an old snapshot after a lost compare-and-set.
                isolation_level="READ COMMITTED",
                pool_recycle=1800,
                **options,
            )
            event.listen(engine.sync_engine, "do_connect", _connect_mysql)
            event.listen(engine.sync_engine, "reset", _reset_mysql)
    return engine


def gate_of(path: str) -> threading.Lock:
    """Where the writers of this process to one SQLite file wait for each other."""
    return _GATES.setdefault(os.path.realpath(path), threading.Lock())


def _connect_mysql(dialect: Any, _record: object, arguments: Any, keywords: Any) -> Any:
    """Connect; asyncmy says `RuntimeError` of a connection that is reset while it is made."""
    try:
        return dialect.connect(*arguments, **keywords)
    except RuntimeError as error:
        raise ConnectionResetError("the connection was lost while it was made") from error


def _reset_mysql(connection: Any, _record: object, state: PoolResetState) -> None:
    """Roll back what is open. SQLAlchemy would do so after each commit, too: a trip that ends nothing."""
    if not state.terminate_only and connection.driver_connection.get_transaction_status():
        connection.rollback()


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
    return {"timeout": 8, "command_timeout": None if migrating else SILENCE, "server_settings": server}


def is_pooled(url: URL) -> bool:
    """Whether PgBouncer in transaction mode stands between us and PostgreSQL, as the URL says."""
    return url.query.get(PGBOUNCER) == "true"


def _through_pgbouncer(arguments: dict[str, Any]) -> dict[str, Any]:
    """What is named or set on a connection would be met by others there, or not by us: so nothing is. The time-outs
    are those of the database role then.
    """
    return {
        "timeout": arguments["timeout"],
        "command_timeout": arguments["command_timeout"],
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }


def _drop_our_parameter(_dialect: object, _record: object, _arguments: object, keywords: dict[str, Any]) -> None:
    keywords.pop(PGBOUNCER, None)


def _with_ssl(url: URL) -> URL:
    """`sslmode`, as every PostgreSQL URL spells it, in asyncpg's word."""
    mode = url.query.get("sslmode")
    if mode is None:
        return url
    return url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


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

    Raises:
        OSError: it cannot be made, or we may not write to it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    path.chmod(0o600)
    if (closed := not_writable(path)) is not None:
        raise PermissionError(EACCES, os.strerror(EACCES), str(closed))


def not_writable(path: Path) -> Path | None:
    """Which of an SQLite file and its folder, where SQLite makes others beside it, we may not write to; None if all
    is well. SQLite itself opens such a file for reading, without a word.
    """
    return next((one for one in (path.parent, path) if not os.access(one, os.W_OK)), None)


def open_sqlite_reader(path: str) -> sqlite3.Connection:
    """A connection that only reads, for one thread at a time."""
    # Not always the same one: a test client may run each request in a loop, and a thread, of its own.
    connection = sqlite3.connect(path, isolation_level=None, timeout=0, cached_statements=16, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection
