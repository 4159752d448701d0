"""The verifier beside the service itself: rotation, revocation, logout, and tokens that only the issuer can read."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from propusk.context import Context
from propusk.crypto.keyfiles import read_keys
from propusk.crypto.keyring import JWKS_MAX_AGE, STALE
from propusk.settings import Settings
from propusk.tokens.keys import revoke_key, rotate_keys
from propusk.verify import InvalidToken, IssuerUnavailable, Request, Response, TokenVerifier
from tests.conftest import MakeHouse
from tests.kit import House

ISSUER = "https://auth.example.com"
AUDIENCE = "https://shop.example.com"
SECRET = "zq7canary-client-secret"
SETTINGS: dict[str, Any] = {
    **{"public_url": ISSUER, "audience": AUDIENCE},
    "introspection_clients": ["shop:" + hashlib.sha256(SECRET.encode()).hexdigest()],
}


def verifier_for(house: House, **options: Any) -> TokenVerifier:
    """A verifier that reaches the house, and whose clocks are the house's."""

    async def http(request: Request) -> Response:
        answer = await house.client.request(
            request.method, request.url, headers=dict(request.headers), content=request.body
        )
        return Response(answer.status_code, dict(answer.headers), answer.content)

    def timer() -> float:
        return house.clock.now.timestamp()

    more: dict[str, Any] = {"http": http, "clock": house.clock, "timer": timer}
    return TokenVerifier(ISSUER, AUDIENCE, **(more | options))


def live_for(house: House, **options: Any) -> TokenVerifier:
    return verifier_for(house, live=True, **({"client_id": "shop", "client_secret": SECRET} | options))


async def accepts(verifier: TokenVerifier, token: str) -> bool:
    try:
        await verifier.verify(token)
    except InvalidToken:
        return False
    return True


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
async def test_a_token_of_the_service_is_verified_offline(make_house: MakeHouse, algorithm: str) -> None:
    house = await make_house(**SETTINGS, token_algorithm=algorithm)
    ada = await house.register()
    token = await verifier_for(house).verify(ada.tokens["access_token"])
    assert (token.subject, token.session_id) == (ada.id, ada.tokens["session_id"])
    assert token.expires_at - token.issued_at == timedelta(minutes=10)


@pytest.mark.parametrize("algorithm", ["EdDSA", "HS256"])
@pytest.mark.parametrize("encrypted", [False, True])
async def test_live_verification_reads_what_nobody_else_can(
    make_house: MakeHouse, algorithm: str, encrypted: bool
) -> None:
    house = await make_house(**SETTINGS, token_algorithm=algorithm, token_encryption=encrypted)
    ada = await house.register()
    token = ada.tokens["access_token"]
    found = await live_for(house).verify(token)
    assert (found.subject, found.session_id) == (ada.id, ada.tokens["session_id"])
    if encrypted:
        with pytest.raises(InvalidToken):
            await verifier_for(house).verify(token)
    elif algorithm == "HS256":
        with pytest.raises(IssuerUnavailable):
            await verifier_for(house).verify(token)


async def test_t15_a_refresh_token_is_no_access_token_anywhere(make_house: MakeHouse) -> None:
    house = await make_house(**SETTINGS)
    ada = await house.register()
    for verifier in (verifier_for(house), live_for(house)):
        assert not await accepts(verifier, ada.tokens["refresh_token"])


async def test_t23_a_logout_holds_at_once_when_asked_live_and_offline_when_the_token_ends(
    make_house: MakeHouse,
) -> None:
    house = await make_house(**SETTINGS)
    ada = await house.register()
    token = ada.tokens["access_token"]
    offline, live = verifier_for(house), live_for(house)
    assert [await accepts(verifier, token) for verifier in (offline, live)] == [True, True]
    assert (await ada.post("/auth/logout")).status_code == 204
    assert [await accepts(verifier, token) for verifier in (offline, live)] == [True, False]
    house.clock.tick(minutes=10, seconds=29)
    assert await accepts(offline, token)
    house.clock.tick(seconds=1)
    assert not await accepts(offline, token), "the token's life and the leeway are the bound"


async def test_a_wrong_client_secret_lets_nobody_in(make_house: MakeHouse) -> None:
    house = await make_house(**SETTINGS)
    ada = await house.register()
    with pytest.raises(IssuerUnavailable, match="status 401"):
        await live_for(house, client_secret="zq7canary-wrong").verify(ada.tokens["access_token"])


async def test_t14_a_rotation_refuses_no_token(make_house: MakeHouse, tmp_path: Any, signing_key_file: Any) -> None:
    own = tmp_path / "keys.pem"
    own.touch(0o600)
    own.write_bytes(next(key.pem for key in read_keys(signing_key_file) if key.algorithm == "EdDSA"))
    house = await make_house(**SETTINGS, signing_key_file=own)
    ada = await house.register()
    verifiers = [verifier_for(house) for _ in range(4)]
    kids: list[str] = []

    async def step(number: int) -> None:
        house.clock.tick(seconds=10)
        await house.auth.keys.load()
        await ada.refresh()
        token = ada.tokens["access_token"]
        kids.append(token.partition(".")[0])
        for index, verifier in enumerate(verifiers):
            if number % (index * 7 + 1) == 0:  # some are used all the time, some seldom
                assert await accepts(verifier, token), (number, index)

    for number in range(10):
        await step(number)
    await house.do(rotate_keys)
    wait = int((JWKS_MAX_AGE + STALE).total_seconds())
    for number in range(10, wait // 10 + 40):
        await step(number)
    assert len(set(kids)) == 2, "the new key signs"


async def test_a_revoked_key_is_refused_offline_after_the_caches_age_at_the_latest(
    make_house: MakeHouse, tmp_path: Any, signing_key_file: Any
) -> None:
    own = tmp_path / "keys.pem"
    own.touch(0o600)
    own.write_bytes(next(key.pem for key in read_keys(signing_key_file) if key.algorithm == "EdDSA"))
    house = await make_house(**SETTINGS, signing_key_file=own, access_token_ttl=timedelta(hours=1))
    ada = await house.register()
    token = ada.tokens["access_token"]
    offline, live = verifier_for(house), live_for(house)
    assert [await accepts(verifier, token) for verifier in (offline, live)] == [True, True]
    _, written = await house.do(rotate_keys)
    assert written

    async def act(ctx: Context) -> Any:
        (kid,) = [key.kid for key in read_keys(signing_key_file) if key.algorithm == "EdDSA"]
        return await revoke_key(ctx, kid=kid)

    await house.do(act)
    await house.auth.keys.load()
    assert not await accepts(live, token)
    house.clock.tick(seconds=JWKS_MAX_AGE.total_seconds())
    assert not await accepts(offline, token)


async def test_the_issuers_times_are_those_that_verifiers_rely_on(house: House) -> None:
    """The verifier imports nothing of the service, so what both say is compared here."""
    settings: Settings = house.auth.settings
    assert settings.access_token_ttl == timedelta(minutes=10), "docs/guides/verifier.md names it"
    assert timedelta(minutes=5) == JWKS_MAX_AGE
