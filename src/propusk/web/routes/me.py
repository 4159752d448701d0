"""The user who is calling. `GET` is the hot path: a Starlette route, without FastAPI's machinery around it."""

from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Body
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from propusk.errors import AuthError, CrossOrigin, UsernameTaken
from propusk.sessions.models import Principal
from propusk.users.change import change_user
from propusk.web.context import Ctx
from propusk.web.current import CurrentUser, authenticate_shared
from propusk.web.openapi import LOGIN_NEEDED, UNSAFE, refuses
from propusk.web.problems import Render, rendered
from propusk.web.route import LeanRoute, StrictRoute
from propusk.web.schemas import Body as RequestBody
from propusk.web.schemas import Locale, Name, Profile, Username, UserOut, shown

router = APIRouter(route_class=StrictRoute, tags=["users"])


class GetMe:
    """`GET /users/me` as a bare ASGI app. Renders its refusals: an exception handler costs as much as the read."""

    def __init__(self, render: Render) -> None:
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        try:
            principal = await authenticate_shared(connection)
        except AuthError as refusal:
            await rendered(self._render, connection, refusal)(scope, receive, send)
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


async def get_me(request: Request) -> Response:
    """The same for a `LeanRoute`."""
    headers, body = _answer(await authenticate_shared(request))
    response = Response(body)
    response.raw_headers = list(headers)
    return response


def hot_route(prefix: str, render: Render) -> Route:
    """The route of `GET /users/me`."""
    return Route(f"{prefix}/users/me", GetMe(render), methods=["GET"], name="get_me")


def bound_router() -> APIRouter:
    """The same as a route of FastAPI's, for a host whose own dependencies come before all of its routes."""
    bound = APIRouter(route_class=LeanRoute)
    bound.add_api_route("/users/me", get_me, methods=["GET", "HEAD"], include_in_schema=False)
    return bound


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
