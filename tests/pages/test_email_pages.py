"""The pages that mails about addresses link to, as a person without JavaScript sees them, and as scanners do."""

import re
from importlib.resources import files

import pytest

from propusk.web.page_texts import page_texts
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, limits
from tests.pages.reader import OURS, open_page, press, read

ADA, NEW = "ada@example.com", "new@example.org"
FOREIGN: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
]


async def link(house: House, to: str) -> str:
    """The address of the newest link in a mail, without our own part."""
    links = [found for mail in await house.mails(to) for found in re.findall(r"https?://\S+\?token=\S+", mail.text)]
    assert links[-1].startswith(house.auth.settings.public_url)
    return str(links[-1].removeprefix(house.auth.settings.public_url))


async def change(house: House) -> tuple[str, str]:
    """Somebody asks for another address; the links that confirm and undo."""
    ada = await house.register()
    house.clock.tick(seconds=1)
    answer = await ada.post("/users/me/email", {"new_email": NEW, "password": PASSWORD})
    assert answer.status_code == 202
    return await link(house, NEW), await link(house, ADA)


async def stored(house: House) -> list[tuple[str, bool]]:
    return [(row["email"], row["is_verified"]) for row in await house.rows("users")]


async def test_the_button_of_the_page_verifies(house: House) -> None:
    await house.register()
    page = await open_page(house, await link(house, ADA))
    assert (page.status, page.language) == (200, "en")
    for told in (ADA, "2026-11-21 09:30 UTC", "198.51.100.7"):
        assert told in page.text

    done = await press(house, page.forms[0])

    assert (done.status, done.forms) == (200, [])
    assert ADA in done.text
    assert await stored(house) == [(ADA, True)]


async def test_t41_this_was_not_me_deletes_the_account_that_somebody_made(house: House) -> None:
    thief = await house.register()
    page = await open_page(house, await link(house, ADA))
    assert "not me" in page.forms[1].button

    assert (await press(house, page.forms[1])).status == 200

    assert await stored(house) == []
    assert not await thief.is_in()
    assert [row["actor_id"] for row in await house.rows("audit_events", kind="user_deleted")] == [None]


async def test_t41_a_later_link_offers_not_me_too(house: House) -> None:
    await house.register()
    await house.mails()
    house.clock.tick(hours=1)
    await house.client.post("/auth/request-verify-token", json={"email": ADA})
    page = await open_page(house, await link(house, ADA))

    await press(house, page.forms[1])

    assert await stored(house) == []


async def test_t41_a_link_of_weeks_later_still_offers_not_me(house: House) -> None:
    await house.register()
    await house.mails()
    for _ in range(3):
        for _ in range(3):
            house.clock.tick(seconds=1)
            await house.client.post("/auth/request-verify-token", json={"email": ADA})
            await house.mails()
        house.clock.tick(days=9)
        await house.auth.worker.run_due()
    assert len(await house.rows("one_time_tokens")) == 1
    await house.client.post("/auth/request-verify-token", json={"email": ADA})

    page = await open_page(house, await link(house, ADA))
    assert "198.51.100.7" in page.text
    await press(house, page.forms[1])

    assert await stored(house) == []


async def test_what_tells_of_a_registration_goes_once_the_address_is_verified(house: House) -> None:
    await house.register()
    await press(house, (await open_page(house, await link(house, ADA))).forms[0])

    house.clock.tick(days=9)
    await house.auth.worker.run_due()

    assert await house.rows("one_time_tokens") == []


async def test_who_was_made_a_superuser_meanwhile_is_not_the_mails_readers_to_delete(house: House) -> None:
    root = await house.superuser()
    ada = await house.register()
    path = await link(house, ADA)
    before = await open_page(house, path)
    await root.patch(f"/users/{ada.id}", {"is_superuser": True})

    assert (await press(house, before.forms[1])).status == 400
    assert len((await open_page(house, path)).forms) == 1
    assert (ADA, False) in await stored(house)


async def test_t41_who_verified_cannot_be_disowned_by_an_old_page(house: House) -> None:
    await house.register()
    page = await open_page(house, await link(house, ADA))
    await press(house, page.forms[0])

    assert (await press(house, page.forms[1])).status == 400

    assert await stored(house) == [(ADA, True)]


async def test_an_account_that_got_the_address_by_a_slip_is_not_its_holders_to_delete(house: House) -> None:
    root = await house.superuser()
    ada = await house.register()
    await root.patch(f"/users/{ada.id}", {"email": "slip@example.com"})
    await house.client.post("/auth/request-verify-token", json={"email": "slip@example.com"})
    path = await link(house, "slip@example.com")
    house.clock.tick(seconds=1)
    await house.mails()
    await house.client.post("/auth/request-verify-token", json={"email": "slip@example.com"})
    page = await open_page(house, await link(house, "slip@example.com"))

    assert len(page.forms) == 1
    forged = page.forms[0]
    forged.fields["not_me"] = "yes"
    assert (await press(house, forged)).status == 400
    assert ("slip@example.com", False) in await stored(house)
    assert path.startswith("/verify-email?")


