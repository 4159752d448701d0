"""What a test does with an app that Propusk is installed in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Self

from propusk.auth import Auth
from propusk.context import Client
from propusk.errors import NotFound
from propusk.features.password.register import create_user_with_password
from propusk.login.complete import complete_login
from propusk.mail.memory import MemoryMailer
from propusk.testing.clock import Clock
from propusk.testing.mails import Mails
from propusk.testing.tables import make_tables
from propusk.tokens.issue import TokenPair
from propusk.users.models import User
from propusk.users.queries import find_user

if TYPE_CHECKING:
    import httpx
    from fastapi import FastAPI

PASSWORD = "a pass phrase for tests"
"""What users log in with, unless the test says otherwise."""
Transport = Literal["bearer", "cookie"]


class Kit:
    """Users, clients, mails and the time of one app. `auth` is what was installed there.

    Args:
        app: a FastAPI app with `auth.install(app)` done, its `auth` made with a `Clock` and a `MemoryMailer`.
    Raises:
        LookupError: Propusk is not installed there.
    """

    def __init__(self, app: "FastAPI") -> None:
        auth = getattr(app.state, "propusk", None)
        if not isinstance(auth, Auth):
            raise LookupError("Propusk is not installed in this app: call auth.install(app)")
        self.app = app
        self.auth = auth
        self._clients: list[httpx.AsyncClient] = []
        self._users = 0

    @property
    def clock(self) -> Clock:
        """The clock, to be moved: `clock.forward(minutes=11)`.

        Raises:
            LookupError: the app was made with another.
        """
        if not isinstance(self.auth.clock, Clock):
            raise LookupError("the clock cannot be moved: give the fixture propusk_clock to create_auth(clock=...)")
        return self.auth.clock

    @property
    def mails(self) -> Mails:
        """The mails that were sent.

        Raises:
            LookupError: the app was made with another mailer.
        """
        if not isinstance(self.auth.mailer, MemoryMailer):
            raise LookupError("mails are not captured: give the fixture propusk_mailer to create_auth(mailer=...)")
        return Mails(self.auth.mailer, self.auth.worker.send_due)

    async def user(self, email: str | None = None, *, password: str | None = PASSWORD, **fields: Any) -> User:
        """Make a user, as the operator does: your handlers of `UserCreated` are called, and a mail tells the user.

        Args:
            email: by default an address that nobody has yet.
            password: None for none.
            fields: `username`, `name`, `locale`, `profile`, `is_active`, `is_superuser`; and `is_verified`, which is
                True unless you say otherwise.
        Raises:
            InvalidInput, EmailTaken, UsernameTaken
        """
        if email is None:
            self._users += 1
            email = f"user{self._users}@example.com"
        async with self.auth.transaction() as ctx:
            return await create_user_with_password(
                ctx, actor=None, email=email, password=password, **{"is_verified": True, **fields}
            )

    async def log_in(self, user: User, *, address: str = "127.0.0.1", user_agent: str = "propusk.testing") -> TokenPair:
        """A new session of this user, without a password being asked for.

        Args:
            address: where they are, an IP address.
            user_agent: what they use.
        Raises:
            AccountDisabled, EmailNotVerified: they may not log in.
            NotFound: they are gone.
        """
        async with self.auth.transaction(Client(address, address, user_agent)) as ctx:
            found = await find_user(ctx, user.id)
            if found is None:
                raise NotFound
            return await complete_login(ctx, found, methods=("pwd",))

    async def client(
        self, user: User | None = None, *, by: Transport = "bearer", address: str = "127.0.0.1", **options: Any
    ) -> "httpx.AsyncClient":
        """A client of the app, with cookies of its own, in a new session of `user`.

        What the app fails to catch is raised in the test.

        Args:
            user: None for a stranger.
            by: how it is logged in: with the access token in the header, or as a browser with both cookies.
            address: where it comes from, an IP address.
            options: of `httpx.AsyncClient`.
        Raises:
            AccountDisabled, EmailNotVerified: the user may not log in.
            NotFound: they are gone.
        """
        client = self.stranger(address, **options)
        if user is not None:
            pair = await self.log_in(user, address=address, user_agent=client.headers["User-Agent"])
            show_login(client, self.auth, pair, by)
        return client

    def stranger(
        self, address: str = "127.0.0.1", *, raise_app_exceptions: bool = True, **options: Any
    ) -> "httpx.AsyncClient":
        """A client that is not logged in; needs no await.

        Args:
            raise_app_exceptions: False for the answer 500 instead.
            address, options: see `client`.
        """
        http = _httpx()
        transport = http.ASGITransport(self.app, client=(address, 50000), raise_app_exceptions=raise_app_exceptions)
        client: httpx.AsyncClient = http.AsyncClient(
            transport=transport, **{"base_url": self.auth.settings.origin, **options}
        )
        self._clients.append(client)
        return client

    async def run_jobs(self) -> None:
        """Run every periodic job that is due by the clock, once, and send every mail that is."""
        await self.auth.worker.run_due()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """From the start of the app's lifespan to its end, on tables that are there; closes everything at the end."""
        make_tables(self.auth)
        try:
            async with self.app.router.lifespan_context(self.app):
                yield self
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the clients, connections and threads."""
        for client in self._clients:
            await client.aclose()
        await self.auth.close()


def _httpx() -> Any:
    """The HTTP client, or its successor where only that is installed."""
    for name in ("httpx", "httpx2"):
        with suppress(ModuleNotFoundError):
            return import_module(name)
    raise ModuleNotFoundError("the clients of propusk.testing need httpx: pip install httpx")


def show_login(client: Any, auth: Auth, pair: TokenPair, by: Transport) -> None:
    """Give a client of `httpx`, or a `TestClient`, what a login would have given it."""
    if by == "bearer":
        client.headers["Authorization"] = f"Bearer {pair.access_token}"
        return
    # As http.cookiejar writes it, so that a cookie of the app's takes the place of this one.
    host = client.base_url.host
    domain = host if "." in host else f"{host}.local"
    client.cookies.set(auth.cookies.access, pair.access_token, domain=domain)
    if pair.refresh_token is not None:
        client.cookies.set(auth.cookies.refresh, pair.refresh_token, domain=domain)
