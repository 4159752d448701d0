"""The end of every way to log in: from proofs that were right to a session."""

from propusk.context import Context
from propusk.events import LoggedIn, publish
from propusk.sessions.start import start_session
from propusk.tokens.issue import TokenPair, issue_tokens
from propusk.users.models import User


async def complete_login(ctx: Context, user: User, *, methods: tuple[str, ...]) -> TokenPair:
    """Start a session for a user who proved who they are.

    Args:
        user: as read before the proof was checked; its epoch decides whether the session is born alive.
        methods: what was proven, in the words of RFC 8176.
    """
    session, user = await start_session(ctx, user, methods)
    await publish(ctx, LoggedIn(user_id=user.id, actor_id=user.id, session_id=session.id))
    return issue_tokens(ctx, session, user, key=ctx.keyring.secrets.newest)
