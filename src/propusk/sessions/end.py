"""End sessions. When the transaction has committed, no worker accepts them: every request reads the row."""

from uuid import UUID

from propusk.context import Context, all_or_nothing
from propusk.errors import InvalidAccessToken, NotFound
from propusk.events import LoggedOut, SessionEnded, SessionsEnded, publish
from propusk.sessions import queries
from propusk.sessions.models import is_live


async def log_out(ctx: Context, *, session_id: UUID, user_id: UUID) -> bool:
    """End a session by its own credential; False when it had ended already."""
    if not await queries.claim_end(ctx, session_id, user_id):
        return False
    await publish(ctx, LoggedOut(user_id=user_id, actor_id=user_id, session_id=session_id))
    return True


async def end_session(ctx: Context, *, session_id: UUID, user_id: UUID, actor_id: UUID | None) -> None:
    """End one session of a user.

    Raises:
        NotFound: the user has no such live session.
    """
    found = await queries.find_session_of(ctx, session_id, user_id)
    if found is None or not is_live(*found, ctx.now):
        raise NotFound
    if not await queries.claim_end(ctx, session_id, user_id):
        raise NotFound
    await publish(ctx, SessionEnded(user_id=user_id, actor_id=actor_id, session_id=session_id, detail="ended"))


async def end_all_sessions(ctx: Context, *, user_id: UUID, actor_id: UUID | None, keep: UUID | None = None) -> int:
    """End every session of a user, those in flight included, but `keep`; returns how many were live.

    Raises:
        InvalidAccessToken: the session to keep has itself ended meanwhile.
    """
    async with all_or_nothing(ctx):
        epoch = await queries.raise_epoch(ctx, user_id)
        if epoch is None:
            return 0
        ended = await queries.count_sessions_of_epoch(ctx, user_id, epoch - 1)
        if keep is not None:
            if not await queries.claim_epoch(ctx, keep, old=epoch - 1, new=epoch):
                raise InvalidAccessToken
            ended -= 1
    await publish(ctx, SessionsEnded(user_id=user_id, actor_id=actor_id, session_id=keep))
    return ended
