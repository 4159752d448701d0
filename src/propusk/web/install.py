"""Put our routes into an app."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from propusk.auth import Auth
from propusk.errors import AuthError
from propusk.web.openapi import LOGIN_NEEDED, PROBLEM_SCHEMA, refuses
from propusk.web.problems import render_refusal
from propusk.web.routes import introspect, me, sessions, tokens, well_known
from propusk.web.schemas import UserOut

ALWAYS: Sequence[APIRouter] = (me.router, sessions.router, tokens.router, introspect.router, well_known.router)


def install(auth: Auth, app: FastAPI) -> None:
    """Mount every route of `auth` in `app`, with one exception handler and no middleware."""
    app.state.propusk = auth
    app.add_exception_handler(AuthError, render_refusal)
    app.router.routes.append(me.hot_route)
    for router in routers_of(auth):
        app.include_router(router)


def routers_of(auth: Auth) -> list[APIRouter]:
    """Every router; ours first, for `/users/me` must be found before a feature's `/users/{id}`."""
    return [*ALWAYS, *(router for feature in auth.features for router in feature.routers)]


def allowed_methods(auth: Auth, path: str) -> list[str]:
    """Every method that some route of ours takes at this path (RFC 9110, section 15.5.6)."""
    routes = [me.hot_route, *(route for router in routers_of(auth) for route in router.routes)]
    found = [route.methods or set() for route in routes if isinstance(route, Route) and route.path_regex.match(path)]
    return sorted(set().union(*found))


def complete_openapi(document: dict[str, Any]) -> dict[str, Any]:
    """Add what FastAPI cannot know: the problem schema, and the hot route, which it does not serve."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM_SCHEMA
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.setdefault("UserOut", UserOut.model_json_schema(mode="serialization"))
    document["paths"].setdefault("/users/me", {})["get"] = {
        "tags": ["users"],
        "summary": "Get Me",
        "description": "The user who is calling.",
        "operationId": "get_me_users_me_get",
        "security": [{"bearer": []}, {"cookie": []}],
        "responses": {
            "200": {
                "description": "Successful Response",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/UserOut"}}},
            },
            **{str(status): entry for status, entry in refuses(*LOGIN_NEEDED).items()},
        },
    }
    return document
