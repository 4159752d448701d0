"""Other people's sessions, for superusers."""

from fastapi import APIRouter, Depends

from propusk.errors import CrossOrigin, Forbidden, NotFound
from propusk.sessions.confirm import confirm_superuser
from propusk.sessions.end import end_all_sessions
from propusk.users.queries import find_user
from propusk.web.context import Ctx
from propusk.web.current import CurrentPrincipal, superuser
from propusk.web.cursors import Cursor, KeepCurrent, Limit
from propusk.web.ids import PathId
from propusk.web.openapi import GET, LOGIN_NEEDED, UNSAFE, refuses
from propusk.web.route import StrictRoute
from propusk.web.schemas import Revoked, SessionPage
from propusk.web.session_page import session_page

router = APIRouter(
    prefix="/users/{id}/sessions", route_class=StrictRoute, tags=["admin"], dependencies=[Depends(superuser)]
)


@router.get("", responses=refuses(*GET, *LOGIN_NEEDED, Forbidden, NotFound))
async def get_user_sessions(
    principal: CurrentPrincipal, ctx: Ctx, user_id: PathId, limit: Limit = 50, cursor: Cursor = None
) -> SessionPage:
    """Where a user is logged in."""
    if await find_user(ctx, user_id) is None:
        raise NotFound
    return await session_page(ctx, user_id, limit=limit, cursor=cursor, current=principal.session.id)


@router.delete("", responses=refuses(*UNSAFE, *LOGIN_NEEDED, Forbidden, CrossOrigin, NotFound))
async def delete_user_sessions(
    principal: CurrentPrincipal, ctx: Ctx, user_id: PathId, *, keep_current: KeepCurrent = False
) -> Revoked:
    """End all sessions of a user."""
    await confirm_superuser(ctx, principal)
    if await find_user(ctx, user_id) is None:
        raise NotFound
    keep = principal.session.id if keep_current and user_id == principal.user.id else None
    return Revoked(revoked=await end_all_sessions(ctx, user_id=user_id, actor_id=principal.user.id, keep=keep))
