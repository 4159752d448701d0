"""Make an account, with a password."""

from typing import Any

from propusk.context import Context
from propusk.db.engine import release
from propusk.errors import RegistrationClosed
from propusk.events import UserCreated, UserRegistered, publish
from propusk.features.password import queries
from propusk.features.password.new_password import check_new_password
from propusk.sessions.confirm import confirm
from propusk.sessions.models import Principal
from propusk.store import Hit, check_limits
from propusk.users.models import User
from propusk.users.register import check_free, create_user


async def register_with_password(
    ctx: Context,
    *,
    email: str,
    password: str,
    username: str | None = None,
    name: str | None = None,
    profile: dict[str, Any] | None = None,
) -> User:
    """Make an account for whoever asks.

    Raises:
        RegistrationClosed, TooManyRequests, InvalidInput, EmailTaken, UsernameTaken, Overloaded
    """
    if ctx.settings.registration == "closed":
        raise RegistrationClosed
    await check_limits(ctx.store, [Hit("register", ctx.client.network, ctx.settings.limits.register)], now=ctx.now)
    hashed = await _hash_new(ctx, email=email, password=password, username=username, name=name)
    user = await create_user(ctx, email=email, username=username, name=name, profile=profile)
    await queries.insert_hash(ctx, user.id, hashed)
    await publish(ctx, UserRegistered(user_id=user.id, actor_id=user.id))
    return user


async def create_user_with_password(
    ctx: Context, *, actor: Principal | None, password: str | None, **fields: Any
) -> User:
    """Make an account for somebody else, with any fields of `create_user`; without a password it cannot log in yet.

    Args:
        actor: the superuser who does so; None for the operator.
    Raises:
        InvalidAccessToken, Forbidden: the actor may not do so any more.
        InvalidInput, EmailTaken, UsernameTaken, Overloaded
    """
    hashed = None
    if password is not None:
        named = {key: fields.get(key) for key in ("email", "username", "name")}
        hashed = await _hash_new(ctx, password=password, **named)
    if actor is not None:
        await confirm(ctx, actor, superuser=True)
    user = await create_user(ctx, **fields)
    if hashed is not None:
        await queries.insert_hash(ctx, user.id, hashed)
    await publish(ctx, UserCreated(user_id=user.id, actor_id=actor.user.id if actor else None))
    return user


async def _hash_new(ctx: Context, *, email: str | None, password: str, username: str | None, name: str | None) -> str:
    """The hash of a password that may be used; names that are taken are refused before that costs anything."""
    await check_new_password(ctx, password, names=(email, username, name))
    await check_free(ctx, email=email or "", username=username)
    await release(ctx.db)
    return await ctx.passwords.hash(password, share=ctx.client.network)
