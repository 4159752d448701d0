"""Put our routes into an app."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Scope

from propusk.auth import Auth
from propusk.errors import AuthError
from propusk.web.document import complete_document
from propusk.web.problems import Render, problems, refusal_handler
from propusk.web.route import LeanRoute
from propusk.web.routes import introspect, me, metrics, page_files, pages, sessions, tokens, well_known

ALWAYS: Sequence[APIRouter] = (
    me.router,
    sessions.router,
    tokens.lean,
    tokens.router,
    introspect.router,
    well_known.router,
    metrics.router,
    page_files.router,
    pages.problems,
)
PAGES = ("/verify-email", "/reset-password", "/confirm-email", "/undo-email", "/pages/*", "/problems/*")
"""For `auth.install(app, routes=PAGES)`: what links in mails open, and nothing else of ours."""


def install(
    auth: Auth,
    app: FastAPI,
    *,
    prefix: str = "",
    routes: Sequence[str] | None = None,
    errors: Render | None = None,
    migrate: bool = False,
) -> None:
    """What `Auth.install` does: routes, one exception handler, a lifespan, a better OpenAPI document. No middleware."""
    _check_prefix(auth, prefix)
    off = {"/auth/refresh": not auth.host.refresh_tokens, "/metrics": not auth.settings.metrics}
    without = [path for path, is_off in off.items() if is_off]
    render = errors or problems(auth.settings)
    paths = add_routes(auth, app, prefix=prefix, routes=routes, without=without, render=render)
    app.include_router(APIRouter(lifespan=lambda _app: _running(auth, migrate=migrate)))
    auth.worker.is_awaited = auth.settings.jobs_inline
    _describe(auth, app, prefix=prefix, paths={f"{prefix}{path}" for path in paths})


class _Ours(APIRouter):
    """One look tells that a request is none of ours: FastAPI asks every route in turn, and those of a host that come
    later would wait for dozens.
    """

    def __init__(self, routes: Sequence[BaseRoute], prefix: str) -> None:
        super().__init__(routes=list(routes))
        paths = [route.path for route in routes if isinstance(route, Route)]
        self._beginnings = tuple({prefix + "/".join(path.split("/")[:2]) for path in paths})

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """What some route of ours makes of a request."""
        if not scope.get("root_path") and not scope["path"].startswith(self._beginnings):
            return Match.NONE, {}
        return super().matches(scope)


@asynccontextmanager
async def _running(auth: Auth, *, migrate: bool) -> AsyncIterator[None]:
    if migrate:
        await auth.migrate()
    async with auth.running():
        yield


def add_routes(
    auth: Auth,
    app: FastAPI,
    *,
    prefix: str = "",
    routes: Sequence[str] | None = None,
    without: Sequence[str] = (),
    as_they_are: bool = False,
    render: Render,
) -> set[str]:
    """Have `app` know `auth`, its refusals, and those of its routes whose path fits one of the patterns.

    Args:
        without: paths to leave to `app`, whatever fits them.
        as_they_are: `app` has no prefix, overrides no dependencies and names no operations: FastAPI need not make each
            route anew for it, which takes as long as a login.
    Returns:
        Their paths, without the prefix.
    Raises:
        RuntimeError: another one is installed there.
        ValueError: a pattern fits no route.
    """
    if hasattr(app.state, "propusk"):
        raise RuntimeError("Propusk is installed in this app already: call auth.install(app) once")
    app.state.propusk = auth
    app.add_exception_handler(AuthError, refusal_handler(render))
    hot = me.hot_route(prefix, render)
    every: list[tuple[str, BaseRoute]] = [("/users/me", hot)]
    every += [(route.path, route) for router in routers_of(auth) for route in router.routes if isinstance(route, Route)]
    fitting = [(path, route) for path, route in every if routes is None or any(fnmatchcase(path, p) for p in routes)]
    chosen = [(path, route) for path, route in fitting if path not in without]
    for pattern in routes or ():
        if not any(fnmatchcase(path, pattern) for path, _ in every):
            raise ValueError(f"routes: there is no route {pattern}; name paths as the reference does, without a prefix")
    if ("/users/me", hot) in chosen:
        if app.router.dependencies:
            app.include_router(me.bound_router(), prefix=prefix)
        else:
            app.router.routes.append(hot)  # it has its prefix
    others = [route for _, route in chosen if route is not hot]
    if as_they_are:
        app.router.routes.extend(others)
    elif others:
        app.include_router(_Ours(others, prefix), prefix=prefix)
    return {path for path, _ in chosen}


def hot_apps(auth: Auth, render: Render) -> dict[tuple[str, str], ASGIApp]:
    """The busiest routes as apps of their own, by method and path: for who owns the app and can go past its layers."""
    found = {("GET", "/users/me"): me.hot_route("", render).app}
    for route in (route for router in routers_of(auth) for route in router.routes if isinstance(route, LeanRoute)):
        found |= {(method, route.path): route.past(render) for method in route.methods or ()}
    return found


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


def _check_prefix(auth: Auth, prefix: str) -> None:
    if not prefix:
        return
    if not prefix.startswith("/") or prefix.endswith("/"):
        raise ValueError("prefix: it starts with a slash and ends without one, as in /account")
    if not urlsplit(auth.settings.public_url).path.endswith(prefix):
        raise ValueError(
            f"prefix: public_url must end with {prefix}, as links in mails and the addresses of our keys are made of it"
        )


def _describe(auth: Auth, app: FastAPI, *, prefix: str, paths: set[str]) -> None:
    """Wrap the app's own way to make its document, as FastAPI would have one extend it."""
    make = app.openapi
    done: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        document = make()
        if not any(document is known for known in done):
            complete_document(document, auth, paths=paths, prefix=prefix)
            done.append(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
