"""The local mailbox: a folder of mails, and pages for who develops on this machine."""

import re
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from propusk.mail import MailError
from propusk.mail.mailbox import Mailbox, where_mails_are
from propusk.mail.models import Message
from propusk.mail.smtp import SmtpMailer
from propusk.server import create_app
from propusk.settings import Settings
from tests.backends import Backend
from tests.kit import make_settings
from tests.raw import ask

LOCAL = "http://127.0.0.1:8000"


def message(number: int = 1, **changes: Any) -> Message:
    values: dict[str, Any] = {
        "message_id": f"<01a1fd17-0000-7000-8000-{number:012}@127.0.0.1>",
        "to": "ada@example.com",
        "sender": "Propusk <no-reply@127.0.0.1>",
        "subject": f"Mail {number}",
        "text": f"Open this:\n\n{LOCAL}/verify-email?token=pot1_zq7canary&x=1\n\nnot https://evil.example/ <b>\n",
        "html": "<p>Open this</p>",
        "language": "en",
        "sent_at": datetime(2026, 11, 21, 9, 30, 0, 5, tzinfo=UTC) + timedelta(seconds=number),
    }
    return Message(**values | changes)


MakeApp = Callable[..., FastAPI]


@pytest.fixture
async def app_of() -> AsyncIterator[MakeApp]:
    """Apps as the settings make them, with the mailer that they choose."""
    made: list[FastAPI] = []

    def make(settings: Settings, **changes: Any) -> FastAPI:
        made.append(create_app(settings.model_copy(update=changes)))
        return made[-1]

    yield make
    for app in made:
        await app.state.propusk.close()


async def get(
    app: Any, path: str, *, client: str = "127.0.0.1", headers: Mapping[str, str] | None = None
) -> httpx.Response:
    transport = httpx.ASGITransport(app, client=(client, 50000))
    async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as visitor:
        return await visitor.get(path, headers=dict(headers or {}))


@pytest.fixture
def settings(backend: Backend, tmp_path: Path) -> Settings:
    return make_settings(backend.url, tmp_path / "data")


@pytest.fixture
def box(settings: Settings) -> Mailbox:
    return Mailbox(settings.data_dir)


async def test_a_mail_is_a_file_for_its_owner_alone(box: Mailbox) -> None:
    await box.send(message())

    (path,) = box.folder.iterdir()
    assert path.name == "20261121T093001000005-01a1fd17-0000-7000-8000-000000000001.eml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(box.folder.stat().st_mode) == stat.S_IMODE(box.folder.parent.stat().st_mode) == 0o700
    found = await box.find(path.stem)
    assert found is not None
    assert (found.to, found.subject, found.text) == ("ada@example.com", "Mail 1", message().text)


async def test_a_mail_that_comes_again_takes_the_same_file(box: Mailbox) -> None:
    for number in (1, 2, 1, 1):
        await box.send(message(number))

    assert [mail.subject for mail in await box.newest()] == ["Mail 2", "Mail 1"]


async def test_only_the_newest_mails_are_kept(settings: Settings) -> None:
    box = Mailbox(settings.data_dir, keep=3)
    for number in range(6):
        await box.send(message(number))

    assert [mail.subject for mail in await box.newest()] == ["Mail 5", "Mail 4", "Mail 3"]
    assert len(list(box.folder.iterdir())) == 3


async def test_a_folder_that_cannot_be_written_to_is_no_loss(box: Mailbox) -> None:
    box.folder.parent.mkdir()
    box.folder.write_text("in the way")
    with pytest.raises(MailError) as refused:
        await box.send(message())

    assert not refused.value.permanent


async def test_mails_are_listed_and_read_and_their_links_lead_to_us(
    settings: Settings, box: Mailbox, app_of: MakeApp
) -> None:
    app = app_of(settings)
    empty = await get(app, "/mailbox")
    assert (empty.status_code, "No mail yet" in empty.text) == (200, True)
    await box.send(message(1))
    await box.send(message(2, subject='<script>alert(1)</script> & "x"'))

    listed = await get(app, "/mailbox")
    assert listed.headers["cache-control"] == "no-store"
    assert listed.headers["content-security-policy"].startswith("default-src 'none'")
    assert listed.headers["x-frame-options"] == "DENY"
    paths = re.findall(r'href="(mailbox/[^"]+)"', listed.text)
    assert len(paths) == 2 and "Mail 1" in listed.text[listed.text.index(paths[1]) :]
    assert "<script" not in listed.text

    read = await get(app, f"/{paths[1]}")
    link = f"{LOCAL}/verify-email?token=pot1_zq7canary&amp;x=1"
    assert f'<a href="{link}">{link}</a>' in read.text
    assert read.text.count("<a ") == 2
    assert "not https://evil.example/ &lt;b&gt;" in read.text
    assert (await get(app, f"/{paths[0]}")).text.count("<script") == 0


