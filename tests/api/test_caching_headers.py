"""What caches may keep, and the headers that every answer carries, errors included."""

from typing import Any

import httpx
import pytest

from tests.api.test_keys import keys_by, no_published_keys
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House

pytestmark = pytest.mark.one_database

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def check(answer: httpx.Response) -> None:
    for name, value in ALWAYS.items():
        assert answer.headers.get_list(name) == [value], (name, answer.url)
    assert len(answer.headers.get_list("Content-Security-Policy")) == 1
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Request-ID"]


async def test_t37_nothing_personal_is_kept_by_a_cache(house: House) -> None:
    root = await house.superuser()
    ada = await house.register()
    answers = [
        *[await root.get(path) for path in ("/users/me", "/auth/sessions", "/users", f"/users/{ada.id}")],
        await root.get(f"/users/{ada.id}/sessions"),
        await root.patch("/users/me", {"name": "Root"}),
        await root.patch(f"/users/{ada.id}", {"name": "Ada"}),
        await house.client.post("/auth/login", json={"login": ada.email, "password": PASSWORD}),
        await house.client.post("/auth/login?transport=cookie", json={"login": ada.email, "password": PASSWORD}),
        await house.client.post("/auth/register", json={"email": "bob@example.com", "password": PASSWORD}),
        await root.post("/users", {"email": "eve@example.com", "password": PASSWORD}),
        await ada.refresh(),
        await ada.get("/users"),
        await house.client.get("/users/me"),
        await house.client.get("/readyz"),
        await ada.delete("/auth/sessions?keep_current=true"),
        await ada.post("/auth/logout"),
        await ada.post("/auth/logout"),
    ]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store", (answer.request.method, answer.url, answer.text)
        check(answer)


@pytest.mark.parametrize(
    "path",
    [
        *("/users/me/x.css", "/users/me;a.css", "/users/me.css", "/users/me/", "/users/me%2f..%2fstatic/a.css"),
        *("/users/me%3fa.css", "/users/me%00.css", "/users/me/.css", "/auth/sessions/x.css", "//users/me", "/USERS/ME"),
        *("/users/me%20", "/users/%2e/me", "/auth/sessions.js", "/auth/../users/me.js"),
    ],
)
async def test_t37_an_address_that_looks_cacheable_holds_nothing(house: House, path: str) -> None:
    ada = await house.register()
    answer = await house.client.get(f"http://127.0.0.1:8000{path}", headers=ada.bearer)
    assert answer.status_code in (403, 404, 405), path  # 403: /users/{id} is for superusers
    assert ada.email not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


async def test_t33_every_answer_carries_our_headers(house: House) -> None:
    json: dict[str, Any] = {"headers": {"Content-Type": "application/json"}}
    client = house.client
    answers = {
        200: await client.get("/"),
        404: await client.get("/nowhere"),
        405: await client.put("/auth/login"),
        400: await client.post("/auth/login", content=b"{", **json),
        401: await client.get("/users/me"),
        413: await client.post("/auth/login", content=b"x" * 70_000, **json),
        415: await client.post("/auth/login", content=b"{}", headers={"Content-Type": "text/plain"}),
        422: await client.post("/auth/login", json={}),
    }
    for status, answer in answers.items():
        assert answer.status_code == status, answer.text
        check(answer)
        if status >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.headers["Cache-Control"] == "no-store"
    for path in (
        "/docs",
        "/docs/start.js",
        "/openapi.json",
        "/healthz",
        "/readyz",
        "/.well-known/jwks.json",
        "/problems/not_found",
    ):
        answer = await client.get(path)
        assert answer.status_code == 200
        check(answer)


async def test_t33_a_bug_of_ours_carries_them_too(make_house: MakeHouse, caplog: pytest.LogCaptureFixture) -> None:
    house = await make_house()

    async def broken() -> None:
        raise RuntimeError("zq7canary")

    house.app.add_api_route("/broken", broken)
    answer = await house.client.get("/broken")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "zq7canary" not in answer.text
    check(answer)
    assert "unhandled error" in caplog.text


async def test_t33_an_answer_of_503_carries_them_too(house: House) -> None:
    ada = await house.register()
    house.auth.keys = keys_by(house)
    async with no_published_keys(house):
        for path in ("/users/me", "/auth/sessions", "/.well-known/jwks.json"):
            answer = await ada.get(path)
            assert answer.status_code == 503
            assert answer.headers["Retry-After"]
            assert answer.headers["Cache-Control"] == "no-store"
            check(answer)


@pytest.mark.parametrize(("url", "expected"), [("https://auth.example.com", 1), ("http://127.0.0.1:8000", 0)])
async def test_browsers_are_told_to_stay_with_tls_where_there_is_tls(
    make_house: MakeHouse, url: str, expected: int
) -> None:
    house = await make_house(public_url=url)
    answer = await house.client.get("/healthz")
    assert len(answer.headers.get_list("Strict-Transport-Security")) == expected
