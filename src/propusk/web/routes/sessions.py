"""Your own sessions."""

from fastapi import APIRouter
from starlette.responses import Response

from propusk.errors import CrossOrigin, NotFound
from propusk.sessions.end import end_all_sessions, end_session
from propusk.web.answers import no_content
from propusk.web.context import Ctx
from propusk.web.current import CurrentPrincipal
from propusk.web.cursors import Cursor, KeepCurrent, Limit
from propusk.web.ids import PathId
from propusk.web.openapi import GET, LOGIN_NEEDED, UNSAFE, refuses
from propusk.web.route import StrictRoute
from propusk.web.schemas import Revoked, SessionPage
from propusk.web.session_page import session_page

router = APIRouter(prefix="/auth/sessions", route_class=StrictRoute, tags=["sessions"])


@router.get("", responses=refuses(*GET, *LOGIN_NEEDED))
async def get_sessions(principal: CurrentPrincipal, ctx: Ctx, limit: Limit = 50, cursor: Cursor = None) -> SessionPage:
    """Where you are logged in."""
    return await session_page(ctx, principal.user.id, limit=limit, cursor=cursor, current=principal.session.id)


@router.delete("/{id}", status_code=204, responses=refuses(*UNSAFE, *LOGIN_NEEDED, CrossOrigin, NotFound))
async def delete_session(principal: CurrentPrincipal, ctx: Ctx, session_id: PathId) -> Response:
    """End one of your sessions."""
    user_id = principal.user.id
    await end_session(ctx, session_id=session_id, user_id=user_id, actor_id=user_id)
    return no_content()


@router.delete("", responses=refuses(*UNSAFE, *LOGIN_NEEDED, CrossOrigin))
async def delete_sessions(
    principal: CurrentPrincipal,
    ctx: Ctx,
    *,
    keep_current: KeepCurrent = False,
) -> Revoked:
    """End all your sessions."""
    user_id = principal.user.id
    keep = principal.session.id if keep_current else None
    return Revoked(revoked=await end_all_sessions(ctx, user_id=user_id, actor_id=user_id, keep=keep))
