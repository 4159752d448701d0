"""Refusals as problem documents (RFC 9457)."""

from collections.abc import Callable
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket, WebSocketState

from propusk.errors import AuthError, InvalidInput
from propusk.settings import Settings

Render = Callable[[Any, AuthError], Response]
"""Makes the answer to a refused request, or to a refused WebSocket."""


class InternalError(AuthError):
    """A bug of ours. Says nothing of it; the log has the rest under the request's id."""

    code, status, title = "internal_error", 500, "Internal error"
    detail = "Something went wrong here. The request id helps the operator to find it in the log."


def problem(refusal: AuthError, settings: Settings) -> dict[str, Any]:
    """The document that says why."""
    document: dict[str, Any] = {
        "type": f"{settings.public_url}/problems/{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": str(refusal),
        "code": refusal.code,
    }
    if isinstance(refusal, InvalidInput):
        document["errors"] = [{"field": e.field, "code": e.code, "message": e.message} for e in refusal.errors]
    return document


def problem_response(refusal: AuthError, settings: Settings) -> Response:
    """The answer to a refused request."""
    headers = {"Cache-Control": "no-store", **refusal.headers()}
    return JSONResponse(
        problem(refusal, settings), refusal.status, headers=headers, media_type="application/problem+json"
    )


def problems(settings: Settings) -> Render:
    """Render refusals as problem documents."""
    return lambda _connection, refusal: problem_response(refusal, settings)


def as_detail(_connection: HTTPConnection, refusal: AuthError) -> Response:
    """For `install(errors=…)`: refusals as FastAPI tells its own, `{"detail": …}`, a list of faults with a 422."""
    detail: object = str(refusal)
    if isinstance(refusal, InvalidInput):
        detail = [{"type": e.code, "loc": ["body", *e.field.split(".")], "msg": e.message} for e in refusal.errors]
    return JSONResponse({"detail": detail}, refusal.status)


def refusal_handler(render: Render) -> Callable[[Any, Exception], Any]:
    """The exception handler for `AuthError`: whoever renders it, what the protocol asks for is in the headers."""

    async def handle(connection: HTTPConnection, refusal: Exception) -> Response | None:
        assert isinstance(refusal, AuthError)  # noqa: S101 (what this handler is registered for)
        response = rendered(render, connection, refusal)
        if not isinstance(connection, WebSocket):
            return response
        is_asking = connection.application_state is WebSocketState.CONNECTING
        if is_asking and "websocket.http.response" in connection.scope.get("extensions", {}):
            await connection.send_denial_response(response)
        else:
            await connection.close(code=1008, reason=refusal.code)  # policy violation (RFC 6455, section 7.4.1)
        return None

    return handle


def rendered(render: Render, connection: HTTPConnection, refusal: AuthError) -> Response:
    """The answer, with the headers and cookies that a refusal brings along, whatever the host made of the rest."""
    response = render(connection, refusal)
    for name, value in refusal.headers().items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    for line in refusal.set_cookies:
        response.headers.append("set-cookie", line)
    return response
