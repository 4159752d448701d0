"""What superusers do: `/users`, `/users/{id}` and the sessions of others."""

import asyncio
import uuid
from datetime import datetime
from typing import Any

import httpx
import pytest

from propusk.context import Context
from propusk.users.register import create_user
from tests.kit import PASSWORD, House, Person


async def listed(root: Person, **params: Any) -> list[str]:
    """The addresses of all pages, in their order."""
    found: list[str] = []
    cursor = None
    while True:
        answer = await root.get("/users", params=params | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        found += [user["email"] for user in answer.json()["items"]]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found
        assert len(answer.json()["items"]) == params.get("limit", 50)


async def make_users(house: House, *people: dict[str, Any], tick: float = 0) -> None:
    for person in people:

        async def act(ctx: Context, fields: dict[str, Any] = person) -> None:
            await create_user(ctx, **fields)

        await house.do(act)
        house.clock.tick(seconds=tick)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_superuser_makes_an_account_with_any_field(house: House) -> None:
    root = await house.superuser()
    fields = {
        "email": "Ada@example.com", "username": "Ada", "name": "Ada", "locale": "ru", "profile": {"a": 1},
        "is_active": False, "is_verified": True, "is_superuser": True,
    }  # fmt: skip

    answer = await root.post("/users", fields | {"password": PASSWORD})

    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert {key: answer.json()[key] for key in fields} == fields
    assert (await root.get(f"/users/{answer.json()['id']}")).json() == answer.json()


async def test_an_account_without_a_password_cannot_log_in_yet(house: House) -> None:
    root = await house.superuser()

    for body in ({"email": "ada@example.com"}, {"email": "eve@example.com", "password": None}):
        assert (await root.post("/users", body)).status_code == 201
        login = await house.client.post("/auth/login", json={"login": body["email"], "password": PASSWORD})
        assert code(login) == (401, "invalid_credentials")


async def test_an_account_made_by_a_superuser_can_log_in(house: House) -> None:
    root = await house.superuser()
    made = await root.post("/users", {"email": "ada@example.com", "password": PASSWORD})

    ada = await house.log_in("ada@example.com")

    assert ada.id == made.json()["id"]


@pytest.mark.parametrize("with_password", [True, False])
async def test_a_taken_name_is_refused(house: House, with_password: bool) -> None:
    root = await house.superuser()
    await house.register(username="ada")
    password = {"password": PASSWORD} if with_password else {}

    assert code(await root.post("/users", {"email": "ADA@example.com"} | password)) == (409, "email_taken")
    body = {"email": "new@example.com", "username": "ADA"} | password
    assert code(await root.post("/users", body)) == (409, "username_taken")
    assert len(await house.rows("users")) == 2


async def test_a_superuser_changes_any_field(house: House) -> None:
    root, ada = await house.superuser(), await house.register()
    house.clock.tick(seconds=5)
    changes = {
        "email": "New@example.com", "username": "ada", "name": "Ada", "locale": "en", "profile": {"a": 1},
        "is_active": True, "is_verified": True, "is_superuser": True,
    }  # fmt: skip

    answer = await root.patch(f"/users/{ada.id}", changes)

    assert answer.status_code == 200
    assert {key: answer.json()[key] for key in changes} == changes
    assert answer.json()["updated_at"] == "2026-11-21T09:30:05.123456Z"
    assert (await ada.get("/users/me")).json() == answer.json()


async def test_a_changed_address_is_unverified_unless_said_otherwise(house: House) -> None:
    root, ada = await house.superuser(), await house.register()
    url = f"/users/{ada.id}"
    await root.patch(url, {"is_verified": True})

    assert (await root.patch(url, {"email": "ADA@example.com"})).json()["is_verified"] is True
    assert (await root.patch(url, {"email": "other@example.com"})).json()["is_verified"] is False
    both = {"email": "third@example.com", "is_verified": True}
    assert (await root.patch(url, both)).json()["is_verified"] is True


async def test_what_cannot_be_null_is_refused(house: House) -> None:
    root, ada = await house.superuser(), await house.register()

    for field in ("email", "is_active", "is_verified", "is_superuser"):
        answer = await root.patch(f"/users/{ada.id}", {field: None})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    for field in ("is_active", "is_verified", "is_superuser"):
        for value in ("true", 1, 0, "yes"):
            assert (await root.patch(f"/users/{ada.id}", {field: value})).status_code == 422
    assert (await ada.get("/users/me")).json()["is_superuser"] is False


async def test_t43_no_other_column_can_be_set_by_a_superuser(house: House) -> None:
    root, ada = await house.superuser(), await house.register()
    allowed = {"email", "username", "name", "locale", "profile", "is_active", "is_verified", "is_superuser"}
    columns = {column.key for column in house.auth.tables.users.c} - allowed
    before = await house.rows("users")

    for column in columns | {"password", "hash", "user_id"}:
        patched = await root.patch(f"/users/{ada.id}", {column: "x"})
        body = {"email": "new@example.com", column: "x"}
        made = await root.post("/users", body) if column != "password" else patched
        for answer in (patched, made):
            assert answer.json()["errors"][0] | {"message": ""} == {
                "field": column, "code": "extra_forbidden", "message": "",
            }  # fmt: skip

    assert await house.rows("users") == before


async def test_a_taken_name_is_refused_in_a_change(house: House) -> None:
    root, ada = await house.superuser(), await house.register()
    await house.register("eve@example.com", username="eve")

    assert code(await root.patch(f"/users/{ada.id}", {"email": "EVE@example.com"})) == (409, "email_taken")
    assert code(await root.patch(f"/users/{ada.id}", {"username": "Eve"})) == (409, "username_taken")


async def test_a_superuser_deletes_a_user(house: House) -> None:
    root, ada = await house.superuser(), await house.register()

    assert (await root.delete(f"/users/{ada.id}")).status_code == 204

    assert not await ada.is_in()
    assert code(await root.get(f"/users/{ada.id}")) == (404, "not_found")
    assert code(await root.delete(f"/users/{ada.id}")) == (404, "not_found")
    assert code(await root.patch(f"/users/{ada.id}", {"name": "x"})) == (404, "not_found")


IDS = (
    str(uuid.uuid4()), str(uuid.UUID(int=0)), "me2", "1", "{01a1fd70-f23b-77c2-ae3e-96f52710aad9}",
    "urn:uuid:01a1fd70-f23b-77c2-ae3e-96f52710aad9", "01a1fd70f23b77c2ae3e96f52710aad9", "%00", "'; --",
    "９1a1fd70-f23b-77c2-ae3e-96f52710aad9", "9" * 300,
)  # fmt: skip


async def test_t54_an_id_that_is_none_is_not_found(house: House) -> None:
    root, ada = await house.superuser(), await house.register()

    for user_id in (*IDS, ada.id.upper(), f"{{{ada.id}}}", ada.id.replace("-", ""), f"{ada.id}%20"):
        for method, suffix in (("GET", ""), ("DELETE", ""), ("GET", "/sessions"), ("DELETE", "/sessions")):
            assert code(await root.call(method, f"/users/{user_id}{suffix}")) == (404, "not_found"), user_id
        assert code(await root.patch(f"/users/{user_id}", {"name": "x"})) == (404, "not_found"), user_id
        assert (await root.delete(f"/auth/sessions/{user_id}")).status_code == 404, user_id
    assert await ada.is_in()


async def test_the_last_superuser_stays(house: House) -> None:
    root, ada = await house.superuser(), await house.register()
    url = f"/users/{root.id}"

    refused = [
        await root.patch(url, {"is_superuser": False}),
        await root.patch(url, {"is_active": False}),
        await root.patch(url, {"is_active": False, "name": "x"}),
        await root.delete(url),
        await root.delete("/users/me", {"password": PASSWORD}),
    ]

    assert {code(answer) for answer in refused} == {(409, "last_superuser")}
    assert (await root.get("/users/me")).json()["name"] is None
    await root.patch(f"/users/{ada.id}", {"is_superuser": True, "is_active": False})
    assert code(await root.delete(url)) == (409, "last_superuser")
    await root.patch(f"/users/{ada.id}", {"is_active": True})
    assert (await root.delete(url)).status_code == 204


async def test_two_superusers_who_demote_each_other_leave_one(house: House) -> None:
    ways: tuple[tuple[str, Any], ...] = (
        ("PATCH", {"is_superuser": False}), ("PATCH", {"is_active": False}), ("DELETE", None),
    )  # fmt: skip
    for n in range(12):
        first, second = await house.superuser(f"a{n}@example.com"), await house.superuser(f"b{n}@example.com")
        for other in await house.rows("users"):
            if str(other["id"]) not in (first.id, second.id):
                await first.delete(f"/users/{other['id']}")
        (method, body), (other_method, other_body) = ways[n % 3], ways[n // 3 % 3]

        answers = await asyncio.gather(
            first.call(method, f"/users/{second.id}", json=body),
            second.call(other_method, f"/users/{first.id}", json=other_body),
        )

        statuses = sorted(answer.status_code for answer in answers)
        assert statuses[0] in (200, 204)
        assert statuses[1] in (401, 403, 409), statuses
        left = [user for user in await house.rows("users") if user["is_superuser"] and user["is_active"]]
        assert len(left) == 1


async def test_superusers_who_all_delete_themselves_leave_one(house: House) -> None:
    people = [await house.superuser(f"root{n}@example.com") for n in range(5)]

    answers = await asyncio.gather(*(person.delete("/users/me", {"password": PASSWORD}) for person in people))

    assert sorted(answer.status_code for answer in answers) == [204] * 4 + [409]
    assert len(await house.rows("users")) == 1


async def test_lists_are_newest_first_and_pages_are_complete(house: House) -> None:
    root = await house.superuser()
    house.clock.tick(seconds=1)
    await make_users(house, *({"email": f"u{n}@example.com"} for n in range(7)), tick=1)
    # Many in one microsecond: the id decides between them.
    await make_users(house, *({"email": f"same{n}@example.com"} for n in range(9)))

    everything = await listed(root)

    assert everything[9:] == [f"u{n}@example.com" for n in reversed(range(7))] + ["root@example.com"]
    assert sorted(everything[:9]) == [f"same{n}@example.com" for n in range(9)]
    for limit in (1, 2, 3, 5, 8, 16, 17, 18):
        assert await listed(root, limit=limit) == everything


async def test_a_page_does_not_shift_when_somebody_joins_or_leaves(house: House) -> None:
    root = await house.superuser()
    house.clock.tick(seconds=1)
    await make_users(house, *({"email": f"u{n}@example.com"} for n in range(6)), tick=1)
    first = (await root.get("/users", params={"limit": 3})).json()
    await make_users(house, {"email": "late@example.com"})
    await root.delete(f"/users/{first['items'][2]['id']}")

    second = (await root.get("/users", params={"limit": 3, "cursor": first["next_cursor"]})).json()

    assert [user["email"] for user in second["items"]] == [f"u{n}@example.com" for n in (2, 1, 0)]


async def test_a_prefix_finds_address_username_and_name_without_regard_to_case(house: House) -> None:
    root = await house.superuser()
    await make_users(
        house,
        {"email": "Ada@Example.com", "username": "Countess", "name": "Ada Lovelace"},
        {"email": "ivan@example.com", "name": "Иван Ёлкин"},
        {"email": "zoe@bücher.example", "name": "Éloïse"},
        {"email": "other@example.com", "name": "An Ada"},
    )

    for q, found in (
        ("ada", ["Ada@Example.com"]), ("ADA@", ["Ada@Example.com"]), ("ada@example.com", ["Ada@Example.com"]),
        ("count", ["Ada@Example.com"]), ("ada l", ["Ada@Example.com"]), ("ADA LOVELACE", ["Ada@Example.com"]),
        ("иван", ["ivan@example.com"]), ("ИВАН Ё", ["ivan@example.com"]), ("Иван ё", ["ivan@example.com"]),
        ("éLOÏ", ["zoe@bücher.example"]), ("e\u0301loi\u0308", ["zoe@bücher.example"]),
        ("zoe@bü", ["zoe@bücher.example"]), ("ZOE@BÜCHER.example", ["zoe@bücher.example"]),
        ("zoe@xn--", ["zoe@bücher.example"]),
        ("lovelace", []), ("example.com", []), ("eloise", []),
    ):  # fmt: skip
        assert await listed(root, q=q) == found, q
    assert len(await listed(root, q="")) == 5


async def test_a_name_is_found_as_it_stands_whatever_its_script(house: House) -> None:
    root = await house.superuser()
    for n, name in enumerate(("ΟΔΟΣ", "İstanbul", "STRASSE ẞ", "Ǆ", "山田太郎", "🐎 Horse")):
        await make_users(house, {"email": f"u{n}@example.com", "name": name})
        assert await listed(root, q=name) == [f"u{n}@example.com"], name


async def test_t45_wildcards_of_sql_are_letters_here(house: House) -> None:
    root = await house.superuser()
    await make_users(
        house,
        {"email": "plain@example.com", "name": "plain"},
        {"email": "a_b@example.com", "name": "100% sure"},
        {"email": "axb@example.com", "name": "back\\slash / more"},
        {"email": "q@example.com", "name": 'it\'s "quoted"'},
    )

    for q, found in (
        ("%", []), ("_", []), ("\\", []), ("/", []), ("%a", []), ("a_b", ["a_b@example.com"]), ("a%", []),
        ("100%", ["a_b@example.com"]), ("100_", []), ("back\\", ["axb@example.com"]), ("back\\s", ["axb@example.com"]),
        ("back\\slash /", ["axb@example.com"]), ("it's", ["q@example.com"]), ("it's \"", ["q@example.com"]),
        ("' or '1'='1", []), ("a' or 1=1 --", []), ("[a-z]", []), ("pla*", []),
    ):  # fmt: skip
        assert await listed(root, q=q) == found, q


async def test_filters_select(house: House) -> None:
    root = await house.superuser()
    house.clock.tick(hours=1)
    await make_users(
        house,
        {"email": "a@example.com", "is_active": False, "is_verified": True},
        {"email": "b@example.com", "is_superuser": True},
        {"email": "c@example.com"},
        tick=3600,
    )
    await root.refresh()

    for params, found in (
        ({"is_active": "false"}, ["a"]), ({"is_active": "true"}, ["c", "b", "root"]),
        ({"is_verified": "true"}, ["a", "root"]), ({"is_superuser": "true"}, ["b", "root"]),
        ({"is_superuser": "true", "is_verified": "false"}, ["b"]),
        ({"created_after": "2026-11-21T11:30:00.123456Z"}, ["c"]),
        ({"created_after": "2026-11-21T14:30:00.123455+03:00"}, ["c", "b"]),
        ({"created_before": "2026-11-21T10:30:00.123456Z"}, ["root"]),
        ({"created_before": "2026-11-21T10:30:00.123457Z"}, ["a", "root"]),
        ({"created_after": "2026-11-21T09:30:01Z", "created_before": "2026-11-21T12:00:00z"}, ["b", "a"]),
        ({"q": "b@", "is_superuser": "false"}, []),
    ):  # fmt: skip
        assert [email.partition("@")[0] for email in await listed(root, **params)] == found, params
        assert [email.partition("@")[0] for email in await listed(root, limit=1, **params)] == found, params


BAD_PARAMETERS = [
    ("limit", "0"), ("limit", "-1"), ("limit", "201"), ("limit", "1000000000"), ("limit", "1.0"), ("limit", "true"),
    ("limit", ""), ("limit", "+5"), ("limit", " 5"), ("limit", "1_0"), ("limit", "٥"), ("limit", "9223372036854775808"),
    ("limit", "0x10"), ("limit", "1e1"), ("limit", "null"),
    ("created_after", "yesterday"), ("created_after", "2026-11-21"), ("created_after", "2026-11-21T09:30:00"),
    ("created_after", "1700000000"), ("created_after", "2026-13-01T00:00:00Z"),
    ("created_after", "2026-02-29T00:00:00Z"),
    ("created_after", "2026-12-31T23:59:60Z"), ("created_after", "0001-01-01T00:00:00+01:00"),
    ("created_after", "9999-12-31T23:59:59-01:00"), ("created_after", "10000-01-01T00:00:00Z"),
    ("created_after", "2026-11-21T24:00:00Z"), ("created_after", "2026-11-21T09:30:00+99:00"), ("created_after", ""),
    ("created_before", "0000-01-01T00:00:00Z"), ("created_before", "NaN"), ("created_before", "2026-11-21 09:30:00Z"),
    ("is_active", "maybe"), ("is_active", ""), ("is_verified", "2"), ("is_superuser", "null"),
    ("q", "x" * 255), ("q", "\x00"), ("q", "a\x00b"),
    ("cursor", ""), ("cursor", "x"), ("cursor", "A" * 54), ("cursor", "A" * 300), ("cursor", "💥"), ("cursor", "null"),
]  # fmt: skip


async def test_t54_a_parameter_out_of_bounds_is_named(house: House) -> None:
    root = await house.superuser()

    for name, value in BAD_PARAMETERS:
        answer = await root.get("/users", params={name: value})
        assert code(answer) == (422, "invalid_input"), (name, value, answer.text)
        assert answer.json()["errors"][0]["field"] == name, (name, value)


async def test_t54_the_ends_of_time_are_times(house: House) -> None:
    root = await house.superuser()

    for end, after, before in (
        ("0001-01-01T00:00:00Z", 1, 0), ("0999-12-31T23:59:59Z", 1, 0), ("1970-01-01T00:00:00Z", 1, 0),
        ("9999-12-31T23:59:59.999999Z", 0, 1), ("2026-11-21T09:30:00.123456+00:00", 0, 0),
    ):  # fmt: skip
        assert len(await listed(root, created_after=end)) == after, end
        assert len(await listed(root, created_before=end)) == before, end


async def test_t45_a_cursor_that_was_touched_is_refused(house: House) -> None:
    root = await house.superuser()
    await make_users(house, *({"email": f"u{n}@example.com"} for n in range(3)))
    cursor = (await root.get("/users", params={"limit": 1})).json()["next_cursor"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    touched = [
        cursor[:place] + alphabet[alphabet.index(cursor[place]) ^ bit] + cursor[place + 1 :]
        for place in range(len(cursor))
        for bit in ((1, 2, 4, 8, 16, 32) if place % 9 == 0 else (1 << place % 6,))
    ]
    for text in (*touched, cursor[:-1], cursor + "A", cursor + "=", cursor + " ", cursor.swapcase(), cursor * 2):
        answer = await root.get("/users", params={"cursor": text})
        assert code(answer) == (422, "invalid_input"), text

    assert (await root.get("/users", params={"cursor": cursor})).status_code == 200


async def test_t45_a_cursor_belongs_to_its_list(house: House) -> None:
    root, ada = await house.superuser(), await house.register()
    await ada.log_in()
    await root.log_in()

    async def cursor_of(path: str) -> str:
        found: str = (await root.get(path, params={"limit": 1})).json()["next_cursor"]
        return found

    lists = ("/users", f"/users/{ada.id}/sessions", f"/users/{root.id}/sessions")
    cursors = {path: await cursor_of(path) for path in lists}
    for path in lists:
        for other in lists:
            answer = await root.get(path, params={"cursor": cursors[other]})
            assert answer.status_code == (200 if path == other else 422)
    assert (await root.get("/auth/sessions", params={"cursor": cursors[lists[2]]})).status_code == 200


async def test_t45_a_cursor_with_other_filters_shows_what_these_select_and_no_more(house: House) -> None:
    root = await house.superuser()
    await make_users(house, *({"email": f"u{n}@example.com", "is_active": n % 2 == 0} for n in range(6)), tick=1)
    cursor = (await root.get("/users", params={"limit": 2})).json()["next_cursor"]

    answer = await root.get("/users", params={"cursor": cursor, "is_active": "false"})

    assert [user["email"] for user in answer.json()["items"]] == ["u3@example.com", "u1@example.com"]


async def test_t45_columns_that_are_no_filters_filter_nothing(house: House) -> None:
    root = await house.superuser()
    await make_users(house, {"email": "a@example.com"})

    for name in ("email", "session_epoch", "hash", "order_by", "sort", "email_key", "offset"):
        assert len(await listed(root, **{name: "1; drop table propusk_users"})) == 2


async def test_a_superuser_sees_and_ends_the_sessions_of_others(house: House) -> None:
    root, ada, eve = await house.superuser(), await house.register(), await house.register("eve@example.com")
    await ada.log_in()

    page = (await root.get(f"/users/{ada.id}/sessions")).json()
    assert len(page["items"]) == 2
    assert [session["current"] for session in page["items"]] == [False, False]
    assert [session["current"] for session in (await root.get(f"/users/{root.id}/sessions")).json()["items"]] == [True]

    ended = await root.delete(f"/users/{ada.id}/sessions")
    assert (ended.status_code, ended.json()) == (200, {"revoked": 2})
    assert not await ada.is_in()
    assert await eve.is_in()
    assert (await root.get(f"/users/{ada.id}/sessions")).json() == {"items": [], "next_cursor": None}
    assert (await root.delete(f"/users/{ada.id}/sessions")).json() == {"revoked": 0}


async def state_of(ada: Person, browser: httpx.AsyncClient) -> tuple[int, int, int, int]:
    """How the three credentials of one person fare: bearer, cookie, refresh token, refresh cookie."""
    return (
        (await ada.get("/users/me")).status_code,
        (await browser.get("/users/me")).status_code,
        (await ada.refresh(ada.tokens["refresh_token"])).status_code,
        (await browser.post("/auth/refresh")).status_code,
    )


@pytest.mark.parametrize("change", ["deactivated", "deleted", "password changed", "sessions ended", "all ended"])
async def test_t24_no_credential_outlives_what_it_was_given_for(house: House, change: str) -> None:
    root, ada = await house.superuser(), await house.register()
    phone = await ada.log_in()
    browser = house.new_client()
    body = {"login": ada.email, "password": PASSWORD}
    await browser.post("/auth/login?transport=cookie", json=body)
    # Warm every memory that an answer could come from.
    assert [await ada.is_in(), (await browser.get("/users/me")).status_code] == [True, 200]
    jar = dict(browser.cookies)

    match change:
        case "deactivated":
            assert (await root.patch(f"/users/{ada.id}", {"is_active": False})).status_code == 200
        case "deleted":
            assert (await root.delete(f"/users/{ada.id}")).status_code == 204
        case "password changed":
            new = {"current_password": PASSWORD, "new_password": "zq7canary new horse"}
            assert (await phone.post("/users/me/password", new)).status_code == 204
        case "sessions ended":
            assert (await root.delete(f"/users/{ada.id}/sessions")).status_code == 200
        case "all ended":
            assert (await phone.delete("/auth/sessions")).status_code == 200

    assert await state_of(ada, browser) == (401, 401, 401, 401)
    if change == "deactivated":
        assert (await root.patch(f"/users/{ada.id}", {"is_active": True})).status_code == 200
    elif change == "deleted":
        assert (await house.register()).id != ada.id
    for name, value in jar.items():
        browser.cookies.set(name, value)
    assert await state_of(ada, browser) == (401, 401, 401, 401)


async def test_t24_a_demoted_superuser_is_refused_at_once(house: House) -> None:
    root, other = await house.superuser(), await house.superuser("other@example.com")
    browser = house.new_client()
    await browser.post("/auth/login?transport=cookie", json={"login": other.email, "password": PASSWORD})
    assert (await other.get("/users")).status_code == (await browser.get("/users")).status_code == 200

    await root.patch(f"/users/{other.id}", {"is_superuser": False})

    assert code(await other.get("/users")) == code(await browser.get("/users")) == (403, "forbidden")
    assert (await other.refresh()).status_code == 200
    assert code(await other.get("/users")) == (403, "forbidden")
    assert code(await other.patch(f"/users/{other.id}", {"is_superuser": True})) == (403, "forbidden")


async def test_t47_rights_are_read_at_every_request(house: House) -> None:
    root, other = await house.superuser(), await house.superuser("other@example.com")
    for n in range(10):
        await root.patch(f"/users/{other.id}", {"is_superuser": n % 2 == 1})
        for _ in range(2):
            assert (await other.get("/users")).status_code == (200 if n % 2 else 403)
            assert (await other.get("/users/me")).json()["is_superuser"] is bool(n % 2)


async def test_times_are_rfc_3339_in_utc(house: House) -> None:
    root = await house.superuser()

    user = (await root.get(f"/users/{root.id}")).json()

    for name in ("created_at", "updated_at", "last_login_at"):
        assert user[name].endswith("Z")
        assert datetime.fromisoformat(user[name]) == house.clock.now