async def test_t41_a_registration_that_waits_can_be_disowned(make_house: MakeHouse) -> None:
    house = await make_house(private_registration=True)
    await house.client.post("/auth/register", json={"email": ADA, "password": PASSWORD})
    path = await link(house, ADA)
    page = await open_page(house, path)
    for told in (ADA, "2026-11-21 09:30 UTC", "198.51.100.7"):
        assert told in page.text

    await press(house, page.forms[1])

    assert (await press(house, page.forms[0])).status == 400
    assert (await open_page(house, path)).status == 400
    assert await stored(house) == []


async def test_the_button_of_the_page_finishes_a_registration(make_house: MakeHouse) -> None:
    house = await make_house(private_registration=True)
    await house.client.post("/auth/register", json={"email": ADA, "password": PASSWORD})

    await press(house, (await open_page(house, await link(house, ADA))).forms[0])

    assert await stored(house) == [(ADA, True)]
    assert await (await house.log_in(ADA)).is_in()


async def test_the_buttons_of_the_pages_confirm_and_undo(house: House) -> None:
    confirm, undo = await change(house)

    done = await press(house, (await open_page(house, confirm)).forms[0])
    assert (done.status, NEW in done.text) == (200, True)
    assert await stored(house) == [(NEW, True)]

    assert (await press(house, (await open_page(house, undo)).forms[0])).status == 200
    assert await stored(house) == [(ADA, True)]


async def test_t35_looking_at_a_link_uses_nothing_up_and_writes_nothing(house: House) -> None:
    confirm, undo = await change(house)
    verify = next(
        found.removeprefix(house.auth.settings.public_url)
        for mail in await house.mails(ADA)
        for found in re.findall(r"https?://\S+/verify-email\?token=\S+", mail.text)
    )
    before = await house.rows("users"), await house.rows("one_time_tokens"), await house.rows("mails")

    for path in (verify, confirm, undo):
        with house.statements() as statements:
            for _ in range(3):
                assert (await house.client.get(path)).status_code == 200
                head = await house.client.head(path)
                assert (head.status_code, head.content) == (200, b"")
        assert [text for text in statements if not text.lstrip().upper().startswith("SELECT")] == []

    assert (await house.rows("users"), await house.rows("one_time_tokens"), await house.rows("mails")) == before
    for path, result in ((verify, (ADA, True)), (confirm, (NEW, True)), (undo, (ADA, True))):
        assert (await press(house, (await open_page(house, path)).forms[0])).status == 200
        assert await stored(house) == [result]


