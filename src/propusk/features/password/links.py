"""Links that set a password: what they are bound to, and when they die."""

import hashlib
from datetime import timedelta
from uuid import UUID

from propusk.context import Context
from propusk.crypto.secrets import b64url
from propusk.mail.links import page_link
from propusk.mail.models import Letter, Mail
from propusk.mail.render import shown_time
from propusk.one_time.issue import issue, token_of
from propusk.one_time.models import OneTimeToken, Purpose
from propusk.one_time.queries import kill_tokens
from propusk.passwords.queries import find_hash
from propusk.users.models import User
from propusk.users.queries import find_user, lock_user


async def write_link(
    ctx: Context, mail: Mail, *, user_id: UUID, email_key: str | None, ttl: timedelta
) -> Letter | None:
    """A letter with a link that sets the password of a user; None for who is disabled or gone.

    Written again, it has the same link: if that was used or voided meanwhile, there is nothing to send.

    Args:
        email_key: the address that was asked for; None for whichever the user has.
        ttl: how long the link works.
    """
    # With the lock, whoever changes or disables the user is either seen here or finds the token, to kill it.
    await lock_user(ctx, user_id)
    user = await find_user(ctx, user_id)
    if user is None or not user.is_active or email_key not in (None, user.email_key):
        return None
    stored = await find_hash(ctx, user.id)
    token = await issue(
        ctx,
        Purpose.RESET,
        email_key=user.email_key,
        ttl=ttl,
        user_id=user.id,
        payload={"password": _fingerprint(stored)},
        token_id=mail.id,
    )
    if token.used_at is not None or ctx.now >= token.expires_at or not is_bound(token, user, stored):
        return None
    link = page_link(ctx.settings, "reset-password", token_of(ctx, token))
    values = {"link": link, "use_by": shown_time(token.expires_at)}
    return Letter(
        to=user.email,
        template=mail.kind,
        language=user.locale,
        values=values,
        use_by=token.expires_at,
        user_id=user.id,
    )


def is_bound(token: OneTimeToken, user: User, stored: str | None) -> bool:
    """Whether a link is still about the address and the password that the user had when it was made.

    Args:
        stored: the user's hash now, or None.
    """
    return token.email_key == user.email_key and token.payload.get("password") == _fingerprint(stored)


def _fingerprint(stored: str | None) -> str:
    """Tells one stored hash from another, and nothing about the password: each hash has a salt of its own."""
    return b64url(hashlib.sha256(stored.encode()).digest()[:16]) if stored is not None else ""


async def kill_links(ctx: Context, user_id: UUID) -> None:
    """Void what was sent out under an old password: links to reset it, and changes of the address not yet confirmed."""
    await kill_tokens(ctx, user_id, Purpose.RESET, Purpose.CHANGE_EMAIL)
