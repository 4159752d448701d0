"""`/reset-password`, which the link in the mail opens."""

import re
from html import unescape

import httpx
import pytest

from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House

NEW = "zq7canary new horse"


async def new_link(house: House) -> str:
    """The link that a mail brought, as a path."""
    await house.mails()
    await house.client.post("/auth/forgot-password", json={"email": "ada@example.com"})
    mail = await house.last_mail("ada@example.com")
    found = re.search(r"https?://[^/\s]+(/reset-password\?token=\S+)", mail.text)
    assert found, mail.text
    return found[1]


async def send(house: House, page: httpx.Response, password: str = NEW, **changes: str) -> httpx.Response:
    """Fill in the one field of a page and press its button, as a browser does."""
    (action,) = re.findall(r'<form method="post" action="([^"]+)">', page.text)
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)
    fields = {name: unescape(value) for name, value in hidden} | {"password": password} | changes
    target = page.url.join(action)
    return await house.client.post(target, data=fields, headers={"Sec-Fetch-Site": "same-origin"})


async def can_log_in(house: House, password: str) -> bool:
    answer = await house.client.post("/auth/login", json={"login": "ada@example.com", "password": password})
    return answer.status_code == 200


async def test_a_person_follows_the_link_and_sets_a_password(house: House) -> None:
    ada = await house.register()

    page = await house.client.get(await new_link(house))
    assert page.status_code == 200
    assert 'type="password" name="password" autocomplete="new-password"' in page.text
    done = await send(house, page)

    assert (done.status_code, "<form" in done.text) == (200, False)
    assert "set-cookie" not in done.headers
    assert await can_log_in(house, NEW)
    assert not await can_log_in(house, PASSWORD)
    assert not await ada.is_in()


async def test_t35_looking_at_the_page_uses_nothing_up(house: House) -> None:
    await house.register()
    link = await new_link(house)

    for _ in range(3):
        assert (await house.client.get(link)).status_code == 200
        head = await house.client.head(link)
        assert (head.status_code, head.content) == (200, b"")

    assert await can_log_in(house, PASSWORD)
    assert (await send(house, await house.client.get(link))).status_code == 200


async def test_t34_the_token_stays_where_it_is(house: House) -> None:
    await house.register()
    link = await new_link(house)
    token = link.partition("=")[2]

    page = await house.client.get(link)

    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.text.count(token) == 1, "in the form, and nowhere else"
    assert not re.search(r"""(src|href|action)=["'](https?:)?//""", page.text)
    done = await send(house, page)
    assert token not in done.text


@pytest.mark.parametrize("password", ["short", "Ada.example1", "zq7canary" * 30, ""])
async def test_a_password_that_may_not_be_set_is_asked_for_again_and_the_link_is_kept(
    house: House, password: str
) -> None:
    await house.register()

    again = await send(house, await house.client.get(await new_link(house)), password)

    assert again.status_code == 422
    assert 'role="alert"' in again.text
    if password:
        assert password not in again.text
    assert await can_log_in(house, PASSWORD)
    assert (await send(house, again)).status_code == 200
    assert await can_log_in(house, NEW)


async def test_a_used_or_expired_link_says_so_and_has_no_form(house: House) -> None:
    await house.register()
    used, old = await new_link(house), await new_link(house)
    page = await house.client.get(used)
    house.clock.tick(hours=1)
    expired = await house.client.get(old)
    assert (expired.status_code, "<form" in expired.text) == (400, False)
    assert "expired" in expired.text

    late = await send(house, page)
    assert (late.status_code, "<form" in late.text) == (400, False)

    fresh = await new_link(house)
    page = await house.client.get(fresh)
    assert (await send(house, page)).status_code == 200
    for answer in (await send(house, page, "zq7canary newer horse"), await house.client.get(fresh)):
        assert (answer.status_code, "<form" in answer.text) == (400, False)
        assert answer.headers["content-type"].startswith("text/html")
    assert await can_log_in(house, NEW)


@pytest.mark.parametrize("query", ["", "?token=", "?token=zq7canary", "?token=" + "A" * 48, "?token=" + "A" * 5000])
async def test_what_is_no_link_of_ours_is_refused_as_a_page(house: House, query: str) -> None:
    answer = await house.client.get(f"/reset-password{query}")

    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert "<form" not in answer.text
    assert "zq7canary" not in answer.text


@pytest.mark.parametrize("token", ["", "zq7canary", "<script>alert(1)</script>", "A" * 5000])
async def test_the_form_without_a_good_token_is_refused_before_the_password_is_judged(house: House, token: str) -> None:
    headers = {"Sec-Fetch-Site": "same-origin"}

    answer = await house.client.post("/reset-password", data={"token": token, "password": "short"}, headers=headers)

    assert answer.status_code == 400
    assert "<script>alert" not in answer.text


async def test_the_form_is_taken_from_our_own_pages_alone(house: House) -> None:
    await house.register()
    page = await house.client.get(await new_link(house))
    token = re.findall(r'name="token" value="([^"]+)"', page.text)[0]

    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        fields = {"token": token, "password": NEW}
        answer = await house.client.post("/reset-password", data=fields, headers=headers)
        assert answer.status_code == 403

    assert await can_log_in(house, PASSWORD)
    assert (await send(house, page)).status_code == 200


async def test_the_page_speaks_the_readers_language(make_house: MakeHouse) -> None:
    house = await make_house()
    await house.register()

    page = await house.client.get(await new_link(house), headers={"Accept-Language": "ru"})

    assert '<html lang="ru">' in page.text
    assert "Новый пароль" in page.text
