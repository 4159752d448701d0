"""The mails about passwords: when each is queued, and what it says when its turn comes."""

from propusk.context import Context
from propusk.events import EmailChangeUndone, Event, UserCreated, UserUpdated
from propusk.features.password.links import kill_links, write_link
from propusk.mail.models import Letter, Mail
from propusk.mail.outbox import enqueue
from propusk.one_time.models import Purpose
from propusk.one_time.queries import kill_tokens
from propusk.passwords import queries
from propusk.users.queries import find_user, find_user_by


async def tell_of_account(ctx: Context, event: UserCreated) -> None:
    """Somebody has an account that others made: they hear of it, or choose a password."""
    await enqueue(ctx, "account_created" if event.has_password else "set_password", user_id=event.user_id)


async def void_password(ctx: Context, event: EmailChangeUndone) -> None:
    """Whoever had changed the address knows the password: it works no more, and the owner chooses another."""
    if event.user_id is not None:
        await queries.delete_hash(ctx, event.user_id)
        await kill_links(ctx, event.user_id)
        await enqueue(ctx, "set_password", user_id=event.user_id)


async def void_links(ctx: Context, event: Event) -> None:
    """The address changed, or the account was shut: links from before die for good, even if that is taken back."""
    if event.user_id is None or (isinstance(event, UserUpdated) and event.old_email is None):
        return
    await kill_tokens(ctx, event.user_id, Purpose.RESET)


async def write_reset_password(ctx: Context, mail: Mail) -> Letter | None:
    """A link for who forgot their password; nothing when nobody has that address."""
    key = str(mail.args["email"])
    user = await find_user_by(ctx, "email", key)
    if user is None:
        return None
    return await write_link(ctx, mail, user_id=user.id, email_key=key, ttl=ctx.settings.reset_token_ttl)


async def write_set_password(ctx: Context, mail: Mail) -> Letter | None:
    """A link for who has no password yet, or no more."""
    if mail.user_id is None or await queries.find_hash(ctx, mail.user_id) is not None:
        return None
    return await write_link(ctx, mail, user_id=mail.user_id, email_key=None, ttl=ctx.settings.verify_token_ttl)


async def write_account_created(ctx: Context, mail: Mail) -> Letter | None:
    """Word of an account that was made with a password."""
    user = await find_user(ctx, mail.user_id) if mail.user_id is not None else None
    if user is None or not user.is_active:
        return None
    return Letter(to=user.email, template=mail.kind, language=user.locale)
