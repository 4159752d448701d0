"""The composition root: everything a process needs, put together once."""

import os
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from propusk.context import Client, Context
from propusk.crypto.keyfiles import load_private_keys, load_secret_keys
from propusk.crypto.keyring import KeyRing
from propusk.crypto.passwords import PasswordHasher, hashing_threads
from propusk.crypto.secrets import Entropy
from propusk.db.clock import DatabaseClock
from propusk.db.engine import connect, create_sqlite_file, database_url, session_factory
from propusk.db.schema import build_tables
from propusk.feature import Feature, collect
from propusk.sessions.live import LiveSessions
from propusk.settings import Settings
from propusk.store import Store
from propusk.store.sql import SqlStore
from propusk.tokens.claims import AccessTokens
from propusk.tokens.keys import Keys, check_secret_keys

Clock = Callable[[], datetime]


class Auth:
    """What `create_auth` returns. Holds the long-lived parts; `context()` lends them to one use case."""

    def __init__(
        self, settings: Settings, features: Sequence[Feature], *, clock: Clock | None, entropy: Entropy
    ) -> None:
        self.settings = settings
        self.features = tuple(features)
        self.tables = build_tables()
        self.clock: Clock = clock or DatabaseClock()
        self.entropy = entropy
        gate = threading.Lock()
        self.engine = _connect(settings, pool_size=10, durable=True, gate=gate)
        self._counter_engine = _connect(settings, pool_size=4, durable=False, gate=gate)
        # No pool: when the database was restarted, the next connection of a pool is dead as well.
        self._reader_engine = _connect(settings, pool_size=0, durable=True, gate=gate)
        secrets = load_secret_keys(settings)
        private = load_private_keys(settings)
        self.store: Store = SqlStore(self._counter_engine, self.tables.counters)
        self.sessions = session_factory(self.engine)
        self.keys = Keys(
            settings, secrets, private, self.tables, self.sessions, self.clock, keep_clock_right=self._keep_clock_right
        )
        self.access_tokens = AccessTokens(settings)
        self.live = LiveSessions(self._reader_engine, self.tables)
        self.passwords = PasswordHasher(settings.password, threads=hashing_threads(settings.workers))
        self.registry = collect(self.features)

    def context(self, db: AsyncSession, keyring: KeyRing, client: Client | None = None) -> Context:
        """A context for one use case in the transaction of `db`, which the caller commits or rolls back."""
        return Context(
            db=db,
            now=self.clock(),
            settings=self.settings,
            tables=self.tables,
            store=self.store,
            keyring=keyring,
            passwords=self.passwords,
            entropy=self.entropy,
            registry=self.registry,
            client=client or Client(),
        )

    async def start(self) -> None:
        """Publish and read the keys, by the right time. A process that serves calls it first; nothing else must.

        Raises:
            UnknownSecretKey: the database is used with other secret keys.
        """
        await self.keys.load()
        async with self.sessions() as db:
            await check_secret_keys(self.context(db, await self.keys.current()))
            await db.commit()

    async def _keep_clock_right(self) -> None:
        if isinstance(self.clock, DatabaseClock):
            await self.clock.keep_right(self.engine)

    async def close(self) -> None:
        """Give back every connection and thread."""
        await self.keys.close()
        await self.live.close()
        self.passwords.close()
        await self.engine.dispose()
        await self._counter_engine.dispose()
        await self._reader_engine.dispose()


def _connect(settings: Settings, *, pool_size: int, durable: bool, gate: threading.Lock) -> AsyncEngine:
    url = database_url(settings)
    if url.get_backend_name() == "sqlite":
        create_sqlite_file(Path(str(url.database)))
    return connect(url, pool_size=pool_size, durable=durable, gate=gate)


def create_auth(
    settings: Settings, features: Sequence[Feature], *, clock: Clock | None = None, entropy: Entropy = os.urandom
) -> Auth:
    """Put an installation together.

    Args:
        settings: what the operator chose.
        features: what it is to do beyond users, sessions and tokens.
        clock: the time, aware; by default the process's clock corrected to the database's.
        entropy: n random bytes; by default the operating system's.
    Raises:
        SettingsError, KeyFileError: something the settings name cannot be used.
    """
    return Auth(settings, features, clock=clock, entropy=entropy)
