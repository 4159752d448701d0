"""Write a notice when its turn comes, to the address that the user had when it happened: a thief may change it."""

from propusk.context import Context
from propusk.mail.models import Letter, Mail
from propusk.mail.render import shown_time
from propusk.users.models import User
from propusk.users.queries import find_user


async def write_notice(ctx: Context, mail: Mail) -> Letter | None:
    """A notice of the mail's kind, to somebody with an account that can be used."""
    user = await _owner(ctx, mail)
    return _letter(mail, user) if user is not None and user.is_active else None


async def write_account_deactivated(ctx: Context, mail: Mail) -> Letter | None:
    """The account was shut: all that a disabled user is told. Nothing to say when it is open again."""
    user = await _owner(ctx, mail)
    return _letter(mail, user) if user is not None and not user.is_active else None


async def _owner(ctx: Context, mail: Mail) -> User | None:
    return await find_user(ctx, mail.user_id) if mail.user_id is not None else None


def _letter(mail: Mail, user: User) -> Letter:
    values = {name: mail.args.get(name) or "unknown" for name in ("ip", "device")}
    values["at"] = shown_time(mail.told_at)
    return Letter(to=mail.args["to"], template=mail.kind, language=user.locale, values=values)
