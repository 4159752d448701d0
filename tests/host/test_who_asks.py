"""Who is at the other end of a context that a host asks for: limits by network are for those who are somewhere."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from propusk import Client, Context
from propusk.auth import Auth
from propusk.domain import forgot_password, login_with_password, refresh_session, register_with_password
from propusk.errors import InvalidCredentials, InvalidRefreshToken, TooManyRequests
from tests.host.stand import MakeStand
from tests.kit import PASSWORD, limits

TIGHT = {
    "limits": limits(
        register="2/1h",
        refresh="2/1h",
        mail_network="2/1h",
        login_network="2/1h",
        login_pair="2/1h",
        login_account="4/1h",
    )
}
Act = Callable[[Context, int], Awaitable[object]]


async def register(ctx: Context, _n: int) -> None:
    await register_with_password(ctx, email=f"{uuid4()}@example.com", password=PASSWORD)


async def guess_refresh(ctx: Context, _n: int) -> None:
    with pytest.raises(InvalidRefreshToken):
        await refresh_session(ctx, token="rubbish")


async def forget(ctx: Context, n: int) -> None:
    await forgot_password(ctx, email=f"user{n}@example.com")


async def guess(ctx: Context, n: int) -> None:
    with pytest.raises(InvalidCredentials):
        await login_with_password(ctx, login=f"user{n}@example.com", password="zq7canary wrong")


async def passed(auth: Auth, client: Client | None, act: Act, times: int = 6) -> int:
    """How many of so many attempts, each in a transaction of a host's own, were not too many."""
    for n in range(times):
        async with auth.sessions() as db:
            try:
                await act(await auth.context(db, client=client), n)
                await db.commit()
            except TooManyRequests:
                return n
    return times


@pytest.mark.parametrize("act", [register, guess_refresh, forget, guess])
async def test_nobody_at_the_other_end_is_not_limited_by_network(make_stand: MakeStand, act: Act) -> None:
    auth = (await make_stand(settings=TIGHT)).auth
    assert await passed(auth, Client(ip="203.0.113.9", network="203.0.113.9"), act) == 2
    assert await passed(auth, None, act) == 6


async def test_guesses_at_one_account_are_limited_whoever_asks(make_stand: MakeStand) -> None:
    auth = (await make_stand(settings=TIGHT)).auth

    async def guess_hers(ctx: Context, _n: int) -> None:
        await guess(ctx, 0)

    assert await passed(auth, None, guess_hers) == 4


async def test_a_job_registers_and_logs_in_as_often_as_it_likes(make_stand: MakeStand) -> None:
    auth = (await make_stand(settings=TIGHT)).auth
    for n in range(4):
        email = f"user{n}@example.com"
        async with auth.transaction() as ctx:
            await register_with_password(ctx, email=email, password=PASSWORD)
        for _ in range(3):
            async with auth.transaction() as ctx:
                await login_with_password(ctx, login=email, password=PASSWORD)


async def test_a_host_that_does_not_say_who_asks_is_told_to(make_stand: MakeStand) -> None:
    auth = (await make_stand()).auth
    async with auth.sessions() as db:
        with pytest.raises(TypeError, match="client"):
            await auth.context(db)  # type: ignore[call-arg]
