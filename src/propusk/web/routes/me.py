"""The user who is calling. `GET` is the hot path: a Starlette route, without FastAPI's machinery around it."""

from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Body
from starlette.requests import HTTPConnection
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from propusk.errors import AuthError, CrossOrigin, UsernameTaken
from propusk.sessions.models import Principal
from propusk.users.change import change_user
from propusk.web.context import Ctx, auth_of
from propusk.web.current import CurrentUser, authenticate
from propusk.web.openapi import LOGIN_NEEDED, UNSAFE, refuses
from propusk.web.problems import problem_response
from propusk.web.route import StrictRoute
from propusk.web.schemas import Body as RequestBody
from propusk.web.schemas import Locale, Name, Profile, Username, UserOut, shown

router = APIRouter(route_class=StrictRoute, tags=["users"])


class GetMe:
    """`GET /users/me` as a bare ASGI app. Renders its refusals: an exception handler costs as much as the read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        try:
            principal = await authenticate(connection)
        except AuthError as refusal:
            await problem_response(refusal, auth_of(connection).settings)(scope, receive, send)
            return
        headers, body = _answer(principal)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


@lru_cache(maxsize=2000)
def _answer(principal: Principal) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The answer as bytes. A principal is one object as long as its row stays the same, so each is made once."""
    body = UserOut.of(principal.user).model_dump_json().encode()
    headers = {
        b"content-length": b"%d" % len(body),
        b"content-type": b"application/json",
        b"cache-control": b"no-store",
    }
    return list(headers.items()), body


hot_route = Route("/users/me", GetMe(), methods=["GET"], name="get_me")


class MePatch(RequestBody):
    """What people may change about themselves: an absent field is kept, null clears, `profile` is replaced whole."""

    model_config = shown({"name": "Ada King", "locale": "en", "username": None})

    username: Username | None = None
    name: Name | None = None
    locale: Locale | None = None
    profile: Profile | None = None


@router.patch("/users/me", responses=refuses(*UNSAFE, *LOGIN_NEEDED, CrossOrigin, UsernameTaken))
async def patch_me(user: CurrentUser, ctx: Ctx, body: Annotated[MePatch, Body()]) -> UserOut:
    """Change your username, name, locale or profile."""
    changes = body.model_dump(exclude_unset=True)
    return UserOut.of(await change_user(ctx, user_id=user.id, changes=changes, actor_id=user.id))
