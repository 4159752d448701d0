"""SQL about the audit trail."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Insert, insert

from propusk.context import Context
from propusk.db.dialect import changed
from propusk.db.schema import Tables, prepared


async def insert_event(ctx: Context, values: Mapping[str, Any]) -> None:
    """Add a row."""
    await changed(ctx.db, _insert(ctx.tables), values)


@prepared
def _insert(tables: Tables) -> Insert:
    return insert(tables.audit_events)
