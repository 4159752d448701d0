"""SQL about users' addresses, one statement a function."""

from uuid import UUID

from sqlalchemy import ColumnElement, update
from sqlalchemy.exc import IntegrityError

from propusk.context import Context
from propusk.db.dialect import changed
from propusk.errors import EmailTaken


async def verify_user(ctx: Context, user_id: UUID, email_key: str) -> bool:
    """Let an active user have verified this address; False when they have another, or have verified it already."""
    statement = update(ctx.tables.users).where(*_unverified(ctx, user_id, email_key))
    return await changed(ctx.db, statement.values(is_verified=True, updated_at=ctx.now)) == 1


async def lock_disownable(ctx: Context, user_id: UUID, email_key: str) -> bool:
    """Lock an active user who has this address, has not verified it and is no superuser; False if none."""
    u = ctx.tables.users
    statement = update(u).where(*_unverified(ctx, user_id, email_key), u.c.is_superuser.is_(False))
    return await changed(ctx.db, statement.values(session_epoch=u.c.session_epoch)) == 1


def _unverified(ctx: Context, user_id: UUID, email_key: str) -> tuple[ColumnElement[bool], ...]:
    u = ctx.tables.users.c
    return (u.id == user_id, u.email_key == email_key, u.is_active.is_(True), u.is_verified.is_(False))


async def claim_address(
    ctx: Context, user_id: UUID, *, address: str, email_key: str, instead_of: str | None = None
) -> bool:
    """Give an active user a proven address; False when there is none.

    Args:
        instead_of: the key of the address that they must have until now; None for whatever they have.
    Raises:
        EmailTaken: another user has it.
    """
    u = ctx.tables.users
    mine = [u.c.id == user_id, u.c.is_active] + ([u.c.email_key == instead_of] if instead_of else [])
    values = {"email": address, "email_key": email_key, "is_verified": True, "updated_at": ctx.now}
    try:
        return await changed(ctx.db, update(u).where(*mine).values(**values)) == 1
    except IntegrityError:
        raise EmailTaken from None
