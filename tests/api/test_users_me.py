"""`GET` and `PATCH /users/me`."""

import json
from typing import Any

import httpx

from tests.kit import PASSWORD, House


def fault(answer: httpx.Response) -> tuple[int, str, str]:
    first = answer.json()["errors"][0]
    return answer.status_code, first["field"], first["code"]


async def test_a_user_reads_their_own_record(house: House) -> None:
    ada = await house.register("Ada@example.com", username="Ada", name="Ada Lovelace", profile={"born": 1815})

    answer = await ada.get("/users/me")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "id": ada.id,
        "email": "Ada@example.com",
        "username": "Ada",
        "name": "Ada Lovelace",
        "is_active": True,
        "is_verified": False,
        "is_superuser": False,
        "locale": None,
        "profile": {"born": 1815},
        "created_at": "2026-11-21T09:30:00.123456Z",
        "updated_at": "2026-11-21T09:30:00.123456Z",
        "last_login_at": "2026-11-21T09:30:00.123456Z",
    }


async def test_without_a_token_there_is_a_challenge(house: House) -> None:
    answer = await house.client.get("/users/me")

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_what_is_absent_is_kept_and_null_clears(house: House) -> None:
    ada = await house.register(username="ada", name="Ada", profile={"a": 1, "b": {"c": [2]}})
    await ada.patch("/users/me", {"locale": "ru-RU"})
    house.clock.tick(seconds=1)

    kept = (await ada.patch("/users/me", {"name": "Countess"})).json()
    assert (kept["username"], kept["name"], kept["locale"]) == ("ada", "Countess", "ru-RU")
    assert kept["profile"] == {"a": 1, "b": {"c": [2]}}
    assert kept["updated_at"] == "2026-11-21T09:30:01.123456Z"
    nulls = {"username": None, "name": None, "locale": None, "profile": None}
    cleared = (await ada.patch("/users/me", nulls)).json()
    assert {key: cleared[key] for key in nulls} == nulls | {"profile": {}}
    assert (await ada.get("/users/me")).json() == cleared


async def test_a_profile_is_replaced_whole(house: House) -> None:
    ada = await house.register(profile={"a": 1, "b": 2})

    assert (await ada.patch("/users/me", {"profile": {"c": 3}})).json()["profile"] == {"c": 3}


async def test_a_profile_comes_back_as_it_was_sent(house: House) -> None:
    ada = await house.register()
    profiles: list[dict[str, Any]] = [
        {"a": 1}, {"a": True}, {"a": 1.0}, {"a": 0}, {"a": False}, {"a": [1, {"b": True}]}, {"a": [True, {"b": 1}]},
        {"a": "🐎\u2028\\\"'%_"}, {"": None}, {"z": 1, "a": 2}, {"a": 12345678901234567890}, {"a": 1e300}, {},
    ]  # fmt: skip

    for profile in profiles:
        sent = await ada.patch("/users/me", {"profile": profile})
        assert json.dumps(sent.json()["profile"]) == json.dumps(profile)
        assert json.dumps((await ada.get("/users/me")).json()["profile"]) == json.dumps(profile)


async def test_a_profile_has_four_kibibytes_and_no_more(house: House) -> None:
    ada = await house.register()

    assert (await ada.patch("/users/me", {"profile": {"a": "x" * (4096 - 8)}})).status_code == 200
    assert fault(await ada.patch("/users/me", {"profile": {"a": "x" * (4096 - 7)}})) == (422, "profile", "too_long")
    assert fault(await ada.patch("/users/me", {"profile": {"a": "я" * 2045}})) == (422, "profile", "too_long")


async def test_a_field_that_is_wrong_is_named_and_changes_nothing(house: House) -> None:
    ada = await house.register(username="ada")
    before = await house.rows("users")

    for body, field, code in (
        ({"username": "a b"}, "username", "bad_username"),
        ({"username": 7}, "username", "wrong_type"),
        ({"name": "n" * 201}, "name", "too_long"),
        ({"name": "a\nb"}, "name", "invalid_characters"),
        ({"locale": "no such thing"}, "locale", "bad_locale"),
        ({"locale": "e"}, "locale", "bad_locale"),
        ({"profile": "text"}, "profile", "wrong_type"),
        ({"name": "fine", "locale": "!"}, "locale", "bad_locale"),
        ([], "body", "wrong_type"),
    ):
        assert fault(await ada.patch("/users/me", body)) == (422, field, code), body

    assert await house.rows("users") == before


async def test_a_username_of_somebody_else_is_refused(house: House) -> None:
    await house.register("eve@example.com", username="Eve")
    ada = await house.register(username="ada")

    answer = await ada.patch("/users/me", {"username": "eVE", "name": "Eve"})

    assert (answer.status_code, answer.json()["code"]) == (409, "username_taken")
    assert (await ada.get("/users/me")).json()["name"] is None


