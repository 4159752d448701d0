"""User management: each row of what its clients know, its rules, and that no token outlives what killed it."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jws
from redis import Redis

from propusk.domain import find_user_by_login
from tests.backends import drop_backend, make_backend
from tests.examples.conftest import Example, StartExample
from tests.examples.kit import follow, mailed_link, running

DATABASES = ("sqlite", "mariadb")
NAME = "user_management"
PASSWORD = "zq7canaryA1"
NEW_PASSWORD = "zq7canaryB2"
ADA = {"username": "ada", "password": PASSWORD, "email": "ada@example.com"}
BOB = {"username": "Bob_the-2nd", "password": PASSWORD, "email": "bob@example.com"}
WRONG = {"detail": "No user has this login and this password."}


@pytest.fixture
def settings(database: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """With a server database, a Redis as well."""
    if not database:
        yield {}
        return
    redis = make_backend("redis", tmp_path, "")
    yield {**database, "PROPUSK_REDIS_URL": str(redis.redis_url)}
    drop_backend(redis)


@pytest.fixture
async def example(start_example: StartExample, settings: dict[str, str]) -> Example:
    return await start_example(NAME, **settings)


async def register(example: Example, who: dict[str, str] = ADA) -> dict[str, str]:
    """Make an account; returns the header of the session that begins with it."""
    answer = await example.client.post("/users/register", json=who)
    assert answer.status_code == 200, answer.text
    return bearer(answer)


async def log_in(example: Example, who: dict[str, str] = ADA, **other: str) -> httpx.Response:
    login = {"username": who["username"], "password": who["password"]} | other
    return await example.client.post("/users/login", json=login)


def bearer(answer: httpx.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def claims(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(jws.extract_compact(answer.json()["access_token"].encode()).payload)
    return found


async def status(example: Example, header: dict[str, str]) -> int:
    return (await example.client.get("/users", headers=header)).status_code


async def test_registering_logs_in(example: Example) -> None:
    answer = await example.client.post("/users/register", json=ADA)
    assert answer.status_code == 200
    assert answer.json() == {
        "data": {"username": "ada", "email": "ada@example.com"},
        "access_token": answer.json()["access_token"],
        "token_type": "bearer",
    }
    assert await status(example, bearer(answer)) == 200


async def test_a_username_and_an_address_are_taken_once(example: Example) -> None:
    await register(example)

    for taken in ({"username": "ADA"}, {"email": "ADA@example.com"}):
        answer = await example.client.post("/users/register", json=BOB | taken)
        assert (answer.status_code, list(answer.json())) == (409, ["detail"])
    assert (await log_in(example, BOB)).status_code == 401
    await register(example, BOB)


BROKEN = {
    "username": ("", "ab", "a" * 17, "ada.l", "ada l", "ада", "ada\n", "ada@example.com"),
    "password": ("", "zq7caA1", "zq7canaryA1" * 2, "ZQ7CANARY", "zq7canary", "zqcanaryAB"),
    "email": ("", "ada", "ada@", "ada@localhost"),
}


@pytest.mark.parametrize("field", BROKEN)
async def test_what_breaks_a_rule_is_a_422_that_names_the_field(example: Example, field: str) -> None:
    for bad in BROKEN[field]:
        answer = await example.client.post("/users/register", json=ADA | {field: bad})
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", field]), bad
    assert (await log_in(example)).status_code == 401


async def test_what_just_keeps_the_rules_is_taken(example: Example) -> None:
    for number, username in enumerate(("a-_", "A234567890123456")):
        for password in ("zq7canaA", "zq7canary 345678901A"):
            who = {"username": username, "password": password, "email": f"{password[-3:]}{number}@example.com"}
            await example.client.delete("/users", headers=await register(example, who))


async def test_a_login_by_username_gives_a_token_for_an_hour_and_no_other(example: Example) -> None:
    await register(example)

    answer = await log_in(example, username="Ada")
    assert answer.status_code == 200
    assert answer.json() == {"access_token": answer.json()["access_token"], "token_type": "bearer"}
    assert claims(answer)["exp"] - claims(answer)["iat"] == 3600
    assert "set-cookie" not in answer.headers
    async with example.auth.sessions() as db:
        rows = (await db.execute(example.auth.tables.sessions.select())).all()
    assert len(rows) == 2
    assert all((row.expires_at - row.created_at).total_seconds() == 3600 for row in rows), "the session ends with it"


async def test_a_setting_wins_over_that_hour(start_example: StartExample, settings: dict[str, str]) -> None:
    example = await start_example(NAME, **settings, PROPUSK_ACCESS_TOKEN_TTL="5m")
    await register(example)
    answer = await log_in(example)
    assert claims(answer)["exp"] - claims(answer)["iat"] == 300


async def test_wrong_and_unknown_are_told_alike(example: Example) -> None:
    await register(example)
    for other in ({"password": NEW_PASSWORD}, {"username": "nobody"}, {"username": "no name at all"}):
        answer = await log_in(example, ADA | other)
        assert (answer.status_code, answer.json()) == (401, WRONG)


async def test_who_am_i(example: Example) -> None:
    answer = await example.client.get("/users", headers=await register(example))
    assert answer.status_code == 200
    date = answer.json()["registration_date"]
    assert answer.json() == {"username": "ada", "email": "ada@example.com", "registration_date": date}
    assert datetime.fromisoformat(date).tzinfo is not None


async def test_a_logout_kills_its_token_alone(example: Example) -> None:
    here = await register(example)
    there = bearer(await log_in(example))

    answer = await example.client.post("/users/logout", headers=here)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await status(example, here), await status(example, there)) == (401, 200)
    assert (await example.client.post("/users/logout", headers=here)).status_code == 401


async def test_a_new_password_holds_at_once_and_ends_the_other_sessions(example: Example) -> None:
    here = await register(example)
    there = bearer(await log_in(example))

    body = {"password": NEW_PASSWORD, "email": "ada@example.com"}
    answer = await example.client.put("/users", json=body, headers=here)
    assert answer.status_code == 200
    assert answer.json() == {"data": (await example.client.get("/users", headers=here)).json()}
    assert (await status(example, here), await status(example, there)) == (200, 401)
    assert (await log_in(example)).status_code == 401
    assert (await log_in(example, password=NEW_PASSWORD)).status_code == 200


async def follow_link(example: Example, url: str) -> None:
    path, _, token = url.partition("?token=")
    assert (await example.client.get(url)).status_code == 200
    assert (await example.client.post(path, data={"token": token})).status_code == 200


async def test_a_new_address_is_the_users_once_its_link_is_followed(example: Example) -> None:
    here = await register(example)
    body = {"password": NEW_PASSWORD, "email": "ada@example.org"}

    answer = await example.client.put("/users", json=body, headers=here)
    assert (answer.status_code, answer.json()["data"]["email"]) == (200, "ada@example.com")
    await follow_link(example, await mailed_link(example.auth, "confirm-email", "ada@example.org"))
    assert (await example.client.get("/users", headers=here)).json()["email"] == "ada@example.org"
    await follow_link(example, await mailed_link(example.auth, "undo-email", "ada@example.com"))
    assert await status(example, here) == 401
    async with example.auth.transaction() as ctx:
        assert await find_user_by_login(ctx, "ada@example.com") is not None


async def test_a_change_that_is_refused_changes_nothing(example: Example) -> None:
    here, there = await register(example), bearer(await log_in(example))
    await register(example, BOB)

    for expected, wrong in (
        (409, {"email": "BOB@example.com"}),
        (422, {"email": "nowhere"}),
        (422, {"password": "zq7canary"}),
        (422, {"password": None}),
    ):
        body = {"password": NEW_PASSWORD, "email": "ada@example.org", **wrong}
        answer = await example.client.put("/users", json=body, headers=here)
        assert (answer.status_code, list(answer.json())) == (expected, ["detail"]), wrong
    assert (await status(example, here), await status(example, there)) == (200, 200)
    assert (await log_in(example)).status_code == 200


async def test_a_deleted_user_is_gone_with_every_token(example: Example) -> None:
    here, there = await register(example), bearer(await log_in(example))
    bobs = await register(example, BOB)

    answer = await example.client.delete("/users", headers=here)
    assert (answer.status_code, answer.content) == (204, b"")
    assert [await status(example, header) for header in (here, there, bobs)] == [401, 401, 200]
    assert (await log_in(example)).status_code == 401
    await register(example)


async def test_two_deletions_at_once_are_a_204_and_a_401(example: Example) -> None:
    here = await register(example)
    answers = await asyncio.gather(*(example.client.delete("/users", headers=here) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [204, 401]


async def test_a_missing_or_bad_token_is_a_401(example: Example) -> None:
    body = {"password": NEW_PASSWORD, "email": "ada@example.org"}
    headers = ("", "Bearer", "Bearer rubbish", "Basic YWRhOnpxN2NhbmFyeUEx", "Bearer a.b.c")
    routes = (("GET", "/users"), ("PUT", "/users"), ("DELETE", "/users"), ("POST", "/users/logout"))
    for header, (method, path) in product(headers, routes):
        sent = {"Authorization": header} if header else {}
        given = body if method == "PUT" else None
        answer = await example.client.request(method, path, json=given, headers=sent)
        assert (answer.status_code, list(answer.json())) == (401, ["detail"]), (method, path)
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_an_unknown_path_is_a_404(example: Example) -> None:
    header = await register(example)
    for path in ("/", "/user", "/users/me", "/users/ada", "/users/register/now", "/auth/login", "/%00"):
        answer = await example.client.get(path, headers=header)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"}), path


HOSTILE = [
    "{",
    "[]",
    "null",
    "{}",
    '"\\ud800"',
    '{"username": "\\ud800", "password": "\\ud800aA1aaaaaa", "email": "\\ud800@example.com"}',
    '{"username": "a\\u0000b", "password": "zq7canary\\u0000A1", "email": "a\\u0000@example.com"}',
    '{"username": NaN, "password": 1e999, "email": [["\\udfff"]]}',
    '{"username": "ada", "password": {"\\ud800": 1}, "email": true}',
    '{"username": "' + "a" * 60_000 + '", "password": "' + "A1" * 1000 + '", "email": "@"}',
    "[" * 50_000,
    '{"username": ' + "9" * 10_000 + "}",
]


async def test_500_does_not_happen(example: Example) -> None:
    header = await register(example)
    routes = (("POST", "/users/register"), ("POST", "/users/login"), ("PUT", "/users"))
    for body, (method, path) in product(HOSTILE, routes):
        sent = header | {"content-type": "application/json"}
        answer = await example.client.request(method, path, content=body, headers=sent)
        assert answer.status_code in (400, 401, 422), (method, path, body[:80], answer.text)
        assert list(answer.json()) == ["detail"]
    for raw in (b"\xff\xfe", b'{"username": "\xff"}'):
        answer = await example.client.post("/users/login", content=raw, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422)
    assert await status(example, header) == 200


async def test_guesses_are_limited_and_redis_counts_them_where_there_is_one(
    start_example: StartExample, settings: dict[str, str]
) -> None:
    example = await start_example(NAME, **settings, PROPUSK_LIMITS__LOGIN_PAIR="2/1m")
    await register(example)
    for _ in range(2):
        assert (await log_in(example, password=NEW_PASSWORD)).status_code == 401
    answer = await log_in(example)
    assert (answer.status_code, list(answer.json())) == (429, ["detail"])
    assert 0 < int(answer.headers["retry-after"]) <= 60
    if url := settings.get("PROPUSK_REDIS_URL"):
        with Redis.from_url(url) as client:
            assert client.dbsize() != 0


def test_the_readme_does_what_it_says(settings: dict[str, str], tmp_path: Path) -> None:
    with running(NAME, tmp_path, settings) as url:
        follow(NAME, url, tmp_path)
