"""SQL about passwords, one statement a function."""

from uuid import UUID

from sqlalchemy import insert, select, update

from propusk.context import Context
from propusk.db.dialect import changed
from propusk.sessions.queries import knows_network
from propusk.users.models import User


async def find_user_and_hash(ctx: Context, key: tuple[str, str]) -> tuple[User, str | None, bool] | None:
    """The user of a login, their password hash, and whether they had a session from the client's network lately.

    Args:
        key: `("email", key)` or `("username", key)`, normalised.
    """
    u, p = ctx.tables.users, ctx.tables.passwords
    known = knows_network(ctx.tables, ctx.client.network, ctx.now)
    statement = select(*u.c, p.c.hash, known).select_from(u.outerjoin(p, p.c.user_id == u.c.id))
    row = (await ctx.db.execute(statement.where(u.c[f"{key[0]}_key"] == key[1]))).first()
    return (User(*row[:-2]), row[-2], bool(row[-1])) if row is not None else None


async def find_hash(ctx: Context, user_id: UUID) -> str | None:
    """The password hash of a user, if they have one."""
    p = ctx.tables.passwords.c
    hashed: str | None = (await ctx.db.execute(select(p.hash).where(p.user_id == user_id))).scalar_one_or_none()
    return hashed


async def insert_hash(ctx: Context, user_id: UUID, hashed: str) -> None:
    """The first password of a user."""
    await ctx.db.execute(insert(ctx.tables.passwords).values(user_id=user_id, hash=hashed, changed_at=ctx.now))


async def claim_hash(ctx: Context, user_id: UUID, *, old: str, new: str) -> bool:
    """Replace a password hash that is still `old`; False when it was changed meanwhile."""
    p = ctx.tables.passwords
    statement = update(p).where(p.c.user_id == user_id, p.c.hash == old).values(hash=new, changed_at=ctx.now)
    return await changed(ctx.db, statement) == 1


async def replace_hash(ctx: Context, user_id: UUID, hashed: str) -> None:
    """Set a password, whatever was there."""
    p = ctx.tables.passwords
    if await changed(ctx.db, update(p).where(p.c.user_id == user_id).values(hash=hashed, changed_at=ctx.now)) == 0:
        await insert_hash(ctx, user_id, hashed)
