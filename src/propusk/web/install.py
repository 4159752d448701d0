"""Put our routes into an app."""

from collections.abc import Iterable, Sequence

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Route

from propusk.auth import Auth
from propusk.errors import AuthError
from propusk.web.problems import render_refusal
from propusk.web.routes import introspect, me, sessions, tokens, well_known

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


def allowed_methods(auth: Auth, others: Iterable[BaseRoute], path: str) -> list[str]:
    """Every method that some route takes at this path (RFC 9110, section 15.5.6).

    Args:
        others: routes beside those of `auth`.
    """
    routes = [*others, *(route for router in routers_of(auth) for route in router.routes)]
    found = [route.methods or set() for route in routes if isinstance(route, Route) and route.path_regex.match(path)]
    methods = set().union(*found)
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)
