"""The engines of one installation: for use cases, for counters, and for the hot read. Ours, or on a host's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import AsyncAdaptedQueuePool, Engine, Pool
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.engine import OURS, connect, create_sqlite_file, database_url, is_pooled, split_connections
from propusk.settings import Settings, SettingsError

COUNTING = 3
"""Connections for counters beside a host's engine, at most."""


@dataclass(frozen=True)
class Engines:
    """`main` runs use cases, `counters` single statements, `reader` keeps the one connection of the hot read."""

    main: AsyncEngine
    counters: AsyncEngine
    reader: AsyncEngine
    is_lent: bool

    @property
    def unhindered(self) -> AsyncEngine:
        """For reads that must not wait for use cases, which may hold all of `main`, nor for SQLite's one writer, as its
        counters do.
        """
        return self.reader if self.main.dialect.name == "sqlite" else self.counters

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncEngine]:
        """An engine for migrations: what stops a hanging request must not stop a long migration."""
        if self.is_lent and self.main.dialect.name != "sqlite":
            yield self.main
            return
        engine = connect(self.main.url, pool_size=1, migrating=True)
        try:
            yield engine
        finally:
            await engine.dispose()

    async def close(self) -> None:
        """Give back every connection of ours; what a host lent stays open."""
        if not self.is_lent:
            await self.main.dispose()
        await self.counters.dispose()
        await self.reader.dispose()


def open_engines(settings: Settings) -> Engines:
    """Engines of our own, for `database_url`.

    Raises:
        SettingsError: it cannot be used, or SQLite's file cannot be written.
    """
    url = database_url(settings)
    if url.get_backend_name() == "sqlite":
        try:
            create_sqlite_file(Path(str(url.database)))
        except OSError as error:
            setting = "data_dir" if settings.database_url is None else "database_url"
            why = f"{error.filename}: {error.strerror}"
            raise SettingsError(f"{setting}: {url.database} cannot be written ({why})") from None
    pool, counter_pool = split_connections(settings.database_connections)
    return Engines(
        main=connect(url, pool_size=pool),
        counters=connect(url, pool_size=counter_pool, durable=False),
        # No pool: when the database was restarted, the next connection of a pool is dead as well.
        reader=connect(url, pool_size=0),
        is_lent=False,
    )


def lent_engines(engine: AsyncEngine) -> Engines:
    """Engines that share the connections of a host's engine for use cases. Beside them there are `COUNTING`, each for a
    single statement while a use case keeps its own, and the one of the hot read.

    Raises:
        SettingsError: it is for SQLite and not one of ours: there, each connection must wait for its turn to write.
    """
    if engine.dialect.name == "sqlite":
        return _lent_sqlite(engine)
    if engine.dialect.name == "mariadb":
        raise SettingsError("engine: let its URL begin with mysql+ for MariaDB as well; its types have one name so")
    counters = _another(engine, _few(engine))
    if engine.dialect.name == "mysql":
        counters = counters.execution_options(isolation_level="READ COMMITTED")
    elif not is_pooled(engine.url):
        counters = counters.execution_options(isolation_level="AUTOCOMMIT")
    return Engines(
        # Stricter ones fail a lost compare-and-set, or re-read an old snapshot after it.
        main=engine.execution_options(isolation_level="READ COMMITTED"),
        counters=counters,
        reader=_another(engine, engine.sync_engine.pool.recreate()),
        is_lent=True,
    )


def _lent_sqlite(engine: AsyncEngine) -> Engines:
    if not engine.get_execution_options().get(OURS):
        raise SettingsError("engine: for SQLite, make the engine that you share with propusk.make_engine(url)")
    return Engines(
        main=engine,
        counters=connect(engine.url, pool_size=2, durable=False),
        reader=connect(engine.url, pool_size=0),
        is_lent=True,
    )


def _another(engine: AsyncEngine, pool: Pool) -> AsyncEngine:
    """An engine that connects as this one does, with a pool of its own."""
    shared = engine.sync_engine
    # The very listeners, no copy: a host may hang some on its engine later.
    pool.dispatch = shared.pool.dispatch
    return AsyncEngine(Engine(pool, shared.dialect, shared.url))


def _few(engine: AsyncEngine) -> Pool:
    """A small pool that connects as this engine's does. SQLAlchemy would make a like one only, as large."""
    pool = engine.sync_engine.pool
    return AsyncAdaptedQueuePool(
        pool._creator,
        pool_size=COUNTING,
        max_overflow=0,
        timeout=8,
        recycle=pool._recycle,
        pre_ping=pool._pre_ping,
        dialect=engine.sync_engine.dialect,
    )
