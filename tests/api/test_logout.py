"""Logout ends the session at once, whichever of its credentials asks, and leaves nothing in the browser."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, Person

SAME = {"Sec-Fetch-Site": "same-origin"}


async def browser(house: House, email: str = "ada@example.com") -> httpx.AsyncClient:
    """A browser in which somebody has logged in."""
    client = house.new_client(headers=SAME)
    await log_in(client, email)
    return client


async def log_in(client: httpx.AsyncClient, email: str) -> httpx.Response:
    answer = await client.post("/auth/login?transport=cookie", json={"login": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return answer


def cleared(answer: httpx.Response) -> set[str]:
    lines = answer.headers.get_list("set-cookie")
    return {line.partition("=")[0] for line in lines if "=; Max-Age=0; " in line}


BOTH = {"propusk_access", "propusk_refresh"}


async def test_t23_logout_by_bearer_ends_the_session_and_sets_no_cookie(house: House) -> None:
    ada = await house.register()
    other = await ada.log_in()
    answer = await ada.post("/auth/logout")
    assert answer.status_code == 204
    assert answer.content == b""
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert "set-cookie" not in answer.headers
    assert not await ada.is_in()
    assert await other.is_in()


async def test_t23_logout_by_the_refresh_token_alone(house: House) -> None:
    ada = await house.register()
    house.clock.tick(hours=1)
    assert not await ada.is_in()
    answer = await ada.client.post("/auth/logout", json={"refresh_token": ada.tokens["refresh_token"]})
    assert answer.status_code == 204
    assert (await ada.refresh()).json()["code"] == "invalid_refresh_token"


async def test_t23_logout_by_an_older_authentic_refresh_token_is_no_theft(house: House) -> None:
    ada = await house.register()
    oldest = ada.tokens["refresh_token"]
    for _ in range(3):
        await ada.refresh()
    house.clock.tick(minutes=5)
    assert (await ada.client.post("/auth/logout", json={"refresh_token": oldest})).status_code == 204
    assert not await ada.is_in()
    kinds = [row["kind"] for row in await house.rows("audit_events")]
    assert kinds.count("logged_out") == 1
    assert "refresh_token_reuse_detected" not in kinds


async def test_t23_a_second_logout_is_a_401(house: House) -> None:
    ada = await house.register()
    await ada.post("/auth/logout")
    last = await ada.post("/auth/logout")
    assert last.status_code == 401
    assert last.json()["code"] == "invalid_access_token"
    body = {"refresh_token": ada.tokens["refresh_token"]}
    by_token = await ada.client.post("/auth/logout", json=body)
    assert (by_token.status_code, by_token.json()["code"]) == (401, "invalid_refresh_token")
    assert len(await house.rows("audit_events", kind="logged_out")) == 1


async def test_t23_logout_by_cookies_clears_them(house: House) -> None:
    await house.register()
    client = await browser(house)
    assert (await client.get("/users/me")).status_code == 200
    kept = dict(client.cookies)

    answer = await client.post("/auth/logout")
    assert answer.status_code == 204
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert cleared(answer) == BOTH
    assert dict(client.cookies) == {}

    again = house.new_client(cookies=kept, headers=SAME)
    assert (await again.get("/users/me")).status_code == 401
    assert (await again.post("/auth/refresh")).status_code == 401


@pytest.mark.parametrize("which", ["propusk_access", "propusk_refresh"])
async def test_t23_one_of_the_two_cookies_is_enough(house: House, which: str) -> None:
    await house.register()
    client = await browser(house)
    half = house.new_client(cookies={which: client.cookies[which]}, headers=SAME)
    answer = await half.post("/auth/logout")
    assert answer.status_code == 204
    assert cleared(answer) == BOTH
    assert (await client.get("/users/me")).status_code == 401


@pytest.mark.parametrize(
    "cookies",
    [
        {},
        {"propusk_access": "zq7canary"},
        {"propusk_refresh": "zq7canary"},
        {"propusk_access": "a", "propusk_refresh": "b"},
    ],
)
async def test_t23_a_logout_that_fails_still_clears_the_cookies(house: House, cookies: dict[str, str]) -> None:
    answer = await house.new_client(cookies=cookies, headers=SAME).post("/auth/logout")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert cleared(answer) == BOTH


async def test_t23_a_second_logout_by_cookies_is_a_401_that_clears_them(house: House) -> None:
    await house.register()
    client = await browser(house)
    kept = dict(client.cookies)
    await client.post("/auth/logout")
    answer = await house.new_client(cookies=kept, headers=SAME).post("/auth/logout")
    assert answer.status_code == 401
    assert cleared(answer) == BOTH


async def test_t23_the_access_cookie_alone_logs_out_of_a_network_that_is_limited_for_bad_refresh_tokens(
    make_house: MakeHouse,
) -> None:
    from propusk.setting_types import Limit
    from propusk.settings import LimitSettings

    house = await make_house(limits=LimitSettings(refresh=Limit(3, timedelta(minutes=1))))
    await house.register()
    client = await browser(house)
    tries = [await house.client.post("/auth/refresh", json={"refresh_token": "zq7canary"}) for _ in range(5)]
    assert [answer.status_code for answer in tries] == [401] * 3 + [429] * 2
    half = house.new_client(cookies={"propusk_access": client.cookies["propusk_access"]}, headers=SAME)
    assert (await half.post("/auth/logout")).status_code == 204
    assert (await client.get("/users/me")).status_code == 401


async def test_t26_logout_ends_both_sessions_of_a_swapped_pair(house: House) -> None:
    await house.register()
    await house.register("bob@example.com")
    ada, bob = await browser(house), await browser(house, "bob@example.com")
    mixed = {"propusk_access": ada.cookies["propusk_access"], "propusk_refresh": bob.cookies["propusk_refresh"]}
    assert (await house.new_client(cookies=mixed, headers=SAME).post("/auth/logout")).status_code == 204
    for client in (ada, bob):
        assert (await client.get("/users/me")).status_code == 401
        assert (await client.post("/auth/refresh")).status_code == 401


async def test_t23_a_refresh_token_in_the_body_wins_over_the_cookies(house: House) -> None:
    ada = await house.register()
    client = await browser(house)
    answer = await client.post("/auth/logout", json={"refresh_token": ada.tokens["refresh_token"]})
    assert answer.status_code == 204
    assert not await ada.is_in()
    assert (await client.get("/users/me")).status_code == 200


async def test_t23_a_logout_with_a_bearer_is_judged_by_it_and_not_by_the_cookies(house: House) -> None:
    ada = await house.register()
    client = await browser(house)
    answer = await client.post("/auth/logout", headers=ada.bearer)
    assert answer.status_code == 204
    assert "set-cookie" not in answer.headers
    assert not await ada.is_in()
    assert (await client.get("/users/me")).status_code == 200

    answer = await client.post("/auth/logout", headers={"Authorization": "Bearer zq7canary"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert (await client.get("/users/me")).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}, {"Origin": "https://evil.example"}]
)
@pytest.mark.parametrize("with_cookies", [True, False])
async def test_t30_a_foreign_page_cannot_make_a_browser_log_out(
    house: House, headers: dict[str, str], with_cookies: bool
) -> None:
    """A browser leaves SameSite cookies out of a foreign page's form, but would obey the lines that clear them."""
    await house.register()
    client = await browser(house)
    foreign = house.new_client(cookies=dict(client.cookies) if with_cookies else {}, headers=headers)
    answer = await foreign.post("/auth/logout")
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
    assert "set-cookie" not in answer.headers
    assert (await client.get("/users/me")).status_code == 200


