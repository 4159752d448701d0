"""SQL about the audit trail."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert

from propusk.context import Context


async def insert_event(ctx: Context, values: Mapping[str, Any]) -> None:
    """Add a row."""
    await ctx.db.execute(insert(ctx.tables.audit_events).values(**values))
