"""The composition root: everything a process needs, put together once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from propusk.context import Act, Client, Context
from propusk.crypto.keyfiles import load_private_keys, load_secret_keys
from propusk.crypto.keyring import KeyRing
from propusk.crypto.passwords import PasswordHasher, hashing_threads
from propusk.crypto.secrets import Entropy
from propusk.db.clock import DatabaseClock
from propusk.db.dialect import is_away
from propusk.db.engines import Engines
from propusk.db.schema import Tables
from propusk.db.transactions import committed, session_factory
from propusk.feature import Feature, collect
from propusk.host import Cookies, Host
from propusk.jobs import upkeep
from propusk.jobs.periodic import PeriodicFunction, periodic
from propusk.jobs.worker import POLL, Worker
from propusk.mail import Mailer
from propusk.mail.choose import mailer_for
from propusk.mail.deliver import Delivery
from propusk.mail.render import Texts
from propusk.sessions.live import LiveSessions
from propusk.settings import Settings
from propusk.store.choose import store_for
from propusk.store.one_writer import BeforeWrites
from propusk.store.sql import SqlStore
from propusk.tokens.claims import AccessTokens
from propusk.tokens.keys import Keys, check_secret_keys

if TYPE_CHECKING:
    from fastapi import FastAPI

    from propusk.web.problems import Render

Clock = Callable[[], datetime]


class Auth:
    """What `create_auth` returns. Holds the long-lived parts; `context()` lends them to one use case."""

    def __init__(
        self,
        settings: Settings,
        features: Sequence[Feature],
        *,
        tables: Tables,
        engines: Engines,
        host: Host,
        clock: Clock | None,
        entropy: Entropy,
        mailer: Mailer | None,
    ) -> None:
        self.settings = settings
        self.features = tuple(features)
        self.tables = tables
        self.host = host
        self.cookies = Cookies.named(host.cookies, https=settings.secure)
        self.clock: Clock = clock or DatabaseClock()
        self.entropy = entropy
        self._engines = engines
        self.engine = engines.main
        secrets = load_secret_keys(settings)
        private = load_private_keys(settings)
        self.store = store_for(settings, SqlStore(engines.counters, tables.counters))
        self._has_one_writer = self.engine.dialect.name == "sqlite"
        self.sessions = session_factory(self.engine)
        self.keys = Keys(
            settings,
            secrets,
            private,
            self.tables,
            engines.unhindered,
            self.sessions,
            self.clock,
            keep_clock_right=self._keep_clock_right,
        )
        self.access_tokens = AccessTokens(settings)
        self.live = LiveSessions(engines.reader, tables)
        self.passwords = PasswordHasher(settings.password, entropy=entropy, threads=hashing_threads(settings.workers))
        self.registry = collect([upkeep.feature(settings), *self.features])
        self.mailer: Mailer = mailer or mailer_for(settings)
        delivery = Delivery(self.transaction, self.mailer, Texts(settings))
        self.worker = Worker(self.transaction, self.glance, self.registry.periodic, delivery.deliver_next, entropy)

    async def context(self, session: AsyncSession, *, client: Client | None) -> Context:
        """A context for use cases in a transaction of your own: you commit, ours never do.

        Nothing is acknowledged before your commit. An `AuthError` whose `keeps_writes` is true wants one, too: if you
        roll back, call the use case once more in `auth.transaction()`, or a session whose refresh token was stolen
        lives on. Attempts (to register, log in, refresh, prove a password) are counted on another connection, at once:
        on SQLite, which has one writer, before your first write or savepoint. `complete_login` logs in who registered.

        Args:
            session: on a database that has our tables. PostgreSQL and MariaDB: at READ COMMITTED.
            client: who asks, for limits and for the list of sessions: `propusk.client_of(request, auth)`. None where
                nobody does, as in a job: then attempts are limited by account, and not by network.
        """
        return self.lend(session, await self.keys.current(), client)

    def lend(
        self, db: AsyncSession, keyring: KeyRing, client: Client | None = None, *, afterwards: list[Act] | None = None
    ) -> Context:
        """A context with these keys in the transaction of `db`: who calls ends it, and does what is in `afterwards`."""
        return Context(
            db=db,
            now=self.clock(),
            settings=self.settings,
            tables=self.tables,
            store=BeforeWrites(self.store, db) if self._has_one_writer else self.store,
            keyring=keyring,
            passwords=self.passwords,
            entropy=self.entropy,
            registry=self.registry,
            host=self.host,
            client=client or Client(),
            wake=self.worker.wake,
            afterwards=afterwards,
        )

    @asynccontextmanager
    async def transaction(self, client: Client | None = None) -> AsyncIterator[Context]:
        """A use case, or several: committed at the end; what is raised rolls it back. What a refusal is to leave, the
        end of a stolen session say, holds in any case.
        """
        keyring = await self.keys.current()
        afterwards: list[Act] = []
        try:
            async with committed(self.sessions()) as db:
                yield self.lend(db, keyring, client, afterwards=afterwards)
        finally:
            for act in afterwards:
                async with self.transaction(client) as ctx:
                    await act(ctx)

    @asynccontextmanager
    async def glance(self) -> AsyncIterator[Context]:
        """A look at the database by who needs no keys and keeps nothing: one statement, however often it is taken."""
        await self._keep_clock_right()
        async with self.sessions() as db:
            try:
                yield self.lend(db, self.keys.known)
            except asyncio.CancelledError:
                await db.invalidate()
                raise

    def every(
        self, *, hours: float = 0, minutes: float = 0, seconds: float = 0, name: str | None = None
    ) -> Callable[[PeriodicFunction], PeriodicFunction]:
        """Have an async function run again and again, each time in one process of the whole installation.

        It takes a `Context`, in a transaction that is committed when it returns, unless the process was away for so
        long that another has taken over: what it does in `ctx.db` happens once. What it does elsewhere may happen
        again. It must not commit by itself. Returning True says that there is more to do at once.

        Args:
            hours, minutes, seconds: the rhythm, their sum; a second at least. What was missed is not made up for.
            name: which it is, for every process; by default the function's module and name.
        Raises:
            ValueError: there is one of that name, the name is too long, or the rhythm too fast.
            TypeError: no async function.
        """
        rhythm = timedelta(hours=hours, minutes=minutes, seconds=seconds)

        def register(function: PeriodicFunction) -> PeriodicFunction:
            self.worker.add(periodic(function, every=rhythm, name=name))
            return function

        return register

    @asynccontextmanager
    async def running(self, *, jobs: bool | None = None, poll: timedelta = POLL) -> AsyncIterator[None]:
        """From start to close, with mails and jobs beside what happens inside.

        Args:
            jobs: whether to run them; by default what `jobs_inline` says.
            poll: how often to look for mails of other processes; where `workers` says that there are several of us,
                we take turns.
        """
        await self.start()
        inline = self.settings.jobs_inline if jobs is None else jobs
        processes = self.settings.workers if jobs is None else 1
        try:
            async with self.worker.running(poll=poll, processes=processes) if inline else nullcontext():
                yield
        finally:
            await self.close()

    def install(
        self,
        app: "FastAPI",
        *,
        prefix: str = "",
        routes: Sequence[str] | None = None,
        errors: "Render | None" = None,
        migrate: bool = False,
    ) -> None:
        """Put our routes into an app, make `CurrentUser` and its like work there, and run with it: mails, jobs, close.

        No middleware. One exception handler, for `AuthError`; whatever else goes wrong is the app's.

        Args:
            prefix: what our paths begin with, `/account` say; `public_url` must end with it.
            routes: paths to serve, as in the reference, with `*` for anything: `["/auth/*", "/users/me"]`. None for
                all, `()` for none.
            errors: `(request, refusal) -> Response` instead of problem documents. A refusal's headers and cookies are
                added to it. Hosted pages show refusals as pages. `propusk.as_detail` answers as FastAPI does.
            migrate: call `migrate` when the app starts; of several processes one does, and the others wait.
        Raises:
            ValueError: a pattern that fits no route, or a prefix that cannot be.
            RuntimeError: an app has one installation.
        """
        from propusk.web.install import install

        install(self, app, prefix=prefix, routes=routes, errors=errors, migrate=migrate)

    async def migrate(self) -> None:
        """Bring our tables up to date, by our own history; as `propusk migrate` does."""
        # Alembic is slow to load, and most starts do not need it.
        from propusk.db.migrate import upgrade

        async with self._engines.migrating() as engine:
            await upgrade(engine, self.tables.metadata)

    async def start(self) -> None:
        """Publish and read the keys, by the right time. A process that serves calls it first; nothing else must.

        Raises:
            UnknownSecretKey: the database is used with other secret keys.
            RuntimeError: our tables are not there.
        """
        try:
            await self.keys.load()
        except DBAPIError as error:
            if is_away(error):
                raise
            raise RuntimeError(
                "Propusk cannot use its tables: run `propusk migrate`, `await auth.migrate()` or your own migrations"
            ) from error
        async with committed(self.sessions()) as db:
            await check_secret_keys(self.lend(db, await self.keys.current()))

    async def _keep_clock_right(self) -> None:
        if isinstance(self.clock, DatabaseClock):
            await self.clock.keep_right(self._engines.unhindered)

    async def close(self) -> None:
        """Give back every connection and thread."""
        await self.mailer.close()
        await self.keys.close()
        await self.live.close()
        await self.store.close()
        self.passwords.close()
        await self._engines.close()
