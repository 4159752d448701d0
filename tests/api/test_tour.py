"""The life of an account, from end to end."""

from tests.kit import PASSWORD, House


async def test_an_account_lives_from_registration_to_deletion(house: House) -> None:
    ada = await house.register("Ada@Example.com", username="Ada")
    assert (await ada.get("/users/me")).json()["username"] == "Ada"

    phone = await (await house.log_in("ADA")).refresh()
    assert phone.status_code == 200
    assert len((await ada.get("/auth/sessions")).json()["items"]) == 2

    assert (await ada.delete("/users/me", json={"password": PASSWORD})).status_code == 204
    assert not await ada.is_in()
    assert (await house.client.post("/auth/login", json={"login": "ada", "password": PASSWORD})).status_code == 401
    assert await house.rows("users") == []
    assert await house.rows("sessions") == []


async def test_logout_is_logout(house: House) -> None:
    ada = await house.register()
    other = await ada.log_in()

    assert (await ada.post("/auth/logout")).status_code == 204

    assert not await ada.is_in()
    assert (await ada.refresh()).json()["code"] == "invalid_refresh_token"
    assert await other.is_in()
