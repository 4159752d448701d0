"""What the OpenAPI document says of refusals: every code of a route, with an example."""

from collections.abc import Mapping
from typing import Any

from propusk.errors import (
    AuthError,
    BodyTooLarge,
    InvalidAccessToken,
    MalformedJson,
    NotAuthenticated,
    Overloaded,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
)

Responses = dict[int | str, dict[str, Any]]
PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "Problem details (RFC 9457). `code` is for programs.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "message")},
            },
        },
    },
}
BODY = (MalformedJson, BodyTooLarge, UnsupportedMediaType)
"""What every route with a body may refuse with."""
LOGIN_NEEDED = (NotAuthenticated, InvalidAccessToken)
"""What every route that needs a session may refuse with."""
HASHING = (TooManyRequests, Overloaded)
"""What every route that hashes a password may refuse with."""


def refuses(*refusals: type[AuthError]) -> Responses:
    """The `responses` of a route that may refuse so; 503 `unavailable` goes without saying."""
    responses: Responses = {}
    for refusal in (*refusals, Unavailable):
        entry = responses.setdefault(refusal.status, {"description": "", "content": _content()})
        entry["content"]["application/problem+json"]["examples"][refusal.code] = {"value": _example(refusal)}
        codes = entry["content"]["application/problem+json"]["examples"]
        entry["description"] = ", ".join(f"`{code}`" for code in codes)
        if "Retry-After" in _headers_of(refusal):
            entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
        if refusal.status == 401:
            entry["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return responses


def _content() -> dict[str, Any]:
    return {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}}


def _headers_of(refusal: type[AuthError]) -> Mapping[str, str]:
    return {"Retry-After": ""} if refusal.status in (429, 503) else {}


def _example(refusal: type[AuthError]) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": f"http://127.0.0.1:8000/problems/{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
    }
    if refusal.status == 422:
        example["errors"] = [{"field": "email", "code": "not_an_email", "message": "This is no e-mail address."}]
    return example


def form_or_json(schema: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body by `read_fields`: the same fields as JSON or as a form."""
    types = ("application/json", "application/x-www-form-urlencoded")
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in types}}}