@pytest.mark.parametrize("name", ["x", "..%2f..%2fsecret_key", "20261121T093001000005-01a1", "%00", "a" * 500])
async def test_what_is_no_mail_is_not_found(name: str, settings: Settings, box: Mailbox, app_of: MakeApp) -> None:
    await box.send(message())

    assert (await get(app_of(settings), f"/mailbox/{name}")).status_code == 404


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_may_look(client: str, settings: Settings, app_of: MakeApp) -> None:
    assert (await get(app_of(settings), "/mailbox", client=client)).status_code == 200


@pytest.mark.parametrize("client", ["198.51.100.7", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "0.0.0.0", "", "x"])
async def test_t61_nobody_else_may_look_whatever_they_say(
    client: str, settings: Settings, box: Mailbox, app_of: MakeApp
) -> None:
    await box.send(message())
    app = app_of(settings)
    for headers in (
        {},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Host": "localhost"},
    ):
        answer = await get(app, "/mailbox", client=client, headers=headers)
        assert answer.status_code == 404
        assert "Mail 1" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "198.51.100.7"},
        {"X-Forwarded-For": ""},
        {"Forwarded": "for=198.51.100.7"},
        {"X-Forwarded-Host": "127.0.0.1"},
        {"X-Forwarded-Proto": "http"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Host": "evil.example"},
        {"Host": "evil.example:8000"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "127.0.0.1@evil.example"},
        {"Host": ""},
        {"Host": "["},
    ],
)
async def test_t61_a_proxy_on_this_machine_or_a_name_of_strangers_makes_nobody_local(
    headers: dict[str, str], settings: Settings, app_of: MakeApp
) -> None:
    app = app_of(settings)
    assert (await get(app, "/mailbox")).status_code == 200
    assert (await get(app, "/mailbox", headers=headers)).status_code == 404


@pytest.mark.parametrize(
    "public_url",
    ["https://auth.example.com", "http://dev.local", "http://10.0.0.1:8000", "http://127.0.0.1.example.com"],
)
async def test_t61_a_proxy_that_says_nothing_of_itself_makes_nobody_local(
    public_url: str, settings: Settings, box: Mailbox, app_of: MakeApp
) -> None:
    """As nginx does with nothing but `proxy_pass http://127.0.0.1:8000`, or with the visitor's `Host`."""
    await box.send(message())
    app = app_of(settings, public_url=public_url)
    for host in ("127.0.0.1:8000", "localhost", "[::1]", public_url.partition("//")[2]):
        for path in ("/mailbox", f"/mailbox/{next(box.folder.iterdir()).stem}"):
            answer = await get(app, path, headers={"Host": host, "Connection": "close"})
            assert (answer.status_code, "Mail 1" in answer.text) == (404, False)
    assert where_mails_are(app.state.propusk.settings) == f"files in {box.folder}"


@pytest.mark.parametrize("public_url", ["http://localhost:8000", "http://127.8.9.1", "http://[::1]:8000"])
async def test_every_name_of_this_machine_for_itself_will_do(
    public_url: str, settings: Settings, app_of: MakeApp
) -> None:
    app = app_of(settings, public_url=public_url)
    for host in ("127.0.0.1:8000", "localhost", "[::1]:8000", "127.8.9.1", "LOCALHOST"):
        assert (await get(app, "/mailbox", headers={"Host": host})).status_code == 200
    assert where_mails_are(app.state.propusk.settings).startswith(f"{public_url}/mailbox; files in ")


async def test_t61_two_names_at_once_are_refused(settings: Settings, app_of: MakeApp) -> None:
    app = app_of(settings)

    assert (await ask(app, "GET", "/mailbox", client="127.0.0.1")).status == 200
    for second in (b"evil.example", b"127.0.0.1:8000"):
        headers = [(b"host", second)]  # beside the one that is always sent
        assert (await ask(app, "GET", "/mailbox", headers=headers, client="127.0.0.1")).status == 404


@pytest.mark.parametrize("change", ["production", "mail server"])
async def test_t61_there_are_no_such_pages_in_production_or_with_a_mail_server(
    change: str, settings: Settings, box: Mailbox, app_of: MakeApp
) -> None:
    await box.send(message())
    server: dict[str, Any] = {"mail_url": SecretStr("smtp://localhost"), "mail_from": "no-reply@example.com"}
    update: dict[str, Any] = {"environment": "production"} if change == "production" else server
    app = app_of(settings, **update)

    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"Host": "localhost"}):
        for path in ("/mailbox", f"/mailbox/{next(box.folder.iterdir()).stem}"):
            answer = await get(app, path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_settings_choose_who_carries_mails(settings: Settings, app_of: MakeApp) -> None:
    server: dict[str, Any] = {"mail_url": SecretStr("smtp://localhost"), "mail_from": "no-reply@example.com"}

    assert isinstance(app_of(settings).state.propusk.mailer, Mailbox)
    assert isinstance(app_of(settings, **server).state.propusk.mailer, SmtpMailer)
