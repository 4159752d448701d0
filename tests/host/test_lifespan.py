"""An app that is started, stopped and started again: everything of ours begins anew, in another event loop."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from propusk import CurrentUser, create_auth
from propusk.auth import Auth
from propusk.mail import MailError
from propusk.mail.memory import MemoryMailer
from propusk.mail.models import Message
from propusk.mail.smtp import SmtpMailer
from propusk.setting_mail import MailServer
from propusk.store import Hit
from tests.backends import Backend
from tests.conftest import empty
from tests.kit import PASSWORD, make_settings, until


@pytest.fixture
def auth(backend: Backend, signing_key_file: Path, tmp_path: Path) -> Auth:
    settings = make_settings(backend.url, tmp_path, signing_key_file=signing_key_file, redis_url=backend.redis_url)
    made = create_auth(settings, mailer=MemoryMailer())

    async def begin() -> None:
        await empty(made)
        await made.close()

    asyncio.run(begin())
    return made


@pytest.mark.also_on("redis")
def test_an_app_is_started_again_after_its_end(auth: Auth) -> None:
    assert isinstance(auth.mailer, MemoryMailer)
    mails = auth.mailer.messages
    app = FastAPI()
    auth.install(app)

    @app.get("/orders")
    async def list_orders(user: CurrentUser) -> str:
        return user.email

    async def live() -> None:
        email = f"{uuid4()}@example.com"
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client,
        ):
            answer = await client.post("/auth/register", json={"email": email, "password": PASSWORD})
            assert answer.status_code == 201, answer.text
            answer = await client.post("/auth/login", json={"login": email, "password": PASSWORD})
            bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            assert (await client.get("/orders", headers=bearer)).json() == email
            await until(lambda: email in {mail.to for mail in mails})

    for _ in range(3):
        asyncio.run(live())


@pytest.mark.also_on("redis")
def test_a_crowd_waits_its_turn_in_every_life(auth: Auth) -> None:
    """What makes some wait belongs to an event loop: each life needs its own."""

    async def live() -> None:
        async with auth.running():
            now, limit = auth.clock(), auth.settings.limits.register
            hashes = (auth.passwords.hash(PASSWORD, share=str(n)) for n in range(40))
            counts = (auth.store.hit([Hit("crowd", str(n), limit)], now=now) for n in range(40))
            reads = (auth.live.get(uuid4(), now) for _ in range(40))
            await asyncio.gather(*hashes, *counts, *reads)

    for _ in range(3):
        asyncio.run(live())


def test_mails_wait_their_turn_in_every_life() -> None:
    mailer = SmtpMailer(MailServer("127.0.0.1", 1, "none"))  # nobody is there
    mail = Message("<1@example.com>", "a@example.com", "b@example.com", "s", "t", "<p>t</p>", "en", datetime.now(UTC))

    async def live() -> None:
        outcomes = await asyncio.gather(*(mailer.send(mail) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [MailError] * 3
        await mailer.close()

    for _ in range(2):
        asyncio.run(live())
