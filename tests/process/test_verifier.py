"""The verifier against a running service: over the wire, through logout, and while the service is away."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from propusk.verify import AccessToken, InvalidToken, IssuerUnavailable, TokenVerifier
from tests.process.people import logout, new_person
from tests.process.service import PATIENCE
from tests.process.town import Town, town_on
from tests.process.wire import Ask, connect, once

pytestmark = pytest.mark.xdist_group("clusters")
SECRET = "zq7canary-client-secret"


@pytest.fixture(scope="module")
def issuer(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A service of two workers that one other service may ask."""
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    settings = {"PROPUSK_INTROSPECTION_CLIENTS": f"shop:{digest}"}
    with town_on(database, tmp_path_factory.mktemp(f"issuer_{database}"), workers=2, settings=settings) as town:
        yield town


def offline_for(town: Town, **options: Any) -> TokenVerifier:
    return TokenVerifier(town.service.url, town.service.url, **{"timeout": PATIENCE, **options})


def live_for(town: Town, **options: Any) -> TokenVerifier:
    return offline_for(town, live=True, client_id="shop", client_secret=SECRET, **options)


async def outcome(verifier: TokenVerifier, token: str) -> type:
    try:
        return type(await verifier.verify(token))
    except (InvalidToken, IssuerUnavailable) as refused:
        return type(refused)


async def test_t23_a_logout_holds_at_once_when_asked_live_and_offline_when_the_token_ends(issuer: Town) -> None:
    async with offline_for(issuer, leeway=0) as offline, live_for(issuer) as live:
        person = await new_person(issuer.port)
        token = (await person.log_in()).access
        for verifier in (offline, live):
            assert (await verifier.verify(token)).subject == person.id
        assert (await once(issuer.port, logout(token))).status == 204
        assert await outcome(live, token) is InvalidToken
        assert await outcome(offline, token) is AccessToken
        for minutes, expected in ((9, AccessToken), (10, InvalidToken)):
            then = datetime.now(UTC) + timedelta(minutes=minutes)
            async with offline_for(issuer, leeway=0, clock=lambda then=then: then) as later:
                assert await outcome(later, token) is expected


async def test_t23_no_verification_that_starts_after_a_logout_is_answered_with_an_older_one(issuer: Town) -> None:
    """Others ask about the same token all the time, so that there is always a question on its way."""
    person = await new_person(issuer.port)
    async with live_for(issuer) as live, await connect(issuer.port, 1) as wires:
        for _ in range(60):
            token = (await person.log_in()).access
            ended = asyncio.Event()

            async def ask(token: str = token, ended: asyncio.Event = ended) -> None:
                while True:
                    started_after = ended.is_set()
                    found = await outcome(live, token)
                    assert found is InvalidToken or (found is AccessToken and not started_after)
                    if started_after:
                        return

            askers = [asyncio.create_task(ask()) for _ in range(8)]
            await asyncio.sleep(0.005)
            assert (await wires[0].ask(logout(token))).status == 204
            ended.set()
            assert await outcome(live, token) is InvalidToken
            await asyncio.gather(*askers)


async def test_while_the_service_is_away_offline_goes_on_and_live_lets_nobody_in(issuer: Town) -> None:
    async with offline_for(issuer) as offline, live_for(issuer) as live, offline_for(issuer) as late:
        person = await new_person(issuer.port)
        token = (await person.log_in()).access
        assert [await outcome(verifier, token) for verifier in (offline, live)] == [AccessToken, AccessToken]
        issuer.service.stop()
        try:
            outcomes = [await outcome(verifier, token) for verifier in (offline, live, late)]
        finally:
            issuer.service.start()
        assert outcomes == [AccessToken, IssuerUnavailable, IssuerUnavailable]
        token = (await person.log_in()).access
        await asyncio.sleep(1)
        outcomes = [await outcome(verifier, token) for verifier in (offline, live, late)]
        assert outcomes == [AccessToken, AccessToken, AccessToken]


async def test_a_new_key_is_known_before_it_signs(issuer: Town) -> None:
    done = issuer.service.run("keys", "rotate", "--json")
    assert done.returncode == 0, done.stderr
    kid = json.loads(done.stdout)["kid"]
    person = await new_person(issuer.port)
    async with asyncio.timeout(PATIENCE):
        while True:
            keys = (await once(issuer.port, Ask("GET", "/.well-known/jwks.json"))).json()["keys"]
            if kid in [key["kid"] for key in keys]:
                break
            await asyncio.sleep(0.2)
    async with offline_for(issuer) as offline:
        for _ in range(5):
            assert await outcome(offline, (await person.log_in()).access) is AccessToken
