"""`POST /users/me/password`."""

import asyncio

import httpx

from tests.kit import PASSWORD, House, Person

NEW = "zq7canary new horse"


async def change(person: Person, current: str = PASSWORD, new: str = NEW) -> httpx.Response:
    return await person.post("/users/me/password", {"current_password": current, "new_password": new})


async def test_a_changed_password_replaces_the_old_one(house: House) -> None:
    ada = await house.register()

    answer = await change(ada)

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"
    old = await house.client.post("/auth/login", json={"login": ada.email, "password": PASSWORD})
    assert (old.status_code, old.json()["code"]) == (401, "invalid_credentials")
    assert await (await house.log_in(ada.email, NEW)).is_in()


async def test_all_other_sessions_end_and_this_one_goes_on(house: House) -> None:
    ada = await house.register()
    phone, eve = await ada.log_in(), await house.register("eve@example.com")

    await change(ada)

    assert await ada.is_in()
    assert (await ada.refresh()).status_code == 200
    assert not await phone.is_in()
    assert (await phone.refresh()).json()["code"] == "invalid_refresh_token"
    assert await eve.is_in()
    assert len((await ada.get("/auth/sessions")).json()["items"]) == 1


async def test_a_wrong_current_password_changes_nothing(house: House) -> None:
    ada = await house.register()
    phone = await ada.log_in()

    for current in ("zq7canary wrong horse", "", "zq7canary" * 500, PASSWORD + " "):
        answer = await change(ada, current)
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")
        assert "zq7canary" not in answer.text

    assert await phone.is_in()
    assert await (await ada.log_in()).is_in()


async def test_a_bad_new_password_is_told_before_the_current_one_is_tried(house: House) -> None:
    ada = await house.register()
    before = house.auth.passwords.calls

    for new, code in (("zq7cana", "too_short"), ("zq7canary" * 29, "too_long"), ("Ada.example1", "weak_password")):
        for current in (PASSWORD, "zq7canary wrong horse"):
            answer = await change(ada, current, new)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "new_password")
            assert answer.json()["errors"][0]["code"] == code

    assert house.auth.passwords.calls == before


async def test_what_is_missing_unknown_or_of_another_type_is_named(house: House) -> None:
    ada = await house.register()
    both = {"current_password": PASSWORD, "new_password": NEW}

    for body, fault in (
        ({}, ("current_password", "missing")),
        ({"current_password": PASSWORD}, ("new_password", "missing")),
        (both | {"new_password": 12345678}, ("new_password", "wrong_type")),
        (both | {"user_id": ada.id}, ("user_id", "extra_forbidden")),
        (both | {"password": NEW}, ("password", "extra_forbidden")),
    ):
        answer = await ada.post("/users/me/password", body)
        assert answer.status_code == 422
        assert (answer.json()["errors"][0]["field"], answer.json()["errors"][0]["code"]) == fault

    assert await (await ada.log_in()).is_in()


async def test_t08_the_current_password_may_be_typed_in_another_unicode_form(house: House) -> None:
    ada = await house.register(password="zq7canary café")

    assert (await change(ada, "zq7canary cafe\u0301")).status_code == 204


async def test_of_two_changes_at_once_one_wins(house: House) -> None:
    ada = await house.register()
    phone = await ada.log_in()
    passwords = ("zq7canary first horse", "zq7canary second horse")

    answers = await asyncio.gather(change(ada, PASSWORD, passwords[0]), change(phone, PASSWORD, passwords[1]))

    assert sorted(answer.status_code for answer in answers) in ([204, 401], [204, 403])
    winner = [answer.status_code for answer in answers].index(204)
    assert [await ada.is_in(), await phone.is_in()] == [winner == 0, winner == 1]
    for n, password in enumerate(passwords):
        login = await house.client.post("/auth/login", json={"login": ada.email, "password": password})
        assert login.status_code == (200 if n == winner else 401)


async def test_a_login_that_began_with_the_old_password_ends_with_it(house: House) -> None:
    ada = await house.register()

    logins = [house.client.post("/auth/login", json={"login": ada.email, "password": PASSWORD}) for _ in range(12)]
    changed, *answers = await asyncio.gather(change(ada), *logins)

    assert changed.status_code == 204
    assert {answer.status_code for answer in answers} <= {200, 401}
    for answer in answers:
        if answer.status_code == 200:
            bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            assert (await house.client.get("/users/me", headers=bearer)).status_code == 401
    assert await ada.is_in()
