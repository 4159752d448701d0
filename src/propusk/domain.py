"""The use cases, to be called from routes, commands and jobs of your own: what our own routes call.

Each takes a `Context` first: from the dependency `Ctx`, from `async with auth.transaction() as ctx`, or, in a
transaction of yours, from `await auth.context(session, client=…)`. None commits. Each refuses by raising a class of
`propusk.errors`. Whether the caller may do so is for your route to know.
"""

from propusk.context import Context
from propusk.features.email.change import (
    check_proposed_email,
    confirm_email,
    may_propose_email,
    propose_email,
    request_email_change,
)
from propusk.features.email.undo import undo_email_change
from propusk.features.email.verify import request_verification, verify_email
from propusk.features.password.change import (
    change_password,
    close_account,
    delete_account,
    replace_password,
    set_password,
)
from propusk.features.password.login import login_with_password
from propusk.features.password.register import create_user_with_password, register_privately, register_with_password
from propusk.features.password.reset import forgot_password, reset_password
from propusk.login.barred import barred
from propusk.login.complete import complete_login
from propusk.sessions.end import end_all_sessions, end_session, log_out
from propusk.sessions.freshness import check_recent_login
from propusk.sessions.models import Principal
from propusk.sessions.queries import list_live_sessions
from propusk.tokens.refresh import refresh_session
from propusk.users.change import change_user
from propusk.users.delete import delete_user
from propusk.users.email_address import normalise_email
from propusk.users.find import find_user_by_login
from propusk.users.queries import find_user, list_users

__all__ = [
    "barred",
    "change_password",
    "change_user",
    "check_proposed_email",
    "check_recent_login",
    "close_account",
    "complete_login",
    "confirm_email",
    "create_user_with_password",
    "delete_account",
    "delete_user",
    "end_all_sessions",
    "end_session",
    "find_user",
    "find_user_by_login",
    "forgot_password",
    "list_live_sessions",
    "list_users",
    "log_out",
    "login_with_password",
    "may_propose_email",
    "propose_email",
    "refresh_session",
    "register_privately",
    "register_with_password",
    "replace_credentials",
    "replace_password",
    "request_email_change",
    "request_verification",
    "reset_password",
    "set_password",
    "undo_email_change",
    "verify_email",
]


async def replace_credentials(ctx: Context, *, principal: Principal, new_password: str, new_email: str) -> Principal:
    """`replace_password` and `propose_email` in one, for hosts whose one route takes both: all of it, or nothing.

    The password holds at once. The address stays the old one until the link that is mailed to the new one is followed;
    naming the old one changes nothing.

    Returns:
        The same caller, as their session goes on.
    Raises:
        InvalidInput: the password or the address may not be used.
        EmailTaken: another user has the address; not with `private_registration`, where confirming decides.
        InvalidAccessToken: the session has ended meanwhile.
        TooManyRequests, Overloaded
    """
    address = normalise_email(new_email)
    await check_proposed_email(ctx, principal=principal, new_email=new_email)
    is_other = address.key != principal.user.email_key
    allowed = is_other and await may_propose_email(ctx, new_email=new_email)
    principal = await replace_password(ctx, principal=principal, new_password=new_password)
    if is_other:
        await propose_email(ctx, principal=principal, new_email=new_email, allowed=allowed)
    return principal
