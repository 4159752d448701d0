"""Access tokens through the door: only the genuine, living one of the right kind opens it."""

from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from propusk.crypto.keyfiles import read_keys
from propusk.settings import Algorithm
from tests.conftest import MakeHouse
from tests.forgeries import Signer, forgeries, misfits
from tests.kit import House

PROTECTED = [
    *(("GET", "/users/me"), ("PATCH", "/users/me"), ("GET", "/auth/sessions"), ("DELETE", "/auth/sessions")),
    *(("POST", "/users/me/password"), ("POST", "/users/me/delete"), ("GET", "/users"), ("POST", "/users")),
    *(("GET", "/users/0193b0a0-0000-7000-8000-000000000001"), ("DELETE", "/users/me")),
]


async def raw(
    house: House, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes = b"{}"
) -> tuple[int, Any]:
    """Status and headers of a request that no client library would send."""
    sent: list[Message] = []
    fixed = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")]

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method}
    scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http"}
    scope |= {"headers": fixed + headers, "server": ("127.0.0.1", 8000), "client": ("198.51.100.7", 1)}
    await house.app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"])


def sendable(token: str) -> bytes:
    return token.encode("utf-8", "surrogateescape").replace(b"\r", b"").replace(b"\n", b"")


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_t12_no_forgery_opens_the_door(make_house: MakeHouse, algorithm: Algorithm) -> None:
    house = await make_house(token_algorithm=algorithm)
    ada = await house.register()
    token = ada.tokens["access_token"]
    assert house.auth.settings.signing_key_file is not None
    private = read_keys(house.auth.settings.signing_key_file)
    for name, forged in forgeries(token, private):
        value = b"Bearer " + sendable(forged)
        if value == b"Bearer " + token.encode():
            continue  # its difference was a line end, which no header carries
        status, headers = await raw(house, "GET", "/users/me", [(b"authorization", value)])
        assert status == 401, name
        assert headers[b"www-authenticate"].startswith(b"Bearer"), name
    assert await ada.is_in()


async def test_t13_our_own_key_opens_nothing_with_a_header_of_another_kind(house: House) -> None:
    ada = await house.register()
    signing = house.auth.keys._ring.signing_key(house.clock.now)
    assert signing is not None
    signer = Signer.of(signing)
    now = int(house.clock.now.timestamp())
    us = house.auth.settings.public_url
    claims: dict[str, Any] = {
        "iss": us,
        "aud": us,
        "client_id": us,
        "sub": ada.id,
        "sid": ada.tokens["session_id"],
        "jti": "zq7canary",
    }
    claims |= {"iat": now, "exp": now + 600}

    async def opens(token: str) -> bool:
        status, _ = await raw(house, "GET", "/users/me", [(b"authorization", b"Bearer " + token.encode())])
        return status == 200

    assert await opens(signer.sign(claims))
    for name, token in misfits(signer, claims):
        assert not await opens(token), name
    other = await house.register("bob@example.com")
    for change in (
        {"sub": other.id},
        {"sid": other.tokens["session_id"]},
        {"sid": ada.id},
        {"exp": now},
        {"iss": us + "/"},
    ):
        assert not await opens(signer.sign(claims | change)), change


async def test_t15_each_kind_of_token_opens_its_own_door_only(house: House) -> None:
    for kind, door in product(
        ("access_token", "refresh_token", "session_id"), ("header", "cookie", "refresh", "logout")
    ):
        ada = await house.log_in((await house.register(f"{kind}{door}@example.com")).email)
        token = ada.tokens[kind]
        client = house.new_client(cookies={"propusk_access": token} if door == "cookie" else {})
        match door:
            case "header":
                answer = await client.get("/users/me", headers={"Authorization": f"Bearer {token}"})
            case "cookie":
                answer = await client.get("/users/me")
            case _:
                answer = await client.post(f"/auth/{door}", json={"refresh_token": token})
        fits = (kind == "access_token") if door in ("header", "cookie") else (kind == "refresh_token")
        assert (answer.status_code < 300) is fits, (kind, door)
        assert fits or answer.status_code == 401


async def test_t15_the_cookies_are_not_interchangeable(house: House) -> None:
    ada = await house.register()
    swapped = {"propusk_access": ada.tokens["refresh_token"], "propusk_refresh": ada.tokens["access_token"]}
    client = house.new_client(cookies=swapped)
    assert (await client.get("/users/me")).status_code == 401
    assert (await client.post("/auth/refresh")).status_code == 401
    assert (await client.post("/auth/logout")).status_code == 401
    assert await ada.is_in()


async def test_t34_no_credential_is_taken_from_the_address_or_the_body(house: House) -> None:
    ada = await house.register()
    token = ada.tokens["access_token"]
    for query in (f"access_token={token}", f"token={token}", f"authorization=Bearer%20{token}"):
        assert (await house.client.get(f"/users/me?{query}")).status_code == 401
    answer = await house.client.patch("/users/me", json={"name": "x", "access_token": token})
    assert answer.status_code == 401


@pytest.mark.parametrize("bomb", [b"A" * 2**20, b"." * 2**20, b"eyJhbGciOiJub25lIn0." * 50_000, b"A" * 8193])
async def test_t17_a_bomb_is_refused_and_not_repeated(
    house: House, bomb: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    status, headers = await raw(house, "GET", "/users/me", [(b"authorization", b"Bearer " + bomb)])
    assert status == 401
    assert int(headers[b"content-length"]) < 1024
    assert all(len(record.getMessage()) < 1024 for record in caplog.records)
    status, _ = await raw(house, "GET", "/users/me", [(b"cookie", b"propusk_access=" + bomb)])
    assert status == 401


async def test_t18_whatever_the_header_a_protected_route_answers_401(house: House) -> None:
    tried = st.binary(max_size=60) | st.binary(max_size=60).map(b"Bearer ".__add__) | st.just(b"Bearer %zz")
    lists = st.lists(tried, min_size=1, max_size=2)
    samples: list[tuple[list[bytes], bool]] = []

    @settings(max_examples=60, database=None, suppress_health_check=list(HealthCheck), deadline=None)
    @given(lists, st.booleans())
    def collect(values: list[bytes], as_cookie: bool) -> None:
        samples.append((values, as_cookie))

    collect()
    for values, as_cookie in samples:
        headers = [(b"cookie", b"propusk_access=" + v) if as_cookie else (b"authorization", v) for v in values]
        for method, path in PROTECTED:
            status, answer = await raw(house, method, path, headers)
            assert status in {400, 401, 431}, (method, path, headers)
            assert status != 401 or b"www-authenticate" in answer


async def test_t18_without_any_credential_a_protected_route_answers_401(house: House) -> None:
    for method, path in PROTECTED:
        status, answer = await raw(house, method, path, [])
        assert (status, answer[b"www-authenticate"]) == (401, b"Bearer"), path
