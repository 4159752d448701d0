"""Put a mail into the outbox, in the transaction of what it tells."""

from typing import Any
from uuid import UUID

from propusk.context import Context
from propusk.crypto.secrets import new_id
from propusk.db.transactions import after_commit
from propusk.errors import Overloaded
from propusk.mail import queries
from propusk.mail.models import Mail, MailState

ROOM = 10_000
"""So many mails may wait before strangers can ask for no more."""
HALF = ROOM // 2
"""So many before nobody can register: the rest is for who needs a link to get in."""


async def enqueue(ctx: Context, kind: str, *, user_id: UUID | None = None, asked: bool = True, **args: Any) -> None:
    """Have a mail written and sent once this transaction has committed.

    Args:
        kind: which of the registry's kinds writes it.
        user_id: whose mail it is: with the user it disappears.
        asked: whether who asks is who reads it, so that the language of the request is theirs. A thief's is not.
        args: what the kind needs to know; JSON, and no secret.
    """
    await _insert(ctx, kind, user_id=user_id, args=args, language=ctx.client.language if asked else None)


async def check_room(ctx: Context, *, room: int = ROOM) -> None:
    """For what anybody may ask for, before anything depends on who it is for: the queue does not grow without end.

    Raises:
        Overloaded: more than `room` mails wait; the mail server has been away for long, or somebody sends floods.
    """
    if await queries.count_queued(ctx, at_most=room + 1) > room:
        raise Overloaded


async def send_again(ctx: Context, mail: Mail) -> Mail | None:
    """Queue a mail that failed once more, as a new mail: with a day of its own to be tried in, an id of its own, and
    so with a fresh link where its kind makes links when it is written. It tells of the same moment.

    Returns:
        The new mail; None when somebody else did this, or it has not failed.
    """
    if not await queries.delete_failed(ctx, mail.id):
        return None
    args = mail.args | {"at": mail.told_at.isoformat()}
    return await _insert(ctx, mail.kind, user_id=mail.user_id, args=args, language=mail.language)


async def _insert(ctx: Context, kind: str, *, user_id: UUID | None, args: dict[str, Any], language: str | None) -> Mail:
    mail = Mail(
        id=new_id(ctx.now, ctx.entropy),
        kind=kind,
        user_id=user_id,
        args=args,
        language=language,
        state=MailState.QUEUED,
        created_at=ctx.now,
        due_at=ctx.now,
        attempts=0,
        recipient=None,
        finished_at=None,
        error=None,
    )
    await queries.insert_mail(ctx, mail)
    after_commit(ctx.db, ctx.wake)
    return mail
