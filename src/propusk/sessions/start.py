"""Begin a session. Only `login.complete` may call this: every way to log in ends there."""

from dataclasses import replace

from propusk.context import Context
from propusk.crypto.secrets import new_id
from propusk.errors import AccountDisabled, InvalidCredentials
from propusk.events import SessionEnded, publish
from propusk.sessions import queries
from propusk.sessions.device import describe_device
from propusk.sessions.models import Session
from propusk.users.models import User
from propusk.users.queries import find_user, record_login


async def start_session(ctx: Context, user: User, methods: tuple[str, ...]) -> tuple[Session, User, bool]:
    """Insert a session for `user` and end the oldest ones beyond `max_sessions_per_user`.

    Returns the session, its user, and whether the device is new: the user had logged in before, and no session of
    theirs that is kept, ended or not, has this network and a user agent that reads the same.

    The session takes the epoch that the user had when the login began: if all sessions are ended after this, it is
    dead. The row of the user is written first, so that what ended them before is seen, and so that two logins of one
    user count their sessions one after the other.

    Raises:
        InvalidCredentials: since `user` was read they were deleted, or all their sessions were ended.
        AccountDisabled: they were deactivated.
    """
    if not await record_login(ctx, user.id, epoch=user.session_epoch):
        found = await find_user(ctx, user.id)
        raise AccountDisabled if found is not None and not found.is_active else InvalidCredentials
    session = _new_session(ctx, user, methods)
    if not await queries.insert_session(ctx, session):
        raise InvalidCredentials
    keep = ctx.settings.max_sessions_per_user - 1
    surplus_ids, agents = await queries.find_surplus_and_agents(ctx, session, keep=keep)
    for surplus in surplus_ids:
        if await queries.claim_end(ctx, surplus, user.id):
            event = SessionEnded(user_id=user.id, actor_id=user.id, session_id=surplus, detail="too many sessions")
            await publish(ctx, event)
    is_known = describe_device(session.user_agent) in map(describe_device, agents)
    return session, replace(user, last_login_at=ctx.now), user.last_login_at is not None and not is_known


def _new_session(ctx: Context, user: User, methods: tuple[str, ...]) -> Session:
    alone = not ctx.host.refresh_tokens
    expires_at = ctx.now + (ctx.settings.access_token_ttl if alone else ctx.settings.session_max_age)
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
