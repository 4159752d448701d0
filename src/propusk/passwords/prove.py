"""Prove one's password once more, before something that cannot be undone."""

from functools import partial

from propusk.context import Context, keep
from propusk.errors import WrongPassword
from propusk.events import PasswordRefused, publish
from propusk.login.throttle import check_throttle, forgive, of_session
from propusk.passwords import queries
from propusk.passwords.guess import guess
from propusk.sessions.models import Principal


async def prove_password(ctx: Context, *, principal: Principal, password: str) -> str:
    """Check the password of somebody who is logged in; returns its stored hash, for a compare-and-set.

    Raises:
        WrongPassword, TooManyRequests, Overloaded
    """
    user, session = principal.user, principal.session
    with ctx.passwords.expecting(ctx.client.network):
        stored = await queries.find_hash_alone(ctx, user.id)
        attempt = await check_throttle(ctx, of_session(ctx, str(user.id), str(session.id)))
    verdict = await guess(ctx, attempt, stored=stored, password=password)
    if stored is None or not verdict.ok:
        event = PasswordRefused(user_id=user.id, actor_id=user.id, session_id=session.id)
        await keep(ctx, partial(publish, event=event))
        raise WrongPassword
    await forgive(ctx, attempt)
    return stored
