"""SQL about passwords, one statement a function."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, bindparam, delete, insert, or_, select, update

from propusk.context import Context
from propusk.db.dialect import changed, read, read_alone
from propusk.db.schema import Tables, prepared
from propusk.sessions.queries import KNOWN_NETWORK, knows_network
from propusk.users.models import User


async def find_user_and_hash(ctx: Context, key: tuple[str, str]) -> tuple[User, str | None, bool] | None:
    """The user of a login, their password hash, and whether they are at home in the client's network: they had a
    session from there lately, or reset this password from there. Read alone, as hashing follows.

    Args:
        key: `("email", key)` or `("username", key)`, normalised.
    """
    statement = _by_email(ctx.tables) if key[0] == "email" else _by_username(ctx.tables)
    values = {"key": key[1], "network": ctx.client.network, "since": ctx.now - KNOWN_NETWORK}
    rows = await read_alone(ctx.db, statement, values)
    return next(((User(*row[:-2]), row[-2], bool(row[-1])) for row in rows), None)


@prepared
def _by_email(tables: Tables) -> Select[Any]:
    return _with_hash(tables).where(tables.users.c.email_key == bindparam("key"))


@prepared
def _by_username(tables: Tables) -> Select[Any]:
    return _with_hash(tables).where(tables.users.c.username_key == bindparam("key"))


def _with_hash(tables: Tables) -> Select[Any]:
    u, p = tables.users, tables.passwords
    was_reset = and_(p.c.reset_network == bindparam("network"), p.c.changed_at > bindparam("since"))
    at_home = or_(knows_network(tables), was_reset)
    return select(*u.c, p.c.hash, at_home).select_from(u.outerjoin(p, p.c.user_id == u.c.id))


async def find_hash(ctx: Context, user_id: UUID) -> str | None:
    """The password hash of a user, if they have one."""
    hashed: str | None = (await read(ctx.db, _hash_of(ctx.tables), {"user_id": user_id})).scalar_one_or_none()
    return hashed


async def find_hash_alone(ctx: Context, user_id: UUID) -> str | None:
    """The same, read alone, as hashing follows."""
    rows = await read_alone(ctx.db, _hash_of(ctx.tables), {"user_id": user_id})
    return next((row[0] for row in rows), None)


@prepared
def _hash_of(tables: Tables) -> Select[Any]:
    p = tables.passwords.c
    return select(p.hash).where(p.user_id == bindparam("user_id"))


async def insert_hash(ctx: Context, user_id: UUID, hashed: str) -> None:
    """The first password of a user."""
    await changed(ctx.db, insert(ctx.tables.passwords).values(user_id=user_id, **_new(ctx, hashed)))


async def claim_hash(ctx: Context, user_id: UUID, *, old: str, new: str) -> bool:
    """Replace a password hash that is still `old`; False when it was changed meanwhile."""
    p = ctx.tables.passwords
    statement = update(p).where(p.c.user_id == user_id, p.c.hash == old).values(**_new(ctx, new))
    return await changed(ctx.db, statement) == 1


async def replace_hash(ctx: Context, user_id: UUID, hashed: str, *, network: str | None = None) -> None:
    """Set a password, whatever was there.

    Args:
        network: where the owner is who does so, though they have no session.
    """
    p = ctx.tables.passwords
    if await changed(ctx.db, update(p).where(p.c.user_id == user_id).values(**_new(ctx, hashed, network))) == 0:
        await changed(ctx.db, insert(p).values(user_id=user_id, **_new(ctx, hashed, network)))


def _new(ctx: Context, hashed: str, network: str | None = None) -> dict[str, Any]:
    return {"hash": hashed, "changed_at": ctx.now, "reset_network": network}


async def delete_hash(ctx: Context, user_id: UUID) -> None:
    """Leave a user without a password."""
    p = ctx.tables.passwords
    await changed(ctx.db, delete(p).where(p.c.user_id == user_id))
