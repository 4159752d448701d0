"""What hosts test with, tested with our own service and with a small host."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI, Request

from propusk import CurrentUser, Settings, SettingsError, create_auth
from propusk.context import Context
from propusk.errors import AccountDisabled, EmailTaken, NotFound
from propusk.events import UserCreated
from propusk.mail.models import Message
from propusk.server import create_app
from propusk.testing import PASSWORD, Clock, Kit, MemoryMailer, SyncKit, limits, settings_for_tests
from tests.backends import Backend
from tests.kit import House, make_settings

# Of Starlette, for its own use of httpx.
WITHOUT_HTTPX2 = "ignore:Using `httpx` with"


class SlowMailer(MemoryMailer):
    """Takes its time for a mail, as a mail server does."""

    def __init__(self) -> None:
        super().__init__()
        self.has_one = asyncio.Event()

    async def send(self, message: Message) -> None:
        self.has_one.set()
        await asyncio.sleep(0.2)
        await super().send(message)


@pytest.fixture
def heard() -> list[UserCreated]:
    """What the host's own handler was told."""
    return []


@pytest.fixture
def propusk_app(
    propusk_settings: Settings, propusk_clock: Clock, propusk_mailer: MemoryMailer, heard: list[UserCreated]
) -> FastAPI:
    """A host with a handler, a job and two routes."""

    async def hear(_ctx: Context, event: UserCreated) -> None:
        heard.append(event)

    auth = create_auth(propusk_settings, clock=propusk_clock, mailer=propusk_mailer, on=[(UserCreated, hear)])
    app = FastAPI()
    auth.install(app)
    app.state.ticks = 0

    @auth.every(hours=1)
    async def tick(_ctx: Context) -> None:
        app.state.ticks += 1

    @app.get("/whoami")
    async def whoami(user: CurrentUser) -> str:
        return user.email

    @app.get("/where")
    async def where(request: Request) -> str:
        return request.client.host if request.client else ""

    @app.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError

    return app


async def test_a_client_is_logged_in_in_one_line(propusk: Kit) -> None:
    client = await propusk.client(await propusk.user("ada@example.com"))

    assert (await client.get("/whoami")).json() == "ada@example.com"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:8000", "https://shop.example.com/account"])
async def test_a_browser_is_logged_in_by_cookies_that_the_app_can_replace(tmp_path: Path, url: str) -> None:
    auth = create_auth(settings_for_tests(tmp_path, public_url=url), clock=Clock())
    app = FastAPI()
    auth.install(app)

    async with Kit(app).running() as kit:
        client = await kit.client(await kit.user(), by="cookie")
        assert "authorization" not in client.headers
        assert (await client.get("/users/me")).status_code == 200
        assert (await client.post("/auth/refresh")).status_code == 200
        assert (await client.get("/users/me")).status_code == 200
        assert (await client.post("/auth/logout")).status_code == 204
        assert (await client.get("/users/me")).status_code == 401
        assert dict(client.cookies) == {}


async def test_clients_do_not_share_what_they_know(propusk: Kit) -> None:
    ada, bob = await propusk.user("ada@example.com"), await propusk.user("bob@example.com")
    hers, his, nobodys = await propusk.client(ada), await propusk.client(bob, by="cookie"), await propusk.client()

    assert [(await hers.get("/whoami")).json(), (await his.get("/whoami")).json()] == [ada.email, bob.email]
    assert (await nobodys.get("/whoami")).status_code == 401


async def test_sessions_know_where_their_client_is(propusk: Kit) -> None:
    client = await propusk.client(await propusk.user(), address="203.0.113.9", headers={"User-Agent": "curl/8.14"})

    (session,) = (await client.get("/auth/sessions")).json()["items"]

    assert (session["ip"], session["device"]) == ("203.0.113.9", "curl")
    assert (await client.get("/where")).json() == "203.0.113.9"


async def test_users_are_as_the_test_says(propusk: Kit) -> None:
    plain = await propusk.user()
    other = await propusk.user(username="other", is_superuser=True, is_verified=False, profile={"shoes": 42})

    assert plain.email != other.email
    assert (plain.is_verified, plain.is_superuser, plain.is_active) == (True, False, True)
    assert (other.is_verified, other.is_superuser, other.username, other.profile) == (
        False,
        True,
        "other",
        {"shoes": 42},
    )
    with pytest.raises(EmailTaken):
        await propusk.user(plain.email)


