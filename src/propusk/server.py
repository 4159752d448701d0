"""The service: one app, from settings alone."""

import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import propusk
from propusk.auth import Auth, Clock, create_auth
from propusk.crypto.secrets import Entropy, b64url
from propusk.db.dialect import is_away
from propusk.errors import AuthError, BodyTooLarge, MalformedJson, MethodNotAllowed, NotFound, Unavailable
from propusk.feature import Feature
from propusk.features import admin, audit, password
from propusk.settings import Settings
from propusk.web.access_log import AccessLog
from propusk.web.docs import add_docs
from propusk.web.document import make_document, operation_name
from propusk.web.edge import Edge
from propusk.web.faults import refusal_of
from propusk.web.install import allowed_methods, install
from propusk.web.problems import problem_response
from propusk.web.routes import me, pages
from propusk.web.routing import StrictRouting


def standard_features() -> list[Feature]:
    """What the service can do."""
    return [password.feature(), admin.feature(), audit.feature()]


def create_app(
    settings: Settings, *, clock: Clock | None = None, entropy: Entropy = os.urandom, access_log: bool = False
) -> FastAPI:
    """The service as an ASGI app.

    Args:
        settings: what the operator chose.
        clock, entropy: see `create_auth`.
        access_log: write a line for each request to standard error.
    """
    auth = create_auth(settings, standard_features(), clock=clock, entropy=entropy)
    app = FastAPI(
        title="Propusk",
        version=propusk.__version__,
        summary="Authentication and user management.",
        lifespan=_lifespan(auth),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_name,
    )
    install(auth, app)
    app.include_router(pages.router)
    add_docs(app)
    _handle_the_rest(app)
    app.openapi = lambda: _openapi(app, settings)  # type: ignore[method-assign]
    app.add_middleware(StrictRouting)
    app.add_middleware(
        Edge,
        hot={me.hot_route.path: me.hot_route.app},
        new_id=_request_ids(b64url(entropy(9))),
        render=lambda refusal: problem_response(refusal, settings),
        access_log=AccessLog(json_lines=settings.environment == "production") if access_log else None,
        https=settings.secure,
    )
    return app


def _request_ids(prefix: str) -> Callable[[], str]:
    """Names for requests: random for the process, counted within it. They are no secrets."""
    counter = itertools.count()
    return lambda: f"{prefix}-{next(counter):08x}"


def _lifespan(auth: Auth) -> Any:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await auth.start()
        try:
            yield
        finally:
            await auth.close()

    return lifespan


def _openapi(app: FastAPI, settings: Settings) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = make_document(app, settings)
    return app.openapi_schema


def _allowed(app: FastAPI, path: str) -> list[str]:
    return allowed_methods(app.state.propusk, [*app.router.routes, *pages.router.routes], path)


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
