"""Change a password; prove one again before something that cannot be undone."""

from uuid import UUID

from propusk.context import Context
from propusk.db.engine import release
from propusk.errors import WrongPassword
from propusk.events import PasswordChanged, PasswordRefused, publish
from propusk.features.password import queries
from propusk.features.password.guess import guess
from propusk.features.password.new_password import check_new_password
from propusk.login.throttle import forgive, of_session
from propusk.sessions.confirm import confirm
from propusk.sessions.end import end_all_sessions
from propusk.sessions.models import Principal
from propusk.users.delete import delete_user
from propusk.users.models import User
from propusk.users.queries import lock_superusers


async def change_password(ctx: Context, *, principal: Principal, current_password: str, new_password: str) -> None:
    """Set a new password; every other session of the user ends, those in flight included.

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
    await end_all_sessions(ctx, user_id=user.id, actor_id=user.id, keep=principal.session.id)
    await publish(ctx, PasswordChanged(user_id=user.id, actor_id=user.id, session_id=principal.session.id))


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


async def prove_password(ctx: Context, *, principal: Principal, password: str) -> str:
    """Check the password of somebody who is logged in; returns its stored hash, for a compare-and-set.

    Raises:
        WrongPassword, TooManyRequests, Overloaded
    """
    user, session = principal.user, principal.session
    stored = await queries.find_hash(ctx, user.id)
    await release(ctx.db)
    beyond = of_session(ctx, str(session.id))
    verdict, attempt = await guess(ctx, account=str(user.id), beyond=beyond, stored=stored, password=password)
    if stored is None or not verdict.ok:
        await publish(ctx, PasswordRefused(user_id=user.id, actor_id=user.id, session_id=session.id))
        raise WrongPassword
    await forgive(ctx, attempt)
    return stored


async def set_password(ctx: Context, *, user: User, password: str, actor_id: UUID | None) -> None:
    """Set somebody's password without knowing the old one; every session of theirs ends.

    Raises:
        InvalidInput, Overloaded
    """
    await check_new_password(ctx, password, names=(user.email, user.username, user.name))
    await release(ctx.db)
    hashed = await ctx.passwords.hash(password, share=ctx.client.network)
    await end_all_sessions(ctx, user_id=user.id, actor_id=actor_id)
    await queries.replace_hash(ctx, user.id, hashed)
    await publish(ctx, PasswordChanged(user_id=user.id, actor_id=actor_id))
