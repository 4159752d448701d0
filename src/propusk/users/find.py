"""Find a user by what people call themselves."""

from propusk.context import Context
from propusk.users.email_address import login_key
from propusk.users.models import User
from propusk.users.queries import find_user_by


async def find_user_by_login(ctx: Context, login: str) -> User | None:
    """The user whose e-mail address or username this is, however it is spelled."""
    key = login_key(login)
    return await find_user_by(ctx, *key) if key is not None else None
