"""Every unsafe request with our cookies, or that would set them, must come from a page of ours."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.kit import PASSWORD, House

pytestmark = pytest.mark.one_database

OURS = "http://127.0.0.1:8000"
FOREIGN: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": OURS},
    {"Sec-Fetch-Site": "Same-Origin"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:8001"},
    {"Origin": "https://127.0.0.1:8000"},
    {"Origin": "https://evil.example", "X-HTTP-Method-Override": "GET"},
]
NEAR: list[dict[str, str]] = [
    {},
    {"Sec-Fetch-Site": "same-origin"},
    {"Origin": OURS},
    {"Referer": "https://evil.example/"},
]
BODIES: list[dict[str, Any]] = [
    {"json": {}},
    {"content": b"{}", "headers": {"Content-Type": "text/plain"}},
    {"content": b""},
]
UNSAFE = ("post", "put", "patch", "delete")
# A service calls it with a secret of its own and it looks at no cookie.
COOKIELESS = {("post", "/auth/introspect")}


async def unsafe_routes(house: House) -> list[tuple[str, str]]:
    """From the document, so that a new route cannot be forgotten here."""
    paths = (await house.client.get("/openapi.json")).json()["paths"]

    def found() -> Iterator[tuple[str, str]]:
        for path, methods in paths.items():
            yield from ((method, path) for method in methods if method in UNSAFE)

    routes = [route for route in found() if route not in COOKIELESS]
    assert len(routes) >= 12
    return routes


async def browser(house: House, email: str = "root@example.com") -> httpx.AsyncClient:
    client = house.new_client()
    body = {"login": email, "password": PASSWORD}
    answer = await client.post("/auth/login?transport=cookie", json=body, headers={"Origin": OURS})
    assert answer.status_code == 200
    return client


async def test_t30_no_foreign_page_gets_an_unsafe_request_through_with_our_cookies(house: House) -> None:
    root = await house.superuser()
    client = await browser(house)
    before = (await house.rows("users"), [row["ended_at"] for row in await house.rows("sessions")])
    for method, path in await unsafe_routes(house):
        for headers in FOREIGN:
            for body in BODIES:
                sent = {**body, "headers": {**body.get("headers", {}), **headers}}
                answer = await client.request(method, path.replace("{id}", root.id), **sent)
                # What is refused before anybody looks at cookies is refused as well.
                assert answer.status_code in (403, 415, 400, 422), (method, path, headers, answer.text)
                assert "set-cookie" not in answer.headers
    assert (await house.rows("users"), [row["ended_at"] for row in await house.rows("sessions")]) == before
    assert (await client.get("/users/me")).status_code == 200


@pytest.mark.parametrize("headers", FOREIGN)
async def test_t30_a_well_formed_foreign_request_is_cross_origin(house: House, headers: dict[str, str]) -> None:
    await house.register()
    client = await browser(house, "ada@example.com")
    session = (await client.get("/auth/sessions")).json()["items"][0]["id"]
    requests: list[tuple[str, str, Any]] = [
        ("POST", "/auth/refresh", None),
        ("POST", "/auth/logout", None),
        ("POST", "/auth/register", {"email": "bob@example.com", "password": PASSWORD}),
        ("POST", "/auth/login", {"login": "ada@example.com", "password": PASSWORD}),
        ("PATCH", "/users/me", {"name": "Eve"}),
        ("POST", "/users/me/password", {"current_password": PASSWORD, "new_password": "zq7canary new horse"}),
        ("POST", "/users/me/delete", {"password": PASSWORD}),
        ("DELETE", "/users/me", {"password": PASSWORD}),
        ("DELETE", "/auth/sessions", None),
        ("DELETE", f"/auth/sessions/{session}", None),
    ]
    for method, path, body in requests:
        answer = await client.request(method, path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin"), (method, path)
    assert (await client.get("/users/me")).json()["name"] is None


@pytest.mark.parametrize("headers", NEAR)
async def test_t30_our_own_pages_and_clients_that_are_no_browser_pass(house: House, headers: dict[str, str]) -> None:
    await house.register()
    client = await browser(house, "ada@example.com")
    assert (await client.patch("/users/me", json={"name": "Ada"}, headers=headers)).status_code == 200
    assert (await client.post("/auth/refresh", headers=headers)).status_code == 200
    assert (await client.post("/auth/logout", headers=headers)).status_code == 204


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("form", [True, False])
@pytest.mark.parametrize("junk", [True, False])
async def test_t30_no_foreign_page_logs_a_visitor_in(
    house: House, headers: dict[str, str], form: bool, junk: bool
) -> None:
    await house.register()
    sent: dict[str, Any] = {"headers": {**headers, **({"Authorization": "Basic YTpi"} if junk else {})}}
    if form:
        sent["data"] = {"username": "ada@example.com", "password": PASSWORD}
    else:
        sent["json"] = {"login": "ada@example.com", "password": PASSWORD}
    answer = await house.client.post("/auth/login?transport=cookie", **sent)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
    assert "set-cookie" not in answer.headers


async def test_t30_a_junk_authorization_header_does_not_bring_the_cookies_into_play(house: House) -> None:
    await house.register()
    client = await browser(house, "ada@example.com")
    for junk in ("", "x", "Basic YTpi", "Bearer", "Bearer zq7canary"):
        headers = {"Authorization": junk, "Sec-Fetch-Site": "cross-site"}
        for method, path, body in (
            ("POST", "/auth/refresh", None),
            ("POST", "/auth/logout", None),
            ("PATCH", "/users/me", {"name": "Eve"}),
            ("DELETE", "/auth/sessions", None),
        ):
            answer = await client.request(method, path, json=body, headers=headers)
            assert answer.status_code == 401, (junk, path)
            assert "set-cookie" not in answer.headers
    assert (await client.get("/users/me")).json()["name"] is None


async def test_t30_safe_requests_change_nothing_and_pass_from_anywhere(house: House) -> None:
    await house.register()
    client = await browser(house, "ada@example.com")
    before = await house.rows("users"), await house.rows("sessions")
    for headers in FOREIGN:
        for path in ("/users/me", "/auth/sessions", "/auth/refresh", "/auth/logout", "/openapi.json", "/"):
            answer = await client.get(path, headers=headers)
            assert answer.status_code in (200, 405)
            assert "set-cookie" not in answer.headers
    assert (await house.rows("users"), await house.rows("sessions")) == before
    override = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE", "X-HTTP-Method": "DELETE"}
    assert (await client.get("/users/me?_method=DELETE", headers=override)).status_code == 200
    assert (await client.get("/users/me")).status_code == 200
