"""Prove that mail to an address reaches who has the account."""

from dataclasses import replace
from typing import Any

from propusk.context import Context
from propusk.errors import InvalidToken
from propusk.events import EmailVerified, UserCreated, UserRegistered, UserUpdated, publish
from propusk.features.email.queries import lock_disownable, verify_user
from propusk.mail.outbox import enqueue
from propusk.mail.strangers import may_ask
from propusk.one_time.consume import consume, read_token
from propusk.one_time.models import OneTimeToken, Purpose
from propusk.one_time.queries import kill_tokens
from propusk.passwords.pending import finish_registration
from propusk.users.delete import delete_user
from propusk.users.email_address import normalise_email
from propusk.users.models import User
from propusk.users.queries import find_user, lock_superusers


async def request_verification(ctx: Context, *, email: str) -> None:
    """Have a verification link sent to whoever has this address. Whether anybody does is found out by who writes the
    mail: nothing here depends on it.

    Raises:
        InvalidInput: this is no address.
        TooManyRequests: from this network.
        Overloaded: too many mails wait.
    """
    key = normalise_email(email).key
    if await may_ask(ctx, key, kind="verify"):
        await enqueue(ctx, "verify", email_key=key)


async def send_verification(ctx: Context, event: UserRegistered) -> None:
    """The first link goes out with the registration, and tells where that came from."""
    user = await find_user(ctx, event.user_id) if event.user_id is not None else None
    if user is not None and not user.is_verified:
        args: dict[str, Any] = {"email_key": user.email_key, "registered": True, "ip": ctx.client.ip}
        await enqueue(ctx, "verify", user_id=user.id, **args)


async def send_link(ctx: Context, event: UserCreated | UserUpdated) -> None:
    """Others chose the address: whoever has it confirms it. Who is to choose a password confirms it by that."""
    chosen = event.has_password if isinstance(event, UserCreated) else event.old_email is not None
    user = await find_user(ctx, event.user_id) if chosen and event.user_id is not None else None
    if user is not None and not user.is_verified:
        await enqueue(ctx, "verify", user_id=user.id, email_key=user.email_key)


async def verify_email(ctx: Context, *, token: str) -> User:
    """Verify the address that the token was sent to, or make the user whose registration waited for this.

    A user's other verification links die. Sessions and password stay: they are the registrant's.

    Raises:
        InvalidToken: used, of a verified, deactivated or deleted user, or about an address that is theirs no more.
        ExpiredToken
        EmailTaken: somebody took the address while the registration waited.
    """
    found = await read_token(ctx, token, Purpose.VERIFY, Purpose.REGISTER)
    if found.purpose is Purpose.REGISTER:
        return await finish_registration(ctx, found)
    user = await _find_unverified(ctx, found)
    # The row of the user first, then tokens: everybody who locks both does so in this order.
    if not await verify_user(ctx, user.id, found.email_key):
        raise InvalidToken
    await consume(ctx, found)
    await kill_tokens(ctx, user.id, Purpose.VERIFY)
    await publish(ctx, EmailVerified(user_id=user.id, actor_id=user.id, detail="link"))
    return replace(user, is_verified=True, updated_at=ctx.now)


async def disown(ctx: Context, *, token: str) -> None:
    """ "This was not me": delete the unverified account that somebody made with this address, or forget the
    registration that waits for it.

    Raises:
        InvalidToken: also for a link that did not come with a registration, and a superuser's.
        ExpiredToken, LastSuperuser, UserInUse
    """
    found = await read_token(ctx, token, Purpose.VERIFY, Purpose.REGISTER)
    if found.purpose is Purpose.REGISTER:
        await consume(ctx, found)
        return
    user = await _find_unverified(ctx, found)
    if not may_disown(found, user):
        raise InvalidToken
    await lock_superusers(ctx)
    if not await lock_disownable(ctx, user.id, found.email_key):
        raise InvalidToken
    await consume(ctx, found)
    await delete_user(ctx, user_id=user.id, actor_id=None)


def may_disown(token: OneTimeToken, user: User | None) -> bool:
    """Whether the account was made with the address of this token. One that got the address later, by an
    administrator's slip maybe, is not the holder's to delete; nor is one that was made an administrator's.

    Args:
        user: as `find_unverified` found them.
    """
    return user is None or (token.payload.get("registered") is True and not user.is_superuser)


async def find_unverified(ctx: Context, *, token: str) -> tuple[OneTimeToken, User | None]:
    """What a verification link is about: the token, and its user unless the registration still waits. Changes nothing.

    Raises:
        InvalidToken, ExpiredToken
    """
    found = await read_token(ctx, token, Purpose.VERIFY, Purpose.REGISTER)
    return found, await _find_unverified(ctx, found) if found.purpose is Purpose.VERIFY else None


async def _find_unverified(ctx: Context, token: OneTimeToken) -> User:
    user = await find_user(ctx, token.user_id) if token.user_id else None
    if user is None or user.is_verified or not user.is_active or user.email_key != token.email_key:
        raise InvalidToken
    return user
