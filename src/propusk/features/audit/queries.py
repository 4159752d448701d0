"""SQL about the audit trail."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Insert, and_, insert, or_, update

from propusk.context import Context
from propusk.db.dialect import changed
from propusk.db.schema import Tables, prepared


async def insert_event(ctx: Context, values: Mapping[str, Any]) -> None:
    """Add a row."""
    await changed(ctx.db, _insert(ctx.tables), values)


@prepared
def _insert(tables: Tables) -> Insert:
    return insert(tables.audit_events)


async def clear_addresses(ctx: Context, user_id: UUID) -> int:
    """Set the address to null in every row of what a user did, or what somebody unknown did to them."""
    a = ctx.tables.audit_events
    theirs = or_(a.c.actor_id == user_id, and_(a.c.user_id == user_id, a.c.actor_id.is_(None)))
    return await changed(ctx.db, update(a).where(theirs).values(ip=None))
