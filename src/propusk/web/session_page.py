"""A page of somebody's live sessions."""

from uuid import UUID

from propusk.context import Context
from propusk.sessions.queries import list_live_sessions
from propusk.web.cursors import cut_page, read_cursor
from propusk.web.schemas import SessionOut, SessionPage


async def session_page(
    ctx: Context, user_id: UUID, *, limit: int, cursor: str | None, current: UUID | None
) -> SessionPage:
    """Newest first; one more than asked for is read, to know whether there is a next page."""
    name = f"sessions {user_id}"
    found = await list_live_sessions(ctx, user_id, limit=limit + 1, before=read_cursor(ctx, name, cursor))
    page, next_cursor = cut_page(ctx, name, found, limit)
    return SessionPage(items=[SessionOut.of(session, current) for session in page], next_cursor=next_cursor)
