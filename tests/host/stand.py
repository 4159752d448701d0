"""What the tests of a host say: an application of somebody else's that Propusk was put into."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from propusk.auth import Auth
from propusk.mail.memory import MemoryMailer
from tests.kit import PASSWORD, FakeClock

ADA = {"email": "ada@example.com", "password": PASSWORD}


@dataclass
class Stand:
    """The host's app, our part of it, and a client."""

    app: FastAPI
    auth: Auth
    clock: FakeClock
    mailer: MemoryMailer
    client: httpx.AsyncClient

    async def bearer(self, prefix: str = "", **who: str) -> dict[str, str]:
        """Register, log in, and return the header."""
        who = who or ADA
        answer = await self.client.post(f"{prefix}/auth/register", json=who)
        assert answer.status_code == 201, answer.text
        login = {"login": who["email"], "password": who["password"]}
        answer = await self.client.post(f"{prefix}/auth/login", json=login)
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


MakeStand = Callable[..., Awaitable[Stand]]
