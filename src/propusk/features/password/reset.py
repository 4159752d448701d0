"""A forgotten password: whoever reads the mail of the account's address may set a new one."""

from propusk.context import Context
from propusk.db.transactions import release
from propusk.errors import InvalidToken
from propusk.events import EmailVerified, PasswordChanged, publish
from propusk.features.password.links import is_bound, kill_links
from propusk.mail.outbox import enqueue
from propusk.mail.strangers import may_ask
from propusk.one_time.consume import consume, read_token
from propusk.one_time.models import OneTimeToken, Purpose
from propusk.one_time.queries import kill_tokens
from propusk.passwords import queries
from propusk.passwords.new_password import check_new_password
from propusk.sessions.end import end_all_sessions
from propusk.users.email_address import normalise_email
from propusk.users.models import User
from propusk.users.queries import find_user, lock_user, update_user


async def forgot_password(ctx: Context, *, email: str) -> None:
    """Have a link sent to this address, if a user has it. Nobody is looked up here: that is for the writer of the mail.

    Raises:
        InvalidInput, TooManyRequests
        Overloaded: too many mails wait.
    """
    key = normalise_email(email).key
    if await may_ask(ctx, key, kind="reset_password"):
        await enqueue(ctx, "reset_password", email=key)


async def read_link(ctx: Context, *, token: str) -> tuple[OneTimeToken, User]:
    """The token of a link that would work now, and whose password it sets. Uses nothing up.

    Raises:
        InvalidToken: also when the user was disabled, or has another password or address since; ExpiredToken
    """
    found = await read_token(ctx, token, Purpose.RESET)
    return found, await _owner(ctx, found)


async def reset_password(ctx: Context, *, token: str, password: str) -> None:
    """Set the password of whoever was sent this link. Every session of theirs ends, and no new one begins. From here
    they can log in, however many strangers elsewhere try to.

    A password that is refused leaves the link as it is.

    Raises:
        InvalidToken, ExpiredToken, InvalidInput, Overloaded
    """
    found, user = await read_link(ctx, token=token)
    await release(ctx.db)
    await check_new_password(ctx, password, names=(user.email, user.username, user.name))
    hashed = await ctx.passwords.hash(password, share=ctx.client.network)
    await lock_user(ctx, user.id)
    user = await _owner(ctx, found)
    await consume(ctx, found)
    await queries.replace_hash(ctx, user.id, hashed, network=ctx.client.network)
    await kill_links(ctx, user.id)
    if not user.is_verified:
        await _verify(ctx, user)
    await end_all_sessions(ctx, user_id=user.id, actor_id=user.id)
    await publish(ctx, PasswordChanged(user_id=user.id, actor_id=user.id))


async def _owner(ctx: Context, token: OneTimeToken) -> User:
    user = await find_user(ctx, token.user_id) if token.user_id is not None else None
    if user is None or not user.is_active:
        raise InvalidToken
    if not is_bound(token, user, await queries.find_hash(ctx, user.id)):
        raise InvalidToken
    return user


async def _verify(ctx: Context, user: User) -> None:
    """The link proved the address. What was set up before that, by whoever did, has no power any more."""
    await update_user(ctx, user.id, {"is_verified": True, "updated_at": ctx.now})
    await kill_tokens(ctx, user.id, Purpose.VERIFY, Purpose.UNDO_EMAIL)
    await publish(ctx, EmailVerified(user_id=user.id, actor_id=user.id, detail="reset"))
