"""Log in with e-mail or username and password."""

import asyncio
import time
from functools import partial

from propusk.context import Context, keep
from propusk.errors import AuthError, InvalidCredentials, Overloaded
from propusk.events import LoginFailed, publish
from propusk.login.barred import barred
from propusk.login.complete import complete_login
from propusk.login.throttle import check_throttle, forgive, of_account, of_name
from propusk.passwords import queries
from propusk.passwords.guess import guess
from propusk.tokens.issue import TokenPair
from propusk.users.email_address import login_key
from propusk.users.models import User


async def login_with_password(ctx: Context, *, login: str, password: str) -> TokenPair:
    """Start a session for who knows the password.

    Unknown user, wrong password and no password are refused alike: after the same statements and one hash. So is an
    attempt beyond the limits that an account's names share: a 429 would say that two names are one person's, or that a
    name is somebody's by now.

    Raises:
        InvalidCredentials, AccountDisabled, EmailNotVerified, TooManyRequests, Overloaded
    """
    started = time.monotonic()
    key = login_key(login)
    with ctx.passwords.expecting(ctx.client.network):
        found = await queries.find_user_and_hash(ctx, key or ("email", ""))
        user, stored, known = found or (None, None, False)
        # What can be nobody's name counts as one for each network: neither may a stranger's typing use it up for
        # others, nor make a counter for each thing typed.
        name, at_home = " ".join(key or ("no name",)), known or key is None
        account = of_account(ctx, str(user.id) if user is not None else name, at_home=at_home)
        attempt = await check_throttle(ctx, of_name(ctx, name, at_home=at_home), untold=account)
    verdict = await guess(ctx, attempt, stored=None if attempt.void else stored, password=password)
    if user is None or stored is None or not verdict.ok:
        raise await _refuse(ctx, user, InvalidCredentials(), started)
    if (refusal := barred(ctx, user)) is not None:
        raise await _refuse(ctx, user, refusal, started)
    rehashed = await _rehash(ctx, password) if verdict.rehash else None
    await forgive(ctx, attempt)
    pair = await complete_login(ctx, user, methods=("pwd",))
    if rehashed is not None:
        # Lost only against another login that did the same: a new password would have refused this one.
        await queries.claim_hash(ctx, user.id, old=stored, new=rehashed)
    return pair


async def _refuse(ctx: Context, user: User | None, refusal: AuthError, started: float) -> AuthError:
    # The wait comes before the first write, or it would hold a connection, and on SQLite every other writer.
    floor = ctx.settings.login_floor.total_seconds()
    await asyncio.sleep(max(0.0, started + floor - time.monotonic()))
    event = LoginFailed(user_id=user.id if user else None, detail=refusal.code)
    await keep(ctx, partial(publish, event=event))
    return refusal


async def _rehash(ctx: Context, password: str) -> str | None:
    """A hash with the current parameters; None when the queue is full: the next login will do."""
    try:
        return await ctx.passwords.hash(password, share=ctx.client.network)
    except Overloaded:
        return None