@pytest.mark.parametrize("path", ["/verify-email", "/confirm-email", "/undo-email"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_t35_other_methods_do_nothing(house: House, path: str, method: str) -> None:
    answer = await house.client.request(method, path)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_t34_a_page_with_a_token_tells_nobody_of_it(house: House) -> None:
    confirm, undo = await change(house)
    for path in (confirm, undo, await link(house, NEW)):
        page = await open_page(house, path)

        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; frame-ancestors 'none';"
            " base-uri 'none'"
        )
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in page.headers
        assert page.loads == ["pages/page.css", "pages/page.js"]
        assert [("?" in form.action, form.method) for form in page.forms] == [(False, "post")] * len(page.forms)
        # No loads and no links but these two: the token is in the field of the form alone.
        token = path.partition("?token=")[2]
        assert page.html.count(token) == len(page.forms)


async def test_t34_the_script_takes_the_token_out_of_the_address(house: House) -> None:
    style, script = [await house.client.get(f"/pages/{name}") for name in ("page.css", "page.js")]

    assert [style.status_code, script.status_code] == [200, 200]
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "history.replaceState" in script.text
    for name in ("page.html", "en.toml", "..%2fpages.py", "nothing.js"):
        assert (await house.client.get(f"/pages/{name}")).status_code == 404


async def test_t34_no_route_but_the_pages_takes_a_token_from_the_query(house: House) -> None:
    confirm, undo = await change(house)
    for path in (confirm, undo):
        where, _, token = path.partition("?token=")
        for target in (where, f"/auth{where}"):
            answer = await house.client.post(f"{target}?token={token}", data={}, headers=OURS)
            assert answer.status_code in (400, 415, 422), target
    assert await stored(house) == [(ADA, False)]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_t30_no_foreign_page_presses_a_button(house: House, headers: dict[str, str]) -> None:
    confirm, undo = await change(house)
    before = await house.rows("users"), await house.rows("one_time_tokens")
    for path in (confirm, undo):
        form = (await open_page(house, path)).forms[0]
        page = read(await house.client.post(f"/{form.action}", data=form.fields, headers=headers))
        assert page.status == 403
    assert (await house.rows("users"), await house.rows("one_time_tokens")) == before


@pytest.mark.parametrize("path", ["/verify-email", "/confirm-email", "/undo-email"])
async def test_what_is_no_form_is_refused(house: House, path: str) -> None:
    for content, kind, status in (
        (b'{"token": "x"}', "application/json", 415),
        (b"token=x", "text/plain", 415),
        (b"token=x", "", 415),
        (b"token=x&token=y", "application/x-www-form-urlencoded", 400),
        (b"token=%zz", "application/x-www-form-urlencoded", 400),
        (b"token=%00", "application/x-www-form-urlencoded", 422),
        (b"", "application/x-www-form-urlencoded", 400),
        (b"token=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
    ):
        headers = OURS | ({"Content-Type": kind} if kind else {})
        answer = await house.client.post(path, content=content, headers=headers)
        assert answer.status_code == status, (content[:20], kind)
        assert read(answer).title


@pytest.mark.parametrize("path", ["/verify-email", "/confirm-email", "/undo-email"])
@pytest.mark.parametrize("query", ["", "?token=", "?tokens=x", "?token=" + "x" * 101])
async def test_a_link_that_lost_its_token_says_so(house: House, path: str, query: str) -> None:
    page = await open_page(house, path + query)

    assert (page.status, page.forms) == (400, [])
    assert page.title == "Invalid link"


async def test_an_expired_link_says_so_and_what_to_do(house: House) -> None:
    await house.register()
    path = await link(house, ADA)
    house.clock.tick(days=2)

    page = await open_page(house, path)

    assert (page.status, page.title) == (400, "Link expired")


async def test_what_comes_in_a_link_is_shown_as_text(house: House) -> None:
    page = await open_page(house, '/confirm-email?token="><script>alert(1)</script>')

    assert "<script>alert" not in page.html
    assert page.forms[0].fields["token"] == '"><script>alert(1)</script>'


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("de, en;q=0.5, ru;q=0.9", "ru"),
        ("de", "en"),
        ("ru;q=0", "en"),
        ("", "en"),
    ],
)
async def test_a_page_speaks_the_readers_language(house: House, header: str, language: str) -> None:
    for path in ("/confirm-email?token=x", "/confirm-email"):
        page = await open_page(house, path, headers={"Accept-Language": header})
        assert (page.language, page.headers["content-language"]) == (language, language)
        assert bool(re.search("[а-я]", page.text)) == (language == "ru")


async def test_a_page_speaks_the_default_language_to_who_names_none(make_house: MakeHouse) -> None:
    house = await make_house(default_locale="ru")

    assert (await open_page(house, "/confirm-email?token=x")).language == "ru"


def test_every_page_is_there_in_every_language_with_the_same_words() -> None:
    english, russian = page_texts("en"), page_texts("ru")
    names = {name: set(texts) for name, texts in english.items() if name not in ("refusals", "faults")}

    assert names == {name: set(texts) for name, texts in russian.items() if name not in ("refusals", "faults")}
    for name in names:
        placeholders = [sorted(re.findall(r"\{\w+\}", " ".join(texts[name]["text"]))) for texts in (english, russian)]
        assert placeholders[0] == placeholders[1], name
    assert {path.name for path in files("propusk.web").joinpath("templates").iterdir()} >= {"en.toml", "ru.toml"}


FORGED: list[dict[str, str]] = [
    {"Host": "evil.example"},
    {"Host": "127.0.0.1:80@evil.example"},
    {"X-Forwarded-Host": "evil.example"},
    {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil"},
    {"Forwarded": "host=evil.example;proto=https"},
    {"X-Original-URL": "https://evil.example/", "X-Host": "evil.example"},
]


@pytest.mark.parametrize("headers", FORGED)
async def test_t38_links_come_from_the_settings_whatever_host_is_asked_for(
    make_house: MakeHouse, headers: dict[str, str]
) -> None:
    house = await make_house(public_url="https://id.example.com", trusted_proxies=["198.51.100.0/24"])
    client = house.client
    await client.post("/auth/register", json={"email": ADA, "password": PASSWORD}, headers=headers)
    await client.post("/auth/request-verify-token", json={"email": ADA}, headers=headers)
    ada = await house.log_in(ADA)
    await ada.client.post(
        "/users/me/email", json={"new_email": NEW, "password": PASSWORD}, headers={**ada.bearer, **headers}
    )

    mails = await house.mails()

    assert len(mails) == 4
    for mail in mails:
        assert "evil" not in mail.text + mail.html + mail.message_id + mail.sender
        (found,) = re.findall(r"https?://\S+", mail.text)
        assert found.startswith("https://id.example.com/")
    page = await open_page(house, "/confirm-email?token=x", headers=headers)
    assert "evil" not in page.html + str(page.headers)


async def test_a_limit_that_is_passed_is_a_page_with_its_header(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits())
    page = await open_page(house, "/confirm-email?token=x")
    assert page.status == 200
    assert (await house.client.get("/openapi.json")).json()["paths"].keys().isdisjoint({"/confirm-email"})
