"""Who the tests act as: people with accounts at a running service, and the rows that the database holds of them."""

import base64
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Table, select, update

from propusk.db.engine import connect, database_url
from propusk.db.schema import Tables, build_tables
from propusk.settings import Settings
from tests.process.wire import Answer, Ask, once

PASSWORD = "zq7canary old horse"
NEW_PASSWORD = "zq7canary new horse"
_names = itertools.count()


@dataclass
class Login:
    """The tokens of one session."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)

    @classmethod
    def of(cls, answer: Answer) -> "Login":
        tokens = answer.json()
        return cls(tokens["access_token"], tokens["refresh_token"])

    @property
    def session_id(self) -> str:
        """`sid` of the access token, which is not verified here."""
        part = self.access.split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["sid"])

    @property
    def cookies(self) -> str:
        """As a browser sends them over plain HTTP."""
        return f"propusk_access={self.access}; propusk_refresh={self.refresh}"


@dataclass
class Person:
    """Somebody with an account, reached through the service on a port."""

    port: int
    id: str
    email: str
    password: str = field(default=PASSWORD, repr=False)

    async def log_in(self) -> Login:
        answer = await once(self.port, login(self.email, self.password))
        assert answer.status == 200, answer.body
        return Login.of(answer)


def register(email: str, password: str = PASSWORD) -> Ask:
    return Ask("POST", "/auth/register", body={"email": email, "password": password})


def login(email: str, password: str = PASSWORD) -> Ask:
    return Ask("POST", "/auth/login", body={"login": email, "password": password})


def refresh(token: str) -> Ask:
    return Ask("POST", "/auth/refresh", body={"refresh_token": token})


def me(token: str) -> Ask:
    return Ask("GET", "/users/me", token=token)


def logout(token: str) -> Ask:
    return Ask("POST", "/auth/logout", token=token)


def new_password(token: str, old: str, new: str) -> Ask:
    return Ask("POST", "/users/me/password", token=token, body={"current_password": old, "new_password": new})


def new_address() -> str:
    """An address that no other test uses."""
    return f"person{next(_names)}@example.com"


async def new_person(port: int) -> Person:
    """Make an account."""
    answer = await once(port, register(email := new_address()))
    assert answer.status == 201, answer.body
    return Person(port, answer.json()["id"], email)


async def new_login(port: int) -> Login:
    """A session of somebody new."""
    return await (await new_person(port)).log_in()


class Records:
    """The tables of a database, read past the service. Opened for each use: tests have event loops of their own."""

    def __init__(self, url: str) -> None:
        settings: dict[str, Any] = {"database_url": SecretStr(url)}
        self._url = database_url(Settings(**settings))
        self.tables: Tables = build_tables()

    async def rows(self, table: Table, *where: Any) -> list[Mapping[str, Any]]:
        engine = connect(self._url, pool_size=1)
        try:
            async with engine.connect() as connection:
                return [dict(row._mapping) for row in await connection.execute(select(table).where(*where))]
        finally:
            await engine.dispose()

    async def session(self, session_id: str) -> Mapping[str, Any]:
        """The row of a session."""
        (row,) = await self.rows(self.tables.sessions, self.tables.sessions.c.id == UUID(session_id))
        return row

    async def make_superusers(self, *user_ids: str) -> None:
        """These are superusers from now on, and nobody else is."""
        users = self.tables.users
        chosen = users.c.id.in_([UUID(user_id) for user_id in user_ids])
        engine = connect(self._url, pool_size=1)
        try:
            async with engine.begin() as connection:
                await connection.execute(update(users).values(is_superuser=chosen))
        finally:
            await engine.dispose()
