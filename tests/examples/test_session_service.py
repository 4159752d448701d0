"""The session service: each row of what its clients know, and that what was ended is dead."""

import json
from itertools import product
from pathlib import Path
from uuid import UUID

import httpx
from joserfc import jws

from tests.examples.conftest import Example, StartExample
from tests.examples.kit import follow, mailed_link, running

DATABASES = ("sqlite", "postgresql")
NAME = "session_service"
ADA = {"email": "ada@example.com", "password": "zq7canary old horse"}
BOB = {"email": "bob@example.com", "password": "zq7canary new mare"}
DEAD = "The access token is not valid, has expired, or its session has ended."


class Device:
    """A browser with a cookie jar of its own."""

    def __init__(self, example: Example) -> None:
        transport = httpx.ASGITransport(example.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
        self.session_uuid = ""

    async def log_in(self, who: dict[str, str]) -> httpx.Response:
        answer = await self.client.post("/auth/login", json=who)
        assert answer.status_code == 200, answer.text
        self.session_uuid = answer.json()["session_uuid"]
        return answer

    @property
    def cookies(self) -> dict[str, str]:
        return {name: self.client.cookies[name] for name in ("access_token", "refresh_token")}

    async def with_cookies(self, cookies: dict[str, str], method: str, path: str) -> int:
        """The status of a request with these cookies instead of one's own."""
        jar = "; ".join(f"{name}={value}" for name, value in cookies.items())
        transport = self.client._transport
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as other:
            return (await other.request(method, path, headers={"cookie": jar})).status_code

    async def is_in(self) -> bool:
        status = (await self.client.get("/auth/me")).status_code
        assert status in (200, 401)
        return status == 200


async def registered(example: Example, *people: dict[str, str]) -> None:
    for person in people:
        assert (await example.client.post("/auth/register", json=person)).status_code == 201


async def device(example: Example, who: dict[str, str] = ADA) -> Device:
    """Somebody logged in on one more device."""
    found = Device(example)
    await found.log_in(who)
    return found


async def test_an_address_is_registered_once(start_example: StartExample) -> None:
    example = await start_example(NAME)

    answer = await example.client.post("/auth/register", json=ADA)
    assert (answer.status_code, sorted(answer.json())) == (201, ["email", "id"])
    assert answer.json()["email"] == "ada@example.com"
    assert str(UUID(answer.json()["id"])) == answer.json()["id"]
    answer = await example.client.post("/auth/register", json=ADA | {"email": "ADA@Example.com"})
    assert (answer.status_code, answer.json()) == (409, {"detail": "Another user has this e-mail address."})


async def test_a_login_gives_two_cookies_that_no_script_reads(start_example: StartExample) -> None:
    example = await start_example(NAME)
    person = (await example.client.post("/auth/register", json=ADA)).json()
    laptop = Device(example)

    answer = await laptop.log_in(ADA)
    assert answer.json() == {"session_uuid": str(UUID(laptop.session_uuid))}
    lines = answer.headers.get_list("set-cookie")
    assert [line.partition("=")[0] for line in lines] == ["access_token", "refresh_token"]
    assert all("; HttpOnly; SameSite=Lax" in line and "Domain" not in line for line in lines)
    assert answer.headers["cache-control"] == "no-store"
    answer = await laptop.client.get("/auth/me")
    assert (answer.status_code, answer.json()) == (200, person)
    claims = json.loads(jws.extract_compact(laptop.cookies["access_token"].encode()).payload)
    assert claims["sid"] == laptop.session_uuid


async def test_wrong_and_unknown_are_told_alike(start_example: StartExample) -> None:
    example = await start_example(NAME)
    await registered(example, ADA)

    for who in (ADA | {"password": "zq7canary wrong"}, BOB, ADA | {"email": "no address"}):
        answer = await example.client.post("/auth/login", json=who)
        assert (answer.status_code, answer.json()) == (401, {"detail": "No user has this login and this password."})
        assert "set-cookie" not in answer.headers


async def test_a_refresh_gives_new_cookies_of_the_same_session(start_example: StartExample) -> None:
    example = await start_example(NAME)
    await registered(example, ADA)
    laptop = await device(example)
    before = laptop.cookies

    answer = await laptop.client.post("/auth/refresh")
    assert (answer.status_code, answer.json()) == (200, {"session_uuid": laptop.session_uuid})
    assert set(before.values()).isdisjoint(laptop.cookies.values())
    assert await laptop.is_in()


async def test_a_refresh_token_that_comes_back_ends_the_session(start_example: StartExample) -> None:
    example = await start_example(NAME, PROPUSK_REFRESH_GRACE="0s")
    await registered(example, ADA)
    laptop, phone = await device(example), await device(example)
    used = {"refresh_token": laptop.cookies["refresh_token"]}
    assert (await laptop.client.post("/auth/refresh")).status_code == 200

    assert await laptop.with_cookies(used, "POST", "/auth/refresh") == 401
    assert not await laptop.is_in()
    assert (await laptop.client.post("/auth/refresh")).status_code == 401
    assert await phone.is_in()


async def test_without_a_good_refresh_cookie_nothing_is_refreshed(start_example: StartExample) -> None:
    example = await start_example(NAME)
    await registered(example, ADA)
    laptop = await device(example)

    for cookies in ({}, {"refresh_token": "rubbish"}, {"refresh_token": laptop.cookies["access_token"]}):
        assert await laptop.with_cookies(cookies, "POST", "/auth/refresh") == 401
    foreign = await laptop.client.post("/auth/refresh", headers={"origin": "https://evil.example"})
    assert (foreign.status_code, list(foreign.json())) == (403, ["detail"])
    assert await laptop.is_in()


async def test_a_logout_kills_the_session_and_both_its_tokens(start_example: StartExample) -> None:
    example = await start_example(NAME)
    await registered(example, ADA)
    laptop, phone = await device(example), await device(example)
    cookies = laptop.cookies

    answer = await laptop.client.post("/auth/logout")
    assert (answer.status_code, answer.content) == (204, b"")
    assert dict(laptop.client.cookies) == {}
    for method, path in (("GET", "/auth/me"), ("GET", "/auth/sessions"), ("POST", "/auth/refresh")):
        assert await laptop.with_cookies(cookies, method, path) == 401
    assert await phone.is_in()
    assert [one["current"] for one in (await phone.client.get("/auth/sessions")).json()] == [True]


async def test_a_logout_needs_no_more_than_the_refresh_cookie(start_example: StartExample) -> None:
    example = await start_example(NAME)
    await registered(example, ADA)
    laptop, phone = await device(example), await device(example)
    before = laptop.cookies

    laptop.client.cookies.delete("access_token")  # as after its ten minutes
    answer = await laptop.client.post("/auth/logout")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "refresh_token" not in laptop.client.cookies
    assert await laptop.with_cookies(before, "GET", "/auth/me") == 401
    assert await laptop.with_cookies(before, "POST", "/auth/refresh") == 401
    assert await phone.is_in()
    assert (await laptop.client.post("/auth/logout")).status_code == 401


async def test_t30_a_foreign_page_logs_nobody_in_or_out(start_example: StartExample) -> None:
    example = await start_example(NAME)
    await registered(example, ADA)
    laptop = await device(example)

    for path in ("/auth/login", "/auth/refresh", "/auth/logout", "/auth/abort"):
        answer = await laptop.client.post(path, json=ADA, headers={"Sec-Fetch-Site": "cross-site"})
        assert (answer.status_code, list(answer.json())) == (403, ["detail"]), path
        assert "set-cookie" not in answer.headers
    assert len((await laptop.client.get("/auth/sessions")).json()) == 1


async def test_an_abort_ends_every_session_of_this_user_and_of_nobody_else(start_example: StartExample) -> None:
    example = await start_example(NAME)
    await registered(example, ADA, BOB)
    laptop, phone, bobs = await device(example), await device(example), await device(example, BOB)
    cookies = laptop.cookies

    answer = await laptop.client.post("/auth/abort")
    assert (answer.status_code, answer.json()) == (200, {"aborted": 2})
    assert dict(laptop.client.cookies) == {}
    for method, path in (("GET", "/auth/me"), ("POST", "/auth/refresh"), ("POST", "/auth/abort")):
        assert await laptop.with_cookies(cookies, method, path) == 401
    assert not await phone.is_in()
    assert await bobs.is_in()
    assert await (await device(example)).is_in(), "one can log in again"


async def test_active_sessions_are_listed_and_no_others(start_example: StartExample) -> None:
    example = await start_example(NAME)
    await registered(example, ADA, BOB)
    laptop, phone, ended = await device(example), await device(example), await device(example)
    await device(example, BOB)
    await ended.client.post("/auth/logout")

    listed = (await phone.client.get("/auth/sessions")).json()
    assert {one["session_uuid"]: one["current"] for one in listed} == {
        laptop.session_uuid: False,
        phone.session_uuid: True,
    }
    assert all(sorted(one) == ["created_at", "current", "ip", "session_uuid"] for one in listed)
    assert all(one["ip"] == "127.0.0.1" and one["created_at"].endswith("Z") for one in listed)


async def test_who_is_not_logged_in_gets_nowhere(start_example: StartExample) -> None:
    example = await start_example(NAME)
    stranger = Device(example)
    routes = ("GET /auth/me", "GET /auth/sessions", "POST /auth/refresh", "POST /auth/logout", "POST /auth/abort")
    jars: list[dict[str, str]] = [{}, {"access_token": "rubbish"}, {"access_token": "", "refresh_token": ""}]
    for cookies, route in product(jars, routes):
        assert await stranger.with_cookies(cookies, *route.split()) == 401, (route, cookies)


MALFORMED = ("{", "[]", "{}", '{"email": "ada@example.com"}', '{"email": 7, "password": ["\\ud800"]}', '{"email": NaN}')


async def test_a_malformed_body_is_a_422_and_nothing_of_it_is_repeated(start_example: StartExample) -> None:
    example = await start_example(NAME)
    for body, path in product(MALFORMED, ("/auth/register", "/auth/login")):
        answer = await example.client.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422, (path, body)
        assert all(sorted(fault) == ["loc", "msg", "type"] for fault in answer.json()["detail"])


async def test_what_may_not_be_registered_is_told_by_field(start_example: StartExample) -> None:
    example = await start_example(NAME)
    for bad, field in (({"email": "ada"}, "email"), ({"password": "short"}, "password")):
        answer = await example.client.post("/auth/register", json=ADA | bad)
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", field])


async def test_the_link_of_the_mail_that_a_registration_sends_opens_a_page(start_example: StartExample) -> None:
    example = await start_example(NAME)
    await registered(example, ADA)
    link = await mailed_link(example.auth, "verify-email", ADA["email"])
    assert (await example.client.get(link)).status_code == 200
    assert (await example.client.get("/auth/login")).status_code == 405
    for path in ("/users/me", "/auth/verify", "/nowhere"):
        answer = await example.client.get(path)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


async def test_the_document_names_the_cookie(start_example: StartExample) -> None:
    example = await start_example(NAME)
    document = (await example.client.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["cookie"]["name"] == "access_token"
    assert set(document["paths"]) == {
        f"/auth/{name}" for name in ("register", "login", "refresh", "logout", "abort", "sessions", "me")
    }


def test_the_readme_does_what_it_says(database: dict[str, str], tmp_path: Path) -> None:
    with running(NAME, tmp_path, database) as url:
        follow(NAME, url, tmp_path)
