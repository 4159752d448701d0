"""Whether an address is taken, asked by a change to it: told a few times, or never."""

from typing import Any

import httpx
import pytest

from propusk.domain import create_user_with_password, find_user_by_login, list_live_sessions
from propusk.passwords.prove import prove_password
from propusk.sessions.models import Principal
from tests.contrib.test_fastapi_users import ADA, application, log_in, stand_of
from tests.host.stand import MakeStand, Stand
from tests.kit import PASSWORD, limits

TAKEN = {"detail": "UPDATE_USER_EMAIL_ALREADY_EXISTS"}


async def two_users(make_stand: MakeStand, **settings: Any) -> Stand:
    stand = await stand_of(make_stand, application(), **settings)
    for email in (ADA, "bo@example.com"):
        async with stand.auth.transaction() as ctx:
            await create_user_with_password(ctx, actor=None, email=email, password=PASSWORD)
    return stand


@pytest.mark.parametrize("more", [{}, {"password": "zq7canary new mule"}])
async def test_with_private_registration_a_change_tells_nobody_who_has_an_account(
    make_stand: MakeStand, more: dict[str, str]
) -> None:
    stand = await two_users(make_stand, private_registration=True)
    bearer = await log_in(stand)

    taken, free = [
        await stand.client.patch("/users/me", json={"email": email} | more, headers=bearer)
        for email in ("BO@example.com", "nobody@example.com")
    ]
    assert (taken.status_code, taken.json()) == (free.status_code, free.json()) == (200, taken.json())
    own = await stand.client.patch("/users/me", json={"email": "ADA@example.com"}, headers=bearer)
    assert (own.status_code, own.json()) == (400, TAKEN), "this is nobody else's"


async def ask(stand: Stand, bearer: dict[str, str], email: str) -> int:
    return (await stand.client.patch("/users/me", json={"email": email}, headers=bearer)).status_code


async def test_a_user_may_ask_only_so_often_whether_an_address_is_taken(make_stand: MakeStand) -> None:
    stand = await two_users(make_stand, limits=limits(login_account="2/1h"))
    bearer, elsewhere, bo = await log_in(stand), await log_in(stand), await log_in(stand, "bo@example.com")

    assert [await ask(stand, bearer, email) for email in ("bo@example.com", "c@example.com")] == [400, 200]
    assert [await ask(stand, bearer, email) for email in ("bo@example.com", "d@example.com")] == [429, 429]
    assert await ask(stand, bearer, ADA) == 200, "one's own is no question"
    assert [await ask(stand, who, "bo@example.com") for who in (elsewhere, await log_in(stand))] == [429, 429]
    assert await ask(stand, bo, ADA) == 400
    assert (await stand.client.patch("/users/me", json={"password": "zq7canary new mule"}, headers=bearer)).is_success


async def test_a_network_may_ask_as_often_as_it_may_register_and_both(make_stand: MakeStand) -> None:
    stand = await two_users(make_stand, limits=limits(register="2/1h"))
    ada, bo = await log_in(stand), await log_in(stand, "bo@example.com")

    assert [await ask(stand, ada, "bo@example.com"), await ask(stand, bo, ADA)] == [400, 400]
    assert [await ask(stand, ada, "bo@example.com"), await ask(stand, bo, ADA)] == [429, 429]
    answer = await stand.client.post("/auth/register", json={"email": "new@example.com", "password": PASSWORD})
    assert answer.status_code == 201
    transport = httpx.ASGITransport(stand.app, client=("198.51.100.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url=stand.client.base_url) as elsewhere:
        answer = await elsewhere.patch("/users/me", json={"email": ADA}, headers=bo)
    assert answer.status_code == 400


async def test_who_asked_too_often_may_still_prove_a_password(make_stand: MakeStand) -> None:
    stand = await two_users(make_stand, limits=limits(login_account="1/1h"))
    bearer = await log_in(stand)
    assert [await ask(stand, bearer, "bo@example.com") for _ in range(2)] == [400, 429]

    async with stand.auth.transaction() as ctx:
        user = await find_user_by_login(ctx, ADA)
        assert user is not None
        session = (await list_live_sessions(ctx, user.id, limit=1))[0]
        await prove_password(ctx, principal=Principal(user, session), password=PASSWORD)
