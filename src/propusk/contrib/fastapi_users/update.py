"""Change a user, by themselves or by a superuser, with no current password in the body."""

from datetime import timedelta
from uuid import UUID

from propusk.context import Context
from propusk.contrib.fastapi_users.schemas import UserUpdate
from propusk.domain import (
    change_user,
    check_proposed_email,
    check_recent_login,
    may_propose_email,
    propose_email,
    replace_password,
    set_password,
)
from propusk.errors import EmailTaken, Forbidden
from propusk.passwords.new_password import check_new_password
from propusk.sessions.confirm import confirm_superuser
from propusk.sessions.models import Principal
from propusk.users.email_address import normalise_email
from propusk.users.models import User

FRESH = timedelta(hours=1)
"""How recent a login must be for another password or address: it stands in for the current password."""


async def update_self(ctx: Context, principal: Principal, update: UserUpdate) -> User:
    """Set one's own password at once, and ask for another address, which is one's own when its mail is confirmed.

    Raises:
        RecentLoginRequired: the session began earlier than `FRESH`.
        InvalidInput, EmailTaken, InvalidAccessToken, TooManyRequests, Overloaded
    """
    user = principal.user
    email = update.email if update.email != user.email else None
    if email is not None or update.password is not None:
        check_recent_login(principal.session, ctx.now, FRESH)
    allowed = email is not None and await may_propose_email(ctx, new_email=email)
    if email is not None:
        if update.password is not None:  # as there, its fault is told first
            await check_new_password(ctx, update.password, names=(user.email, user.username, user.name))
        _check_other(email, user)
        await check_proposed_email(ctx, principal=principal, new_email=email)
    if update.password is not None:
        principal = await replace_password(ctx, principal=principal, new_password=update.password)
    if email is not None:
        await propose_email(ctx, principal=principal, new_email=email, allowed=allowed)
    return principal.user


def _check_other(email: str, user: User) -> None:
    """As there, another spelling of one's own address is taken: by oneself."""
    if normalise_email(email).key == user.email_key:
        raise EmailTaken


async def update_user(ctx: Context, admin: Principal, user: User, update: UserUpdate) -> User:
    """Set any field of a user. A superuser's own password and address want what `update_self` wants.

    Raises:
        RecentLoginRequired, NotFound, InvalidInput, EmailTaken, LastSuperuser, Overloaded
        InvalidAccessToken, Forbidden: the superuser may not do so any more.
    """
    changes = update.model_dump(exclude_none=True, exclude={"password"})
    if changes.get("email") == user.email:
        del changes["email"]
    if user.id == admin.user.id and ("email" in changes or update.password is not None):
        check_recent_login(admin.session, ctx.now, FRESH)
    if update.password is not None:
        await _set_password(ctx, admin, user, update.password)
    else:
        await confirm_superuser(ctx, admin)
    if "email" in changes:
        _check_other(changes["email"], user)
    return await change_user(ctx, user_id=user.id, changes=changes, actor_id=admin.user.id)


async def _set_password(ctx: Context, admin: Principal, user: User, password: str) -> None:
    """Confirms the superuser as well, once the password is hashed."""
    if user.id == admin.user.id:
        admin = await replace_password(ctx, principal=admin, new_password=password)
        if not admin.user.is_superuser:
            raise Forbidden
    else:
        await set_password(ctx, user=user, password=password, actor_id=admin.user.id, actor=admin)


def parse_id(text: str) -> UUID | None:
    """The id in a path, in any spelling of a UUID, as there."""
    try:
        return UUID(text)
    except ValueError:
        return None
