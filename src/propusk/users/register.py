"""Make a user."""

from typing import Any

from propusk.context import Context, all_or_nothing
from propusk.crypto.secrets import new_id
from propusk.errors import EmailTaken, UsernameTaken
from propusk.one_time.queries import is_reserved
from propusk.users import queries
from propusk.users.email_address import normalise_email
from propusk.users.models import User
from propusk.users.profile import check_locale, check_name, check_profile
from propusk.users.username import new_username


async def create_user(
    ctx: Context,
    *,
    email: str,
    username: str | None = None,
    name: str | None = None,
    locale: str | None = None,
    profile: dict[str, Any] | None = None,
    is_active: bool = True,
    is_verified: bool = False,
    is_superuser: bool = False,
) -> User:
    """Make a user, without a credential yet.

    Raises:
        InvalidInput: a field is not as it must be.
        EmailTaken, UsernameTaken: another user has it, however it is spelled.
    """
    address = normalise_email(email)
    named = new_username(ctx, username) if username is not None else None
    user = User(
        id=new_id(ctx.now, ctx.entropy),
        email=address.address,
        email_key=address.key,
        username=named.name if named else None,
        username_key=named.key if named else None,
        name=check_name(name),
        locale=check_locale(locale),
        profile=check_profile(ctx, profile),
        is_active=is_active,
        is_verified=is_verified,
        is_superuser=is_superuser,
        session_epoch=0,
        created_at=ctx.now,
        updated_at=ctx.now,
        last_login_at=None,
    )
    async with all_or_nothing(ctx):
        await queries.insert_user(ctx, user)
        # After the insert, which waited for whoever was giving the address up.
        if await is_reserved(ctx, user.email_key):
            raise EmailTaken
    return user


async def check_free(ctx: Context, *, email: str, username: str | None) -> None:
    """Refuse names that are taken now, before anything slow. The database decides again at the insert.

    Raises:
        InvalidInput, EmailTaken, UsernameTaken
    """
    key = normalise_email(email).key
    if await queries.find_user_by(ctx, "email", key) is not None or await is_reserved(ctx, key):
        raise EmailTaken
    if username is not None and await queries.find_user_by(ctx, "username", new_username(ctx, username).key):
        raise UsernameTaken
