"""Introspection (RFC 7662): other services ask whether a token is alive at this moment."""

import hashlib
from typing import Any

import httpx
import pytest

from tests.conftest import MakeHouse
from tests.kit import House, Person

SECRET = "zq7canary-client-secret"
CLIENTS = [
    "gateway:" + hashlib.sha256(SECRET.encode()).hexdigest().upper(),
    "shop:" + hashlib.sha256(b"zq7canary-other").hexdigest(),
]


async def ask(house: House, token: Any, auth: Any = ("gateway", SECRET), **more: str) -> httpx.Response:
    return await house.client.post("/auth/introspect", data={"token": token, **more}, auth=auth)


@pytest.fixture
async def asked(make_house: MakeHouse) -> House:
    return await make_house(introspection_clients=CLIENTS, public_url="https://auth.example.com", audience="shop")


async def active(house: House, token: str) -> bool:
    answer = await ask(house, token)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    if not answer.json()["active"]:
        assert answer.json() == {"active": False}
    return bool(answer.json()["active"])


async def test_a_live_access_token_is_described(asked: House) -> None:
    ada = await asked.register()
    seconds = int(asked.clock.now.timestamp())
    answer = (await ask(asked, ada.tokens["access_token"], token_type_hint="refresh_token")).json()
    assert answer.pop("jti")
    assert answer == {
        **{"active": True, "token_type": "access_token", "iss": "https://auth.example.com", "aud": "shop"},
        **{"client_id": "shop", "sub": ada.id, "sid": ada.tokens["session_id"], "iat": seconds, "exp": seconds + 600},
    }


async def test_a_live_refresh_token_is_described_and_not_used_up(asked: House) -> None:
    ada = await asked.register()
    answer = (await ask(asked, ada.tokens["refresh_token"])).json()
    assert (answer["active"], answer["token_type"], answer["sub"]) == (True, "refresh_token", ada.id)
    assert answer["exp"] - answer["iat"] == 30 * 86400
    old = ada.tokens["refresh_token"]
    assert (await ada.refresh()).status_code == 200
    assert not await active(asked, old)
    assert await active(asked, ada.tokens["refresh_token"])
    assert await ada.is_in(), "asking about an old token ends nothing"


async def test_json_is_taken_as_well(asked: House) -> None:
    ada = await asked.register()
    body = {"token": ada.tokens["access_token"]}
    answer = await asked.client.post("/auth/introspect", json=body, auth=("shop", "zq7canary-other"))
    assert answer.json()["active"] is True


async def test_t24_the_answer_is_live(asked: House) -> None:
    root = await asked.superuser()
    ada = await asked.register()
    tokens = [ada.tokens["access_token"], ada.tokens["refresh_token"]]
    assert [await active(asked, token) for token in tokens] == [True, True]
    await root.patch(f"/users/{ada.id}", {"is_active": False})
    assert [await active(asked, token) for token in tokens] == [False, False]

    bob: Person = await asked.register("bob@example.com")
    asked.clock.tick(minutes=10)
    assert not await active(asked, bob.tokens["access_token"])
    assert await active(asked, bob.tokens["refresh_token"])
    await bob.client.post("/auth/logout", json={"refresh_token": bob.tokens["refresh_token"]})
    assert not await active(asked, bob.tokens["refresh_token"])


@pytest.mark.parametrize(
    "token", ["", "zq7canary", "x" * 20_000, "a.b.c", "prt1_", "prt1_" + "A" * 70, "é", "../../etc/passwd"]
)
async def test_t15_what_is_no_token_is_not_active(asked: House, token: str) -> None:
    assert not await active(asked, token)


@pytest.mark.parametrize(
    "auth",
    [None, ("gateway", "zq7canary-wrong"), ("gateway", ""), ("nobody", SECRET), ("shop", SECRET), ("GATEWAY", SECRET)],
)
async def test_a_wrong_client_is_a_401(asked: House, auth: Any) -> None:
    ada = await asked.register()
    answer = await ask(asked, ada.tokens["access_token"], auth)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


async def test_a_users_own_token_is_no_client(asked: House) -> None:
    ada = await asked.register()
    answer = await ada.post("/auth/introspect", json={"token": ada.tokens["access_token"]})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_client")


async def test_nobody_may_ask_where_no_client_is_configured(house: House) -> None:
    ada = await house.register()
    for auth in (("gateway", SECRET), ("", ""), None):
        answer = await ask(house, ada.tokens["access_token"], auth)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_client")


@pytest.mark.parametrize("body", [{}, {"token": 1}, {"token": None}, []])
async def test_a_request_without_a_token_is_a_422(asked: House, body: Any) -> None:
    answer = await asked.client.post("/auth/introspect", json=body, auth=("gateway", SECRET))
    assert answer.status_code == 422


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256", "HS256"])
async def test_an_encrypted_token_can_be_read_by_nobody_but_introspected(make_house: MakeHouse, algorithm: str) -> None:
    house = await make_house(introspection_clients=CLIENTS, token_encryption=True, token_algorithm=algorithm)
    ada = await house.register()
    token = ada.tokens["access_token"]
    assert token.count(".") == 4
    assert ada.id not in token
    assert await ada.is_in()
    answer = (await ask(house, token)).json()
    assert (answer["active"], answer["sub"]) == (True, ada.id)


async def test_t15_a_signed_token_is_refused_where_encrypted_ones_are_expected_and_the_reverse(
    make_house: MakeHouse,
) -> None:
    signed = await make_house(introspection_clients=CLIENTS)
    encrypted = await make_house(introspection_clients=CLIENTS, token_encryption=True, clock=signed.clock)
    ada = await signed.register()
    eve = await encrypted.log_in("ada@example.com")
    for house, other in ((signed, eve), (encrypted, ada)):
        assert (await house.client.get("/users/me", headers=other.bearer)).status_code == 401
        assert not await active(house, other.tokens["access_token"])
