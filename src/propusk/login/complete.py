"""The end of every way to log in: from proofs that were right to a session."""

from functools import partial

from propusk.context import Context, keep
from propusk.errors import AccountDisabled, InvalidCredentials
from propusk.events import LoggedIn, LoginFailed, publish
from propusk.login.barred import barred
from propusk.sessions.start import start_session
from propusk.tokens.issue import TokenPair, issue_tokens
from propusk.users.models import User


async def complete_login(ctx: Context, user: User, *, methods: tuple[str, ...]) -> TokenPair:
    """Start a session for a user who proved who they are.

    Args:
        user: as read before the proof was checked. What happened to them since, a new password say, refuses them.
        methods: what was proven, in the words of RFC 8176.
    Raises:
        AccountDisabled, EmailNotVerified: a way to log in that counts and records refusals asks `barred` itself before.
        InvalidCredentials, AccountDisabled: what `start_session` found to have happened meanwhile; recorded here.
    """
    if (refusal := barred(ctx, user)) is not None:
        raise refusal
    try:
        session, user, is_new = await start_session(ctx, user, methods)
    except (InvalidCredentials, AccountDisabled) as late:
        await keep(ctx, partial(publish, event=LoginFailed(user_id=user.id, detail=late.code)))
        raise
    await publish(ctx, LoggedIn(user_id=user.id, actor_id=user.id, session_id=session.id, new_device=is_new))
    return issue_tokens(ctx, session, user, key=ctx.keyring.secrets.newest)
