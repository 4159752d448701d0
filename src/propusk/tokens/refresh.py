"""Refresh a session: advance its one lineage of refresh tokens, and notice a token that comes back."""

from dataclasses import replace
from functools import partial

from propusk.context import Context, keep
from propusk.errors import InvalidRefreshToken, RefreshTokenReused
from propusk.events import RefreshTokenReuseDetected, publish
from propusk.sessions import queries
from propusk.sessions.models import Session, is_live
from propusk.store import Hit, by_network, check_limits
from propusk.tokens.issue import TokenPair, issue_tokens
from propusk.tokens.refresh_token import RefreshToken, is_authentic, parse_refresh_token
from propusk.users.models import User
from propusk.users.queries import lock_user


async def refresh_session(ctx: Context, *, token: str) -> TokenPair:
    """Exchange a refresh token for new tokens of its session (RFC 6749, section 6; RFC 9700, section 4.14.2).

    The current token advances the session. Its direct parent, within `refresh_grace` of its first use, is answered with
    the same successor: a double click, two tabs, a lost answer. Anything older is theft, and the session ends.

    Raises:
        InvalidRefreshToken: not one of ours, or its session has ended, or the host has none any more.
        RefreshTokenReused: a used token; the session has been ended.
        TooManyRequests
    """
    if not ctx.host.refresh_tokens:  # one from before there were none
        raise InvalidRefreshToken
    parsed, session, user = await find_by_refresh_token(ctx, token)
    await check_limits(ctx.store, [Hit("refresh", str(session.id), ctx.settings.limits.refresh)], now=ctx.now)
    if not is_live(session, user, ctx.now):
        raise InvalidRefreshToken
    if parsed.counter == session.refresh_counter:
        advanced = await _advance(ctx, session)
        if advanced is not None:
            return _issue(ctx, advanced, user)
        session = await _read_again(ctx, session, user)
    if parsed.counter == session.refresh_counter - 1 and _within_grace(ctx, session):
        return _issue(ctx, session, user)
    raise await _end_stolen(ctx, session)


async def find_by_refresh_token(ctx: Context, token: str) -> tuple[RefreshToken, Session, User]:
    """The session that an authentic refresh token, however old, belongs to. Bad ones are counted by network.

    Raises:
        InvalidRefreshToken, TooManyRequests
    """
    parsed = parse_refresh_token(token)
    found = await queries.find_session(ctx, parsed.session_id) if parsed is not None else None
    if parsed is None or found is None or not is_authentic(ctx.keyring.secrets, parsed, found[0].refresh_seed):
        hits = by_network("bad refresh", ctx.client.network, ctx.settings.limits.refresh)
        await check_limits(ctx.store, hits, now=ctx.now)
        raise InvalidRefreshToken
    return parsed, *found


async def _advance(ctx: Context, session: Session) -> Session | None:
    idle_expires_at = min(ctx.now + ctx.settings.refresh_token_ttl, session.expires_at)
    key = ctx.keyring.secrets.newest.fingerprint
    if not await queries.claim_refresh(ctx, session, idle_expires_at=idle_expires_at, refresh_key=key):
        return None
    return replace(
        session,
        refresh_counter=session.refresh_counter + 1,
        refresh_key=key,
        refreshed_at=ctx.now,
        last_seen_at=ctx.now,
        idle_expires_at=idle_expires_at,
    )


async def _read_again(ctx: Context, session: Session, user: User) -> Session:
    """The state that the winner of the race left behind."""
    found = await queries.find_current_session(ctx, session.id)
    if found is None or not is_live(found, user, ctx.now):
        raise InvalidRefreshToken
    return found


def _within_grace(ctx: Context, session: Session) -> bool:
    # In both directions: a first use while the clock was ahead has no grace until the clock gets there.
    return session.refreshed_at is not None and abs(ctx.now - session.refreshed_at) <= ctx.settings.refresh_grace


def _issue(ctx: Context, session: Session, user: User) -> TokenPair:
    # The row names the key, so that two nodes with other newest keys still compute the same successor.
    key = ctx.keyring.secrets.find(session.refresh_key)
    if key is None:
        raise InvalidRefreshToken
    return issue_tokens(ctx, session, user, key=key)


async def _end_stolen(ctx: Context, session: Session) -> RefreshTokenReused | InvalidRefreshToken:
    ended = await keep(ctx, partial(_end, session=session))
    return InvalidRefreshToken() if ended is False else RefreshTokenReused()


async def _end(ctx: Context, session: Session) -> bool:
    """End the session once; whoever comes later finds it ended and causes no second event."""
    # What is written of it points at the user, whose row is locked before a session's everywhere.
    await lock_user(ctx, session.user_id)
    if not await queries.claim_end(ctx, session.id, session.user_id):
        return False
    await publish(ctx, RefreshTokenReuseDetected(user_id=session.user_id, session_id=session.id))
    return True