async def test_the_hosts_handlers_hear_of_a_user(propusk: Kit, heard: list[UserCreated]) -> None:
    ada = await propusk.user()

    assert [event.user_id for event in heard] == [ada.id]


async def test_the_password_is_known(propusk: Kit) -> None:
    ada, bob = await propusk.user(), await propusk.user(password="zq7canary old horse")
    nobody = await propusk.user(password=None)
    client = await propusk.client()

    async def log_in(email: str, password: str) -> int:
        return (await client.post("/auth/login", json={"login": email, "password": password})).status_code

    assert await log_in(ada.email, PASSWORD) == 200
    assert await log_in(bob.email, "zq7canary old horse") == 200
    assert [await log_in(one.email, PASSWORD) for one in (bob, nobody)] == [401, 401]


async def test_who_may_not_log_in_is_refused(propusk: Kit) -> None:
    ada, gone = await propusk.user(is_active=False), await propusk.user()
    root = await propusk.client(await propusk.user(is_superuser=True))
    assert (await root.delete(f"/users/{gone.id}")).status_code == 204

    with pytest.raises(AccountDisabled):
        await propusk.client(ada)
    with pytest.raises(NotFound):
        await propusk.client(gone)


async def test_a_user_who_changed_meanwhile_can_log_in(propusk: Kit) -> None:
    ada = await propusk.user()
    client = await propusk.client(ada)
    assert (await client.delete("/auth/sessions")).status_code == 200

    client = await propusk.client(ada)

    assert (await client.get("/whoami")).status_code == 200


async def test_time_stands_until_it_is_moved(propusk: Kit) -> None:
    client = await propusk.client(await propusk.user())
    before = propusk.clock.now

    assert abs(before - datetime.now(UTC)).total_seconds() < 60
    propusk.clock.forward(minutes=9, seconds=59)
    assert (await client.get("/whoami")).status_code == 200
    propusk.clock.forward(seconds=2)
    assert (await client.get("/whoami")).status_code == 401
    assert round((propusk.clock.now - before).total_seconds(), 3) == 601


async def test_what_happened_earlier_is_earlier(propusk: Kit) -> None:
    root = await propusk.client(await propusk.user("root@example.com", is_superuser=True))
    for name in "abcdefgh":
        await propusk.user(f"{name}@example.com")

    users = (await root.get("/users")).json()["items"]
    assert [user["email"][0] for user in users] == list("hgfedcbar")
    assert [mail.to[0] for mail in await propusk.mails.all()] == list("rabcdefgh")


async def test_mails_are_read_by_whom_they_went_to(propusk: Kit) -> None:
    ada, bob = await propusk.user("ada@example.com"), await propusk.user("bob@example.com")
    await propusk.mails.clear()
    assert await propusk.mails.all() == []
    client = await propusk.client()

    for user in (bob, ada, bob):
        await client.post("/auth/forgot-password", json={"email": user.email})

    assert [mail.to for mail in await propusk.mails.all()] == [bob.email, ada.email, bob.email]
    assert len(await propusk.mails.all(to=bob.email)) == 2
    mail = await propusk.mails.last(to=ada.email)
    body = {"token": mail.token, "password": "zq7canary new horse"}
    assert (await client.post("/auth/reset-password", json=body)).status_code == 204
    assert mail.token in mail.link
    assert mail.link in mail.text


async def test_a_mail_that_is_not_there_is_told_with_those_that_are(propusk: Kit) -> None:
    with pytest.raises(LookupError, match="no mail was sent; sent: none"):
        await propusk.mails.last()
    ada = await propusk.user("ada@example.com")
    with pytest.raises(LookupError, match=r"no mail to bob@example.com was sent; sent: 'You have .*' to ada@example"):
        await propusk.mails.last(to="bob@example.com")
    with pytest.raises(LookupError, match="no link"):
        _ = (await propusk.mails.last(to=ada.email)).token


async def test_jobs_run_when_the_test_says_so(propusk: Kit) -> None:
    await propusk.mails.all()
    assert propusk.app.state.ticks == 0
    await propusk.run_jobs()
    await propusk.run_jobs()
    assert propusk.app.state.ticks == 1
    propusk.clock.forward(hours=1)
    await propusk.run_jobs()
    assert propusk.app.state.ticks == 2


