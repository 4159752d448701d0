"""Change a password, and delete one's account with it."""

from uuid import UUID

from propusk.context import Context
from propusk.db.transactions import release
from propusk.errors import InvalidAccessToken, NotFound, WrongPassword
from propusk.events import PasswordChanged, publish
from propusk.features.password.links import kill_links
from propusk.passwords import queries
from propusk.passwords.new_password import check_new_password
from propusk.passwords.prove import prove_password
from propusk.sessions.confirm import confirm, confirm_superuser
from propusk.sessions.end import end_all_sessions
from propusk.sessions.models import Principal
from propusk.sessions.queries import find_session
from propusk.users.delete import delete_user
from propusk.users.models import User
from propusk.users.queries import lock_superusers, lock_user


async def change_password(ctx: Context, *, principal: Principal, current_password: str, new_password: str) -> None:
    """Set a new password; every other session of the user ends, those in flight included, and links in mails die.

    Raises:
        InvalidInput: the new one may not be used.
        WrongPassword: the current one is not right.
        InvalidAccessToken: the session has ended meanwhile.
        TooManyRequests, Overloaded
    """
    user = principal.user
    await check_new_password(ctx, new_password, names=(user.email, user.username, user.name), field="new_password")
    stored = await prove_password(ctx, principal=principal, password=current_password)
    hashed = await ctx.passwords.hash(new_password, share=ctx.client.network)
    await confirm(ctx, principal)
    if not await queries.claim_hash(ctx, user.id, old=stored, new=hashed):
        raise WrongPassword
    await _end_others(ctx, principal)


async def replace_password(ctx: Context, *, principal: Principal, new_password: str) -> Principal:
    """Set one's own new password without the current one; the rest is as in `change_password`.

    For hosts whose route does not ask for it: have it ask for a recent login, or who borrows a browser owns an account.

    Returns:
        The same caller, as their session goes on: what else they do in this request is done by it.
    Raises:
        InvalidInput: it may not be used.
        InvalidAccessToken: the session has ended meanwhile.
        Overloaded
    """
    user = principal.user
    await check_new_password(ctx, new_password, names=(user.email, user.username, user.name))
    await release(ctx.db)
    hashed = await ctx.passwords.hash(new_password, share=ctx.client.network)
    await confirm(ctx, principal)
    await queries.replace_hash(ctx, user.id, hashed)
    await _end_others(ctx, principal)
    found = await find_session(ctx, principal.session.id)
    if found is None:  # pragma: no cover (its row is locked)
        raise InvalidAccessToken
    session, user = found
    return Principal(user, session)


async def _end_others(ctx: Context, principal: Principal) -> None:
    user_id, session_id = principal.user.id, principal.session.id
    await kill_links(ctx, user_id)
    await end_all_sessions(ctx, user_id=user_id, actor_id=user_id, keep=session_id)
    await publish(ctx, PasswordChanged(user_id=user_id, actor_id=user_id, session_id=session_id))


async def delete_account(ctx: Context, *, principal: Principal, password: str) -> None:
    """Delete one's own account.

    Raises:
        WrongPassword: the password is not right, or was changed meanwhile.
        InvalidAccessToken: the session has ended meanwhile.
        LastSuperuser, UserInUse, TooManyRequests, Overloaded
    """
    user = principal.user
    stored = await prove_password(ctx, principal=principal, password=password)
    await lock_superusers(ctx)
    await confirm(ctx, principal)
    if await queries.find_hash(ctx, user.id) != stored:
        raise WrongPassword
    await delete_user(ctx, user_id=user.id, actor_id=user.id)


async def close_account(ctx: Context, *, principal: Principal) -> None:
    """The same without the password, for hosts whose route does not ask for it: have it ask for a recent login.

    Raises:
        InvalidAccessToken: the session has ended meanwhile.
        LastSuperuser, UserInUse
    """
    await lock_superusers(ctx)
    await confirm(ctx, principal)
    await delete_user(ctx, user_id=principal.user.id, actor_id=principal.user.id)


async def set_password(
    ctx: Context, *, user: User, password: str, actor_id: UUID | None, actor: Principal | None = None
) -> None:
    """Set somebody's password without knowing the old one; every session of theirs ends, and links in mails die.

    Args:
        actor: the superuser who does so, if it is not the operator.
    Raises:
        NotFound: they were deleted meanwhile.
        InvalidAccessToken, Forbidden: the actor may not do so any more.
        InvalidInput, Overloaded
    """
    await check_new_password(ctx, password, names=(user.email, user.username, user.name))
    await release(ctx.db)
    hashed = await ctx.passwords.hash(password, share=ctx.client.network)
    if actor is not None:
        await confirm_superuser(ctx, actor)
    if not await lock_user(ctx, user.id):
        raise NotFound
    await end_all_sessions(ctx, user_id=user.id, actor_id=actor_id)
    await queries.replace_hash(ctx, user.id, hashed)
    await kill_links(ctx, user.id)
    await publish(ctx, PasswordChanged(user_id=user.id, actor_id=actor_id))
