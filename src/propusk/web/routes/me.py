"""The user who is calling. `GET` is the hot path: a Starlette route, without FastAPI's machinery around it."""

from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from propusk.errors import CrossOrigin, InvalidInput, UsernameTaken
from propusk.sessions.models import Principal
from propusk.users.change import change_user
from propusk.web.context import Ctx, auth_of
from propusk.web.current import CurrentUser, authenticate
from propusk.web.openapi import BODY, LOGIN_NEEDED, refuses
from propusk.web.problems import problem_response
from propusk.web.route import StrictRoute
from propusk.web.schemas import Body as RequestBody
from propusk.web.schemas import Locale, Name, Profile, Username, UserOut
from propusk.errors import AuthError

router = APIRouter(route_class=StrictRoute, tags=["users"])


async def get_me(request: Request) -> Response:
    """The answer to `GET /users/me`. Refusals are rendered here: an exception handler costs as much as the read."""
    try:
        principal = await authenticate(request)
    except AuthError as refusal:
        return problem_response(refusal, auth_of(request).settings)
    return Response(_render(principal), media_type="application/json", headers={"Cache-Control": "no-store"})


@lru_cache(maxsize=2000)
def _render(principal: Principal) -> bytes:
    """The user as JSON. A principal is one object as long as its row does not change, so an unchanged one is ready."""
    return UserOut.of(principal.user).model_dump_json().encode()


hot_route = Route("/users/me", get_me, methods=["GET"], name="get_me")


class MePatch(RequestBody):
    """What people may change about themselves: an absent field is kept, null clears, `profile` is replaced whole."""

    username: Username | None = None
    name: Name | None = None
    locale: Locale | None = None
    profile: Profile | None = None


@router.patch("/users/me", responses=refuses(*BODY, *LOGIN_NEEDED, CrossOrigin, UsernameTaken, InvalidInput))
async def patch_me(user: CurrentUser, ctx: Ctx, response: Response, body: Annotated[MePatch, Body()]) -> UserOut:
    """Change your username, name, locale or profile."""
    response.headers["Cache-Control"] = "no-store"
    changes = body.model_dump(exclude_unset=True)
    return UserOut.of(await change_user(ctx, user_id=user.id, changes=changes, actor_id=user.id))
