"""The mails about addresses, each written when its turn comes: the state of then decides whether there is one."""

from datetime import datetime
from typing import Any
from uuid import UUID

from propusk.context import Context
from propusk.mail.links import page_link
from propusk.mail.models import Letter, Mail
from propusk.mail.render import shown_time
from propusk.one_time.issue import issue, token_of
from propusk.one_time.models import OneTimeToken, Purpose
from propusk.one_time.queries import find_registration, find_token
from propusk.users.models import User
from propusk.users.queries import find_user, find_user_by, lock_user


async def write_verify(ctx: Context, mail: Mail) -> Letter | None:
    """The link that verifies; for nobody, the deactivated and the verified there is none. Nor for who has another
    address by now: the mail of a registration would offer a stranger to delete the account.
    """
    found = await _whose(ctx, mail)
    # With the lock, whoever changes or disables the user is either seen here or finds the token, to kill it.
    user = await find_user(ctx, found.id) if found is not None and await lock_user(ctx, found.id) else None
    if user is None or not user.is_active or user.is_verified or user.email_key != mail.args["email_key"]:
        return None
    token = await issue(
        ctx,
        Purpose.VERIFY,
        email_key=user.email_key,
        ttl=ctx.settings.verify_token_ttl,
        user_id=user.id,
        payload=await _registration(ctx, mail, user),
        token_id=mail.id,
    )
    if not _is_live(ctx, token):
        return None
    template = "verify" if token.payload.get("registered") else "verify_again"
    at, ip = shown_time(user.created_at), token.payload.get("ip") or "unknown"
    return _letter(ctx, user.email, template, token, page="verify-email", language=user.locale, at=at, ip=ip)


async def _whose(ctx: Context, mail: Mail) -> User | None:
    if mail.user_id is not None:
        return await find_user(ctx, mail.user_id)
    return await find_user_by(ctx, "email", str(mail.args["email_key"]))


async def _registration(ctx: Context, mail: Mail, user: User) -> dict[str, Any]:
    """Where the account was made from, as its first link knows: a later one says so as well."""
    if mail.args.get("registered"):
        return {"registered": True, "ip": mail.args["ip"]}
    return await find_registration(ctx, user.id, user.email_key)


async def write_confirm_email(ctx: Context, mail: Mail) -> Letter | None:
    """The link that confirms a new address, to that address."""
    found = await _token_and_user(ctx, mail)
    if found is None or not _is_live(ctx, found[0]):
        return None
    token, user = found
    return _letter(ctx, token.payload["address"], "confirm_email", token, page="confirm-email", language=user.locale)


async def write_email_change_requested(ctx: Context, mail: Mail) -> Letter | None:
    """To the old address: somebody wants another one; with the link that prevents it."""
    return await _write_undo(
        ctx,
        mail,
        "email_change_requested",
        new_email_masked=mail.args["new_email_masked"],
        ip=mail.args["ip"] or "unknown",
        device=mail.args["device"],
    )


async def write_email_changed(ctx: Context, mail: Mail) -> Letter | None:
    """To the old address: it is replaced; with the link that takes that back."""
    return await _write_undo(ctx, mail, "email_changed")


async def _write_undo(ctx: Context, mail: Mail, template: str, **values: Any) -> Letter | None:
    found = await _token_and_user(ctx, mail)
    if found is None or not _is_live(ctx, found[0]):
        return None
    token, user = found
    values["at"] = shown_time(mail.told_at)
    return _letter(ctx, token.payload["address"], template, token, page="undo-email", language=user.locale, **values)


async def write_email_fact(ctx: Context, mail: Mail) -> Letter | None:
    """What became of an address, to that address: it was restored, lost by that, or replaced by an administrator."""
    user = await _whose(ctx, mail)
    if user is None:
        return None
    values = {"at": shown_time(mail.told_at)}
    return Letter(to=mail.args["address"], template=mail.kind, language=user.locale, values=values)


async def _token_and_user(ctx: Context, mail: Mail) -> tuple[OneTimeToken, User] | None:
    """The token that a mail is about and its user, if there are both and the user is active."""
    token = await find_token(ctx, UUID(mail.args["token_id"]))
    user = await find_user(ctx, token.user_id) if token is not None and token.user_id else None
    return (token, user) if token is not None and user is not None and user.is_active else None


def _is_live(ctx: Context, token: OneTimeToken) -> bool:
    return token.used_at is None and ctx.now < token.expires_at


def _letter(
    ctx: Context, to: str, template: str, token: OneTimeToken, *, page: str, language: str | None, **values: str
) -> Letter:
    link = page_link(ctx.settings, page, token_of(ctx, token))
    use_by: datetime = token.expires_at
    return Letter(
        to=to,
        template=template,
        language=language,
        values={"link": link, "use_by": shown_time(use_by), **values},
        use_by=use_by,
        user_id=token.user_id,
    )
