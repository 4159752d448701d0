"""Begin a session. Only `login.complete` may call this: every way to log in ends there."""

from dataclasses import replace

from propusk.context import Context
from propusk.crypto.secrets import new_id
from propusk.errors import InvalidCredentials
from propusk.events import SessionEnded, publish
from propusk.sessions import queries
from propusk.sessions.models import Session
from propusk.users.models import User
from propusk.users.queries import record_login


async def start_session(ctx: Context, user: User, methods: tuple[str, ...]) -> tuple[Session, User]:
    """Insert a session for `user` and end the oldest ones beyond `max_sessions_per_user`.

    The session takes the epoch that the user had when the login began: if all sessions were ended since, it is dead.
    The row of the user is written first, so that two logins of one user count their sessions one after the other.

    Raises:
        InvalidCredentials: the user was deleted meanwhile.
    """
    if not await record_login(ctx, user.id):
        raise InvalidCredentials
    session = _new_session(ctx, user, methods)
    if not await queries.insert_session(ctx, session):
        raise InvalidCredentials
    for surplus in await queries.find_surplus_sessions(ctx, session, keep=ctx.settings.max_sessions_per_user - 1):
        if await queries.claim_end(ctx, surplus, user.id):
            event = SessionEnded(user_id=user.id, actor_id=user.id, session_id=surplus, detail="too many sessions")
            await publish(ctx, event)
    return session, replace(user, last_login_at=ctx.now)


def _new_session(ctx: Context, user: User, methods: tuple[str, ...]) -> Session:
    expires_at = ctx.now + ctx.settings.session_max_age
    return Session(
        id=new_id(ctx.now, ctx.entropy),
        user_id=user.id,
        epoch=user.session_epoch,
        methods=" ".join(methods),
        created_at=ctx.now,
        last_seen_at=ctx.now,
        idle_expires_at=min(ctx.now + ctx.settings.refresh_token_ttl, expires_at),
        expires_at=expires_at,
        ended_at=None,
        ip=ctx.client.ip,
        network=ctx.client.network,
        user_agent=ctx.client.user_agent,
        refresh_counter=0,
        refresh_seed=ctx.entropy(32),
        refresh_key=ctx.keyring.secrets.newest.fingerprint,
        refreshed_at=None,
    )
