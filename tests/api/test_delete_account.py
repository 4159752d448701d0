"""`DELETE /users/me`, and the same by POST."""

from typing import Any

import pytest

from tests.kit import PASSWORD, House, Person

WRONG = "zq7canary wrong horse"


async def delete(person: Person, way: str, body: Any) -> Any:
    if way == "DELETE":
        return await person.delete("/users/me", body)
    return await person.post("/users/me/delete", body)


@pytest.mark.parametrize("way", ["DELETE", "POST"])
async def test_a_deleted_account_is_gone(house: House, way: str) -> None:
    ada = await house.register(username="ada", name="Ada Lovelace", profile={"born": 1815})
    phone, eve = await ada.log_in(), await house.register("eve@example.com")

    answer = await delete(ada, way, {"password": PASSWORD})

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"
    for person in (ada, phone):
        assert not await person.is_in()
        assert (await person.refresh()).json()["code"] == "invalid_refresh_token"
    assert await eve.is_in()
    login = await house.client.post("/auth/login", json={"login": "ada", "password": PASSWORD})
    assert (login.status_code, login.json()["code"]) == (401, "invalid_credentials")
    for table in ("users", "passwords", "sessions"):
        assert len(await house.rows(table)) == 1, table


async def test_the_audit_trail_keeps_the_bare_fact(house: House) -> None:
    ada = await house.register(username="adalovelace", name="Ada Byron")
    await ada.delete("/users/me", {"password": PASSWORD})

    trail = await house.rows("audit_events")

    assert {str(row["user_id"]) for row in trail} == {ada.id}
    assert "user_deleted" in {row["kind"] for row in trail}
    for word in ("ada@example.com", "adalovelace", "Byron"):
        assert word not in str(trail)


@pytest.mark.parametrize("way", ["DELETE", "POST"])
async def test_a_wrong_password_deletes_nothing(house: House, way: str) -> None:
    ada = await house.register()

    for body, status, code in (
        ({"password": WRONG}, 403, "wrong_password"),
        ({"password": "zq7canary" * 100}, 403, "wrong_password"),
        ({"password": ""}, 403, "wrong_password"),
        ({}, 422, "invalid_input"),
        ({"password": None}, 422, "invalid_input"),
        ({"password": PASSWORD, "id": ada.id}, 422, "invalid_input"),
    ):
        answer = await delete(ada, way, body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "zq7canary" not in answer.text

    assert await ada.is_in()


async def test_a_delete_without_a_body_is_malformed(house: House) -> None:
    ada = await house.register()

    answer = await ada.call("DELETE", "/users/me")

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
    assert await ada.is_in()


async def test_t07_a_long_password_costs_one_hash_of_nobody(house: House) -> None:
    ada = await house.register()
    before = house.auth.passwords.calls

    assert (await ada.delete("/users/me", {"password": "x" * 60_000})).status_code == 403
    assert house.auth.passwords.calls == before + 1


@pytest.mark.parametrize("way", ["DELETE", "POST"])
async def test_the_last_superuser_stays(house: House, way: str) -> None:
    root = await house.superuser()
    other = await house.superuser("other@example.com")
    assert (await root.patch(f"/users/{other.id}", {"is_active": False})).status_code == 200

    answer = await delete(root, way, {"password": PASSWORD})

    assert (answer.status_code, answer.json()["code"]) == (409, "last_superuser")
    assert await root.is_in()
    assert (await root.patch(f"/users/{other.id}", {"is_active": True})).status_code == 200
    assert (await delete(root, way, {"password": PASSWORD})).status_code == 204


async def test_a_deletion_by_cookie_clears_the_cookies(house: House) -> None:
    await house.register()
    browser = house.new_client()
    body = {"login": "ada@example.com", "password": PASSWORD}
    assert (await browser.post("/auth/login?transport=cookie", json=body)).status_code == 200

    answer = await browser.post("/users/me/delete", json={"password": PASSWORD})

    assert answer.status_code == 204
    assert dict(browser.cookies) == {}


@pytest.mark.parametrize("checked", ["by the statement", "at the commit"])
async def test_a_user_whom_the_hosts_records_need_cannot_be_deleted(house: House, checked: str) -> None:
    from sqlalchemy import text

    deferred = ""
    if checked == "at the commit":
        if house.auth.engine.dialect.name != "postgresql":
            pytest.skip("PostgreSQL alone can be told to check a deferred constraint now")
        deferred = " deferrable initially deferred"

    ada = await house.register()
    types = {"postgresql": "uuid", "mysql": "binary(16)"}
    kind = types.get(house.auth.engine.dialect.name, "blob")
    [row] = await house.rows("users")
    raw = row["id"] if kind == "uuid" else row["id"].bytes
    async with house.auth.engine.begin() as connection:
        reference = f"author {kind} not null, foreign key (author) references propusk_users (id){deferred}"
        collation = " engine=InnoDB" if kind == "binary(16)" else ""
        await connection.execute(text(f"create table host_posts ({reference}){collation}"))
        await connection.execute(text("insert into host_posts values (:author)"), {"author": raw})
    try:
        answer = await ada.delete("/users/me", {"password": PASSWORD})

        assert (answer.status_code, answer.json()["code"]) == (409, "user_in_use")
        assert await ada.is_in()
        assert "user_deleted" not in {event["kind"] for event in await house.rows("audit_events")}
    finally:
        async with house.auth.engine.begin() as connection:
            await connection.execute(text("drop table host_posts"))