async def test_a_bug_of_the_app_is_raised_in_the_test(propusk: Kit) -> None:
    client = await propusk.client()
    with pytest.raises(ZeroDivisionError):
        await client.get("/bug")
    client = await propusk.client(raise_app_exceptions=False)
    assert (await client.get("/bug")).status_code == 500


async def test_the_lifespan_runs_where_it_is_asked_for(tmp_path: Path) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        seen.append("started")
        yield
        seen.append("ended")

    app = FastAPI(lifespan=lifespan)
    create_auth(settings_for_tests(tmp_path)).install(app)

    async with Kit(app).running():
        assert seen == ["started"]
    assert seen == ["started", "ended"]


def test_limits_are_those_of_the_test(tmp_path: Path) -> None:
    assert settings_for_tests(tmp_path).limits.login_pair.count >= 1_000_000
    settings = settings_for_tests(tmp_path, limits=limits(login_pair="3/1h"))
    assert settings.limits.login_pair.count == 3
    assert settings.limits.register.count >= 1_000_000


@pytest.mark.filterwarnings(WITHOUT_HTTPX2)
def test_without_async_everything_is_the_same(propusk_sync: SyncKit, heard: list[UserCreated]) -> None:
    ada = propusk_sync.user("ada@example.com")
    assert [event.user_id for event in heard] == [ada.id]
    bearer, cookie = propusk_sync.client(ada), propusk_sync.client(ada, by="cookie", address="203.0.113.9")

    assert [client.get("/whoami").json() for client in (bearer, cookie)] == [ada.email, ada.email]
    assert [item["ip"] for item in bearer.get("/auth/sessions").json()["items"]].count("203.0.113.9") == 1
    assert [client.get("/where").json() for client in (bearer, cookie)] == ["127.0.0.1", "203.0.113.9"]
    assert propusk_sync.client().get("/whoami").status_code == 401
    assert propusk_sync.mails.last(to=ada.email) == propusk_sync.mails.all()[-1]
    propusk_sync.mails.clear()
    assert propusk_sync.mails.all() == []
    assert propusk_sync.kit.app.state.ticks == 0
    propusk_sync.run_jobs()
    assert propusk_sync.kit.app.state.ticks == 1
    propusk_sync.clock.forward(minutes=11)
    assert bearer.get("/whoami").status_code == 401


@pytest.mark.filterwarnings(WITHOUT_HTTPX2)
async def test_a_test_client_of_their_own_works_too(propusk: Kit) -> None:
    """Unless it is entered, each of its requests runs in a thread and a loop of its own."""
    from starlette.testclient import TestClient

    pair = await propusk.log_in(await propusk.user("ada@example.com"))
    client = TestClient(propusk.app, headers={"Authorization": f"Bearer {pair.access_token}"})

    for _ in range(3):
        assert client.get("/whoami").json() == "ada@example.com"
        assert client.patch("/users/me", json={"name": "Ada"}).status_code == 200


def test_production_refuses_cheap_hashing(tmp_path: Path) -> None:
    settings = settings_for_tests(tmp_path, environment="production", public_url="https://shop.example.com")

    with pytest.raises(SettingsError, match="memory_kib and"):
        create_auth(settings, mailer=MemoryMailer())


async def test_a_database_on_a_server_works_with_the_lifespan(backend: Backend, house: House, tmp_path: Path) -> None:
    app = create_app(make_settings(backend.url, tmp_path), clock=house.clock, mailer=MemoryMailer())

    async with Kit(app).running() as kit:
        client = await kit.client(await kit.user())
        assert (await client.get("/users/me")).status_code == 200
        assert len(await kit.mails.all()) == 1


@pytest.mark.filterwarnings(WITHOUT_HTTPX2)
def test_a_database_on_a_server_works_without_async(backend: Backend, house: House, tmp_path: Path) -> None:
    app = create_app(make_settings(backend.url, tmp_path), clock=house.clock, mailer=MemoryMailer())

    with SyncKit.of(app) as kit:
        for _ in range(2):
            assert kit.client(kit.user()).get("/users/me").status_code == 200
        assert len(kit.mails.all()) == 2


async def test_a_mail_that_the_app_itself_is_sending_is_waited_for(
    backend: Backend, house: House, tmp_path: Path
) -> None:
    mailer = SlowMailer()
    app = create_app(make_settings(backend.url, tmp_path), clock=house.clock, mailer=mailer)

    async with Kit(app).running() as kit:
        await kit.user()
        await mailer.has_one.wait()
        assert len(await kit.mails.all()) == 1
