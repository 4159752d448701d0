"""Take a change of the e-mail address back, from the old one."""

from propusk.context import Context, all_or_nothing
from propusk.errors import InvalidToken
from propusk.events import EmailChangeUndone, publish
from propusk.features.email.queries import claim_address
from propusk.mail.outbox import enqueue
from propusk.one_time.consume import consume, read_token
from propusk.one_time.models import Purpose
from propusk.one_time.queries import kill_tokens
from propusk.sessions.end import end_all_sessions
from propusk.users.queries import find_user, lock_user


async def undo_email_change(ctx: Context, *, token: str) -> None:
    """Give the user the old address back, before the new one was confirmed or after. Every session ends, later changes
    and their undos die; whoever knows passwords hears of it and voids them.

    Raises:
        InvalidToken: used, or taken back further, or of a deactivated or deleted user; ExpiredToken
        EmailTaken: an operator gave the address to somebody else.
    """
    found = await read_token(ctx, token, Purpose.UNDO_EMAIL)
    if found.user_id is None:
        raise InvalidToken
    await lock_user(ctx, found.user_id)
    user, address = await find_user(ctx, found.user_id), found.payload["address"]
    if user is None:
        raise InvalidToken
    async with all_or_nothing(ctx):
        if not await claim_address(ctx, user.id, address=address, email_key=found.email_key):
            raise InvalidToken
        await consume(ctx, found)
    await kill_tokens(ctx, user.id, Purpose.CHANGE_EMAIL, Purpose.VERIFY, Purpose.RESET)
    await kill_tokens(ctx, user.id, Purpose.UNDO_EMAIL, since=found.created_at)
    await end_all_sessions(ctx, user_id=user.id, actor_id=None)
    await enqueue(ctx, "email_undone", asked=False, user_id=user.id, address=address)
    if user.email_key != found.email_key:
        await enqueue(ctx, "email_lost", asked=False, user_id=user.id, address=user.email)
    await publish(ctx, EmailChangeUndone(user_id=user.id))
