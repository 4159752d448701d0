"""The same for tests that are plain functions: everything happens in the loop of Starlette's `TestClient`."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from propusk.testing.kit import PASSWORD, Kit, Transport, show_login
from propusk.testing.tables import make_tables
from propusk.tokens.issue import TokenPair
from propusk.users.models import User

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from propusk.testing.clock import Clock
    from propusk.testing.mails import CapturedMail, Mails


class SyncKit:
    """A `Kit` without `await`.

    Args:
        kit: what does the work.
        portal: the way into the loop that the app runs in.
    """

    def __init__(self, kit: Kit, portal: "BlockingPortal") -> None:
        self.kit = kit
        self.auth = kit.auth
        self._portal = portal

    @classmethod
    @contextmanager
    def of(cls, app: "FastAPI") -> Iterator[Self]:
        """From the start of the app's lifespan to its end, on tables that are there.

        Raises:
            LookupError: Propusk is not installed there.
        """
        from starlette.testclient import TestClient

        kit = Kit(app)
        make_tables(kit.auth)
        with TestClient(app) as running:
            # The end of the lifespan closes `auth`, in its own loop.
            assert running.portal is not None  # noqa: S101 (it is there until the end of the block)
            yield cls(kit, running.portal)

    @property
    def clock(self) -> "Clock":
        """The clock, to be moved: `clock.forward(minutes=11)`."""
        return self.kit.clock

    @property
    def mails(self) -> "SyncMails":
        """The mails that were sent."""
        return SyncMails(self.kit.mails, self.run)

    def run(self, act: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **named: Any) -> Any:
        """Call something async where the app runs, and wait for it."""
        return self._portal.call(partial(act, *args, **named))

    def user(self, email: str | None = None, *, password: str | None = PASSWORD, **fields: Any) -> User:
        """See `Kit.user`."""
        user: User = self.run(self.kit.user, email, password=password, **fields)
        return user

    def log_in(self, user: User, *, address: str = "127.0.0.1", user_agent: str = "propusk.testing") -> TokenPair:
        """See `Kit.log_in`."""
        pair: TokenPair = self.run(self.kit.log_in, user, address=address, user_agent=user_agent)
        return pair

    def client(
        self, user: User | None = None, *, by: Transport = "bearer", address: str = "127.0.0.1", **options: Any
    ) -> "TestClient":
        """See `Kit.client`; the options are those of Starlette's `TestClient`."""
        from starlette.testclient import TestClient

        origin = self.auth.settings.origin
        client = TestClient(self.kit.app, **{"base_url": origin, "client": (address, 50000), **options})
        client.portal = self._portal
        if user is not None:
            pair = self.log_in(user, address=address, user_agent=client.headers["User-Agent"])
            show_login(client, self.auth, pair, by)
        return client

    def run_jobs(self) -> None:
        """See `Kit.run_jobs`."""
        self.run(self.kit.run_jobs)


class SyncMails:
    """`Mails` without `await`.

    Args:
        mails: what does the work.
        run: calls something async where the app runs.
    """

    def __init__(self, mails: "Mails", run: Callable[..., Any]) -> None:
        self._mails = mails
        self._run = run

    def all(self, *, to: str | None = None) -> "Sequence[CapturedMail]":
        """See `Mails.all`."""
        found: Sequence[CapturedMail] = self._run(self._mails.all, to=to)
        return found

    def last(self, *, to: str | None = None) -> "CapturedMail":
        """See `Mails.last`."""
        mail: CapturedMail = self._run(self._mails.last, to=to)
        return mail

    def clear(self) -> None:
        """See `Mails.clear`."""
        self._run(self._mails.clear)
