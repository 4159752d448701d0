"""What the OpenAPI document says of refusals: every code of a route, with an example."""

from typing import Any

from propusk.errors import (
    AuthError,
    BodyTooLarge,
    InvalidAccessToken,
    InvalidInput,
    MalformedJson,
    NotAuthenticated,
    Overloaded,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
)

Responses = dict[int | str, dict[str, Any]]
GET = (MalformedJson, BodyTooLarge, InvalidInput)
"""What every strict route may refuse with: even where no body is expected, one is read and counted."""
UNSAFE = (*GET, UnsupportedMediaType)
"""What every strict route of another method may refuse with."""
LOGIN_NEEDED = (NotAuthenticated, InvalidAccessToken)
"""What every route that needs a session may refuse with."""
HASHING = (TooManyRequests, Overloaded)
"""What every route that hashes a password may refuse with."""

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "Problem details (RFC 9457). `code` is for programs, `detail` for people.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "The address of a page that explains the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "pattern": "^[a-z]+(_[a-z]+)*$"},
        "errors": {
            "description": "With 422: each field that is invalid, as a dotted path.",
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "message")},
            },
        },
    },
}
HEADERS: dict[str, Any] = {
    "RequestId": {
        "description": "The name of this request in the logs: the caller's X-Request-ID if it is 8 to 64 of"
        " `[A-Za-z0-9._-]`, else a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"},
    },
    "RetryAfter": {
        "description": "Seconds to wait (RFC 9110, section 10.2.3).",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Challenge": {
        "description": "How to authenticate (RFC 6750, section 3; RFC 7617 for introspection).",
        "required": True,
        "schema": {"type": "string"},
    },
    "SetCookies": {
        "description": "Two lines, one for each cookie of ours: set by a login or refresh in the transport `cookie`,"
        " cleared by logout and deletion. Absent for bearers.",
        "schema": {"type": "string"},
    },
}
_SET_COOKIE = {"headers": {"Set-Cookie": {"$ref": "#/components/headers/SetCookies"}}}
NEW_TOKENS: Responses = {200: _SET_COOKIE}
"""The answer of a route that hands out tokens, in either transport."""
CLEARED: Responses = {204: _SET_COOKIE}
"""The answer of a route that clears the cookies of those who use them."""
_OF_STATUS = {
    401: {"WWW-Authenticate": {"$ref": "#/components/headers/Challenge"}},
    429: {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}},
    503: {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}},
}


def refuses(*refusals: type[AuthError]) -> Responses:
    """The `responses` of a route that may refuse so; 503 `unavailable` goes without saying."""
    responses: Responses = {}
    every: set[type[AuthError]] = {*refusals, Unavailable}
    for refusal in sorted(every, key=lambda refusal: (refusal.status, refusal.code)):
        entry = responses.setdefault(refusal.status, _entry(refusal.status))
        examples = entry["content"]["application/problem+json"]["examples"]
        examples[refusal.code] = {"summary": refusal.title, "value": _example(refusal)}
        entry["description"] = ", ".join(f"`{code}`" for code in examples)
    return responses


def _entry(status: int) -> dict[str, Any]:
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
    headers = {"headers": dict(_OF_STATUS[status])} if status in _OF_STATUS else {}
    return {"description": "", "content": {"application/problem+json": content}, **headers}


def _example(refusal: type[AuthError]) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": f"http://127.0.0.1:8000/problems/{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
    }
    if refusal is InvalidInput:
        example["errors"] = [{"field": "password", "code": "too_short", "message": "Use at least 8 characters."}]
    return example


def form_or_json(schema: dict[str, Any], form: dict[str, Any] | None = None) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body by `read_fields`: as JSON or as a form.

    Args:
        form: the schema of the form, where its fields are others.
    """
    content = {
        "application/json": {"schema": schema},
        "application/x-www-form-urlencoded": {"schema": form or schema},
    }
    return {"requestBody": {"required": True, "content": content}}
