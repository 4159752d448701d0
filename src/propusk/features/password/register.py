"""Make an account, with a password."""

from typing import Any

from propusk.context import Context
from propusk.db.transactions import release
from propusk.errors import RegistrationClosed, invalid
from propusk.events import UserCreated, UserRegistered, publish
from propusk.mail.outbox import HALF, check_room
from propusk.mail.strangers import may_send
from propusk.passwords import queries
from propusk.passwords.new_password import check_new_password
from propusk.passwords.pending import begin_registration
from propusk.sessions.confirm import confirm
from propusk.sessions.models import Principal
from propusk.store import by_network, check_limits
from propusk.users.email_address import normalise_email
from propusk.users.models import User
from propusk.users.profile import check_name, check_profile
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
        RuntimeError: `private_registration` is set, and this tells whether an address is taken.
    """
    if ctx.settings.private_registration:
        raise RuntimeError(
            "private_registration is set: call register_privately,"
            " or refuse the setting at the start by must_have(settings, private_registration=False)"
        )
    await _check_open(ctx)
    hashed = await _hash_new(ctx, email=email, password=password, username=username, name=name)
    user = await create_user(ctx, email=email, username=username, name=name, profile=profile)
    await queries.insert_hash(ctx, user.id, hashed)
    await publish(ctx, UserRegistered(user_id=user.id, actor_id=user.id))
    return user


async def register_privately(
    ctx: Context,
    *,
    email: str,
    password: str,
    username: str | None = None,
    name: str | None = None,
    profile: dict[str, Any] | None = None,
) -> None:
    """Take a registration that becomes an account when its mail is confirmed. The same for every address, whoever has
    it: one hash, the same statements.

    Raises:
        InvalidInput: also for a username, which would tell whether it is taken: it can be set later.
        RegistrationClosed, TooManyRequests, Overloaded
    """
    await _check_open(ctx)
    if username is not None:
        raise invalid("username", "extra_forbidden", "Choose a username once you have confirmed and logged in.")
    address, name, profile = normalise_email(email), check_name(name), check_profile(ctx, profile)
    await check_new_password(ctx, password, names=(email, name))
    allowed = await may_send(ctx, address.key, kind="register")
    await release(ctx.db)
    hashed = await ctx.passwords.hash(password, share=ctx.client.network)
    if allowed:
        await begin_registration(ctx, address=address, hashed=hashed, name=name, profile=profile)


async def _check_open(ctx: Context) -> None:
    if ctx.settings.registration == "closed":
        raise RegistrationClosed
    await check_limits(ctx.store, by_network("register", ctx.client.network, ctx.settings.limits.register), now=ctx.now)
    await check_room(ctx, room=HALF)
    await release(ctx.db)


async def create_user_with_password(
    ctx: Context, *, actor: Principal | None, password: str | None, **fields: Any
) -> User:
    """Make an account for somebody else, with any fields of `create_user`; without a password they are sent a link to
    choose one.

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
    actor_id = actor.user.id if actor else None
    await publish(ctx, UserCreated(user_id=user.id, actor_id=actor_id, has_password=hashed is not None))
    return user


async def _hash_new(ctx: Context, *, email: str | None, password: str, username: str | None, name: str | None) -> str:
    """The hash of a password that may be used; names that are taken are refused before that costs anything."""
    await check_new_password(ctx, password, names=(email, username, name))
    await check_free(ctx, email=email or "", username=username)
    await release(ctx.db)
    return await ctx.passwords.hash(password, share=ctx.client.network)
