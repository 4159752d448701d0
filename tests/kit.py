"""The words of the tests: a house is the real app, a clock to move, and people who register and log in."""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from propusk.auth import Auth
from propusk.settings import Settings
from propusk.testing import CapturedMail, Clock, Kit, MemoryMailer, limits, settings_for_tests
from propusk.testing.settings import CHEAP

__all__ = [
    "CHEAP", "MANY", "PASSWORD", "SECRET_KEY", "FakeClock", "House", "Person", "SeededEntropy", "in_some_round",
    "limits", "make_settings", "of_requests", "until",
]  # fmt: skip

PASSWORD = "zq7canary old horse"
"""Every secret of the tests has this marker in it, so that a leak can be searched for."""
SECRET_KEY = "zq7canary-Kq2vV9x4LrT8mB1nW6yZ3cD5eF7gH0jP"
MANY = timedelta(days=1)


class FakeClock(Clock):
    """A clock that begins at the same moment in every run, and stands until it is moved."""

    def __init__(self) -> None:
        super().__init__(datetime(2026, 11, 21, 9, 30, 0, 123456, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **span: float) -> None:
        """Move on: `tick(days=31)`."""
        self.forward(**span)


class SeededEntropy:
    """Bytes that look random and are the same in every run."""

    def __init__(self, seed: str = "zq7canary") -> None:
        self._seed = seed
        self._drawn = 0

    def __call__(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(f"{self._seed} {self._drawn}".encode()).digest(size)


def make_settings(url: str, data_dir: Any, **overrides: Any) -> Settings:
    """Settings for a test, on this database."""
    values: dict[str, Any] = {
        "database_url": SecretStr(url),
        "secret_key": [SecretStr(SECRET_KEY)],
        "jobs_inline": True,
    }
    return settings_for_tests(data_dir, **(values | overrides))


async def until(holds: Callable[[], Any], *, within: float = 60) -> None:
    """Wait until it is so. The limit is for what never comes: how long it takes is the machine's affair."""
    async with asyncio.timeout(within):
        while not (await found if isawaitable(found := holds()) else found):
            await asyncio.sleep(0.01)


async def in_some_round(holds: Callable[[], Awaitable[bool]]) -> bool:
    """Whether it is so in one round of three: in one of them the machine may stand still, for seconds."""
    for _ in range(3):
        if await holds():
            return True
    return False


def least_cost(act: Callable[[], object]) -> float:
    """CPU seconds of this thread, the least of three runs: in one of them what other tests left may be collected, or
    the machine stand still, which counts as work.
    """

    def cost() -> float:
        started = time.thread_time()
        act()
        return time.thread_time() - started

    return min(cost() for _ in range(3))


def of_requests(statements: list[str]) -> list[str]:
    """Without what a process reads by itself from time to time, whatever is asked of it: its keys."""
    return [text for text in statements if "signing_keys" not in text]


@dataclass
class Person:
    """Somebody with an account, and the client they use: it remembers cookies and their tokens."""

    house: "House"
    id: str
    email: str
    password: str = field(repr=False)
    client: httpx.AsyncClient = field(repr=False)
    tokens: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def bearer(self) -> dict[str, str]:
        """The header of a logged-in client."""
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request with this person's access token."""
        return await self.client.request(method, path, headers={**self.bearer, **options.pop("headers", {})}, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.call("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return await self.call("POST", path, json=json, **options)

    async def patch(self, path: str, json: Any) -> httpx.Response:
        return await self.call("PATCH", path, json=json)

    async def delete(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return await self.call("DELETE", path, json=json, **options)

    async def log_in(self) -> "Person":
        """The same person on another device: a session of its own."""
        return await self.house.log_in(self.email, self.password)

    async def refresh(self, token: str | None = None) -> httpx.Response:
        """Exchange a refresh token; by default the newest, and the new ones are kept."""
        answer = await self.client.post("/auth/refresh", json={"refresh_token": token or self.tokens["refresh_token"]})
        if token is None and answer.status_code == 200:
            self.tokens = answer.json()
        return answer

    async def is_in(self) -> bool:
        """Whether the access token is accepted."""
        answer = await self.get("/users/me")
        assert answer.status_code in (200, 401), answer.text
        return answer.status_code == 200


@dataclass
class House:
    """The service under test."""

    app: FastAPI
    auth: Auth
    clock: FakeClock
    mailer: MemoryMailer = field(default_factory=MemoryMailer)
    kit: Kit = field(init=False)
    client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.kit = Kit(self.app)
        self.client = self.new_client()

    def new_client(self, address: str = "198.51.100.7", **options: Any) -> httpx.AsyncClient:
        """A client with a cookie jar of its own, at this address."""
        options = {"base_url": self.auth.settings.public_url, **options}
        return self.kit.stranger(address, raise_app_exceptions=False, **options)

    async def register(self, email: str = "ada@example.com", password: str = PASSWORD, **fields: Any) -> Person:
        """Make an account and log in."""
        answer = await self.client.post("/auth/register", json={"email": email, "password": password, **fields})
        assert answer.status_code == 201, answer.text
        return await self.log_in(email, password)

    async def log_in(self, login: str, password: str = PASSWORD) -> Person:
        """Log in by bearer, from a client of its own."""
        client = self.new_client()
        answer = await client.post("/auth/login", json={"login": login, "password": password})
        assert answer.status_code == 200, answer.text
        tokens = answer.json()
        me = await client.get("/users/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
        assert me.status_code == 200, me.text
        return Person(self, me.json()["id"], me.json()["email"], password, client, tokens)

    async def superuser(self, email: str = "root@example.com", password: str = PASSWORD) -> Person:
        """A superuser, made as the command line does it, and logged in."""
        await self.kit.user(email, password=password, is_superuser=True)
        return await self.log_in(email, password)

    async def do(self, act: Any) -> Any:
        """Run a use case in a transaction, as a command would."""
        async with self.auth.transaction() as ctx:
            return await act(ctx)

    async def mails(self, to: str | None = None) -> list[CapturedMail]:
        """The mails that went out so far, those that are due now included; oldest first."""
        await self.kit.run_jobs()
        return list(await self.kit.mails.all(to=to))

    async def last_mail(self, to: str) -> CapturedMail:
        """The newest mail to this address."""
        await self.kit.run_jobs()
        return await self.kit.mails.last(to=to)

    async def last_token(self, to: str) -> str:
        """The token in the link of the newest mail to this address that has one."""
        links = [link for mail in await self.mails(to) for link in re.findall(r"\?token=(\S+)", mail.text)]
        assert links, f"no link to {to}"
        return str(links[-1])

    async def rows(self, table: str, **where: Any) -> list[Mapping[str, Any]]:
        """What the database holds: rows of one of our tables."""
        from sqlalchemy import select

        found = getattr(self.auth.tables, table)
        async with self.auth.sessions() as db:
            statement = select(found).where(*(found.c[name] == value for name, value in where.items()))
            return [dict(row._mapping) for row in await db.execute(statement)]

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The texts of all SQL statements that SQLAlchemy sends meanwhile."""
        from sqlalchemy import event

        seen: list[str] = []
        all_of = self.auth._engines
        engines = [engine.sync_engine for engine in (all_of.main, all_of.counters, all_of.reader)]

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            seen.append(statement)

        for engine in engines:
            event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", note)

    async def close(self) -> None:
        await self.kit.close()
