"""Refusals as problem documents (RFC 9457)."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from propusk.errors import AuthError, InvalidInput
from propusk.settings import Settings


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


async def render_refusal(request: Request, refusal: Exception) -> Response:
    """Exception handler for `AuthError`. Refusals that clear cookies bring their `Set-Cookie` lines along."""
    assert isinstance(refusal, AuthError)  # noqa: S101 (what this handler is registered for)
    response = problem_response(refusal, request.app.state.propusk.settings)
    for line in refusal.set_cookies:
        response.headers.append("set-cookie", line)
    return response