async def test_t23_logout_of_many_at_once_ends_the_session_once(house: House) -> None:
    import asyncio

    ada = await house.register()

    async def by(json: Any, headers: Any) -> int:
        return (await ada.client.post("/auth/logout", json=json, headers=headers)).status_code

    ways: list[tuple[Any, Any]] = [(None, ada.bearer), ({"refresh_token": ada.tokens["refresh_token"]}, {})] * 8
    statuses = await asyncio.gather(*(by(*way) for way in ways))
    assert sorted(statuses) == [204] + [401] * 15
    assert len(await house.rows("audit_events", kind="logged_out")) == 1


@pytest.mark.parametrize("change", ["deactivate", "delete"])
async def test_t24_a_session_of_somebody_who_is_gone_cannot_log_out_twice(house: House, change: str) -> None:
    root = await house.superuser()
    ada = await house.register()
    if change == "deactivate":
        assert (await root.patch(f"/users/{ada.id}", {"is_active": False})).status_code == 200
    else:
        assert (await root.delete(f"/users/{ada.id}")).status_code == 204
    assert (await ada.post("/auth/logout")).status_code == 401
    assert (await ada.refresh()).status_code == 401
    body = {"refresh_token": ada.tokens["refresh_token"]}
    assert (
        await Person(house, "", "", "", house.new_client()).client.post("/auth/logout", json=body)
    ).status_code == 401
