"""The service: one app, from settings alone."""

import gc
import itertools
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

import propusk
from propusk.assemble import assemble
from propusk.auth import Auth, Clock
from propusk.create import standard_features
from propusk.crypto.secrets import Entropy, b64url
from propusk.db.dialect import is_away
from propusk.errors import AuthError, BodyTooLarge, MalformedJson, MethodNotAllowed, NotFound, Unavailable
from propusk.extras import explained
from propusk.mail import Mailer
from propusk.settings import Settings
from propusk.web.access_log import AccessLog
from propusk.web.docs import add_docs
from propusk.web.document import make_document
from propusk.web.faults import refusal_of
from propusk.web.install import add_routes, allowed_methods, hot_apps
from propusk.web.leave import announced
from propusk.web.problems import problem_response, problems
from propusk.web.routes import mailbox, pages
from propusk.web.routing import StrictRouting

try:
    from propusk.web.edge import Edge
except ModuleNotFoundError as missing:
    raise explained(missing, "service") from None


class Service(FastAPI):
    """FastAPI with a way past it: the layers that every request goes through cost as much as the hot route itself.

    Args:
        hot: apps by method and path.
    """

    def __init__(self, *, hot: Mapping[tuple[str, str], ASGIApp], **options: Any) -> None:
        super().__init__(**options)
        self._hot = hot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        # Below a root path the whole path is another's: the router knows what to make of it.
        is_ours = scope["type"] == "http" and not scope.get("root_path")
        app = self._hot.get((scope["method"], scope["path"])) if is_ours else None
        if app is None:
            await super().__call__(scope, receive, send)
        else:
            scope["app"] = self
            await app(scope, receive, send)


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    entropy: Entropy = os.urandom,
    mailer: Mailer | None = None,
    access_log: bool = False,
) -> FastAPI:
    """The service as an ASGI app.

    Args:
        settings: what the operator chose.
        clock, entropy, mailer: see `propusk.assemble.assemble`.
        access_log: write a line for each request to standard error.
    """
    auth = assemble(settings, standard_features(), clock=clock, entropy=entropy, mailer=mailer)
    render = problems(settings)
    lines = AccessLog(json_lines=settings.environment == "production") if access_log else None
    edge = partial(
        Edge,
        new_id=_request_ids(b64url(entropy(9))),
        render=lambda refusal: problem_response(refusal, settings),
        access_log=lines,
        https=settings.secure,
    )
    app = Service(
        hot={address: edge(app) for address, app in hot_apps(auth, render).items()},
        title="Propusk",
        version=propusk.__version__,
        summary="Authentication and user management.",
        lifespan=_lifespan(auth, lines),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    add_routes(auth, app, as_they_are=True, render=render)
    app.router.routes += [*pages.router.routes, *mailbox.router.routes]
    add_docs(app)
    _handle_the_rest(app)
    app.openapi = lambda: _openapi(app, auth)  # type: ignore[method-assign]
    app.add_middleware(StrictRouting)
    app.add_middleware(edge)
    return app


def _request_ids(prefix: str) -> Callable[[], str]:
    """Names for requests: random for the process, counted within it. They are no secrets."""
    counter = itertools.count()
    return lambda: f"{prefix}-{next(counter):08x}"


def _lifespan(auth: Auth, lines: AccessLog | None) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with auth.running():
                # What stands by now stays: to walk all of it again and again would stop the loop each time. So does a
                # walk through all that has grown old since, which a crowd makes long: rarely is enough.
                gc.collect()
                gc.freeze()
                gc.set_threshold(*gc.get_threshold()[:2], 100)
                with announced(app, auth.settings.shutdown_delay):
                    yield
        finally:
            if lines is not None:
                lines.flush()  # what waits for others would wait for a loop that has ended

    return lifespan


def _openapi(app: FastAPI, auth: Auth) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = make_document(app, auth)
    return app.openapi_schema


def _allowed(app: FastAPI, path: str) -> list[str]:
    return allowed_methods(app.state.propusk, [*app.router.routes, *pages.router.routes, *mailbox.router.routes], path)


def _handle_the_rest(app: FastAPI) -> None:
    """Problem documents for what is refused before a route of ours is reached, and for a database that is away."""
    auth: Auth = app.state.propusk
    settings = auth.settings

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 (what this handler is registered for)
        wrong_method = MethodNotAllowed(_allowed(app, request.scope["path"]))
        refusals: dict[int, AuthError] = {405: wrong_method, 400: MalformedJson(), 413: BodyTooLarge()}
        return problem_response(refusals.get(error.status_code, NotFound()), settings)

    async def on_invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return problem_response(refusal_of(error), settings)

    async def on_error(_request: Request, error: Exception) -> Response:
        if is_away(error):
            return problem_response(Unavailable(), settings)
        raise error

    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(OSError, on_error)