async def test_a_username_can_change_its_case_and_be_given_up(house: House) -> None:
    ada = await house.register(username="ada")

    assert (await ada.patch("/users/me", {"username": "ADA"})).json()["username"] == "ADA"
    assert (await ada.patch("/users/me", {"username": "countess"})).status_code == 200
    eve = await house.register("eve@example.com", username="Ada")
    assert (await eve.get("/users/me")).json()["username"] == "Ada"
    body = {"login": "ADA", "password": PASSWORD}
    assert (await house.client.post("/auth/login", json=body)).json()["session_id"]


async def test_nothing_changed_is_no_change(house: House) -> None:
    ada = await house.register(username="ada")
    house.clock.tick(seconds=1)

    answer = await ada.patch("/users/me", {"username": "ada"})

    assert answer.status_code == 200
    assert answer.json()["updated_at"] == answer.json()["created_at"]
    assert (await ada.patch("/users/me", {})).status_code == 200


async def test_t47_a_change_is_seen_at_the_next_request_though_the_answer_was_ready(house: House) -> None:
    ada, root = await house.register(), await house.superuser()
    phone = await ada.log_in()
    for n in range(5):
        await root.patch(f"/users/{ada.id}", {"name": f"Ada {n}", "is_verified": n % 2 == 0})
        for client in (ada, phone):
            for _ in range(2):
                me = (await client.get("/users/me")).json()
                assert (me["name"], me["is_verified"]) == (f"Ada {n}", n % 2 == 0)


COLUMNS: dict[str, Any] = {
    "id": "01a1fd70-f23b-77c2-ae3e-96f52710aad9", "email": "evil@example.com", "email_key": "evil@example.com",
    "username_key": "evil", "is_active": False, "is_verified": True, "is_superuser": True, "session_epoch": 99,
    "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z", "last_login_at": None,
    "password": "zq7canary evil horse", "hashed_password": "zq7canary", "hash": "zq7canary", "user_id": None,
}  # fmt: skip


async def test_t43_nobody_sets_what_is_not_theirs_to_set(house: House) -> None:
    ada = await house.register(username="ada")
    columns = {column.key: COLUMNS.get(column.key, "x") for column in house.auth.tables.users.c} | COLUMNS
    before = await house.rows("users")
    routes: tuple[tuple[str, str, set[str], dict[str, str]], ...] = (
        ("PATCH", "/users/me", {"username", "name", "locale", "profile"}, {}),
        ("POST", "/users/me/password", set(), {"current_password": PASSWORD, "new_password": "zq7canary new horse"}),
        ("POST", "/users/me/delete", {"password"}, {"password": PASSWORD}),
        ("DELETE", "/users/me", {"password"}, {"password": PASSWORD}),
        ("POST", "/auth/register", {"email", "password", "username", "name", "profile"},
         {"email": "new@example.com", "password": PASSWORD}),
        ("POST", "/auth/login", {"password"}, {"login": "ada", "password": PASSWORD}),
        ("POST", "/auth/refresh", set(), {"refresh_token": ada.tokens["refresh_token"]}),
        ("POST", "/auth/logout", set(), {"refresh_token": ada.tokens["refresh_token"]}),
    )  # fmt: skip

    for method, path, theirs, body in routes:
        for column, value in columns.items():
            if column in theirs:
                continue
            answer = await ada.call(method, path, json=body | {column: value})
            assert fault(answer) == (422, column, "extra_forbidden"), (method, path, column)

    assert await house.rows("users") == before


async def test_t43_flags_elsewhere_than_in_the_body_are_data_or_nothing(house: House) -> None:
    ada = await house.register()
    flags = {"is_superuser": True, "is_verified": True, "is_active": False}

    nested = await ada.patch("/users/me", {"profile": flags | {"user": flags}})
    query = await ada.call("PATCH", "/users/me", json={"name": "Ada"}, params={"is_superuser": "true", "id": ada.id})
    headers = {"content-type": "application/json"}
    twice = await ada.call("PATCH", "/users/me", content=b'{"name": "a", "name": "b"}', headers=headers)
    body = {"email": "e@example.com", "password": PASSWORD, "profile": flags}
    registered = await house.client.post("/auth/register?is_superuser=true", json=body)

    assert (nested.status_code, query.status_code, registered.status_code) == (200, 200, 201)
    assert (twice.status_code, twice.json()["code"]) == (400, "malformed_json")
    for user in await house.rows("users"):
        assert (user["is_active"], user["is_verified"], user["is_superuser"]) == (True, False, False)
    assert (await ada.get("/users")).status_code == 403
