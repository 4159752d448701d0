"""The OpenAPI document of the service, from what FastAPI makes of the routes."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from propusk.settings import Settings
from propusk.web.cookies import CookieNames
from propusk.web.openapi import HEADERS, LOGIN_NEEDED, PROBLEM_SCHEMA, refuses
from propusk.web.schemas import NEW_PASSWORD, UserOut

DESCRIPTION = """Accounts, sessions and tokens.

JSON in UTF-8, times in RFC 3339 and UTC, ids are UUIDs. A refusal is a problem document (RFC 9457) with a stable
`code`; its `type` is the address of a page about it. Fields that we do not know are refused. Lists are pages:
`next_cursor` of one is the `cursor` of the next.

Authenticate with `Authorization: Bearer …` or with the cookies of `POST /auth/login?transport=cookie`. Where both are
sent the header decides. Unsafe requests with cookies must come from a page of this origin."""
TAGS = [
    {"name": "login", "description": "Make an account, begin a session."},
    {"name": "sessions", "description": "Go on with a session, see yours, end them."},
    {"name": "users", "description": "Your own account."},
    {"name": "admin", "description": "Other people's accounts, for superusers."},
    {"name": "operation", "description": "For other services and for those who run this one."},
]
_GET_ME = {
    "tags": ["users"],
    "description": "The user who is calling.",
    "operationId": "get_me",
    "security": [{"bearer": []}, {"login": []}, {"cookie": []}],
    "responses": {
        "200": {
            "description": "",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/UserOut"}}},
        },
        **{str(status): entry for status, entry in refuses(*LOGIN_NEEDED).items()},
    },
}


def operation_name(route: APIRoute) -> str:
    """`post_login`, not `post_login_auth_login_post`: what generated clients call it."""
    return route.name


def make_document(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """The whole document.

    Args:
        settings: the cookies' names are among what they decide.
    """
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
        license_info={"name": "MIT"},
    )
    _complete_components(document["components"], settings)
    # FastAPI does not know the hot route, which is Starlette's.
    document["paths"]["/users/me"]["get"] = deepcopy(_GET_ME)
    _set_shortest_password(document["components"]["schemas"], settings.password.min_length)
    for operation in _operations(document):
        _complete(operation, document["components"]["schemas"])
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


def _complete_components(components: dict[str, Any], settings: Settings) -> None:
    components["headers"] = deepcopy(HEADERS)
    components["schemas"]["Problem"] = deepcopy(PROBLEM_SCHEMA)
    components["schemas"].setdefault("UserOut", UserOut.model_json_schema(mode="serialization"))
    names = CookieNames.for_url(https=settings.secure)
    cookie = {"type": "apiKey", "in": "cookie"}
    components["securitySchemes"]["cookie"] |= cookie | {"name": names.access}
    components["securitySchemes"]["refresh_cookie"] = cookie | {
        "name": names.refresh,
        "description": "Set by POST /auth/login?transport=cookie, beside the other; for refresh and logout.",
    }


def _set_shortest_password(node: Any, shortest: int) -> None:
    """What `NewPassword` says for the default, said for the settings, wherever it stands."""
    if isinstance(node, dict):
        if node.get("description") == NEW_PASSWORD.format(8):
            node |= {"description": NEW_PASSWORD.format(shortest), "minLength": shortest}
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            _set_shortest_password(inner, shortest)


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from item.values()


def _complete(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A summary and descriptions of our own instead of FastAPI's, and the header that every answer has."""
    operation["summary"] = operation["description"].split(". ")[0].removesuffix(".")
    responses = operation["responses"]
    for status, response in responses.items():
        if status.startswith("2"):
            response["description"] = _describe(response, schemas)
        response.setdefault("headers", {})["X-Request-ID"] = {"$ref": "#/components/headers/RequestId"}
    operation["responses"] = dict(sorted(responses.items()))


def _describe(response: dict[str, Any], schemas: dict[str, Any]) -> str:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    found = [schemas[s["$ref"].rpartition("/")[2]] for s in schema.get("anyOf", [schema]) if "$ref" in s]
    return " ".join(s["description"] for s in found) or "Done; there is nothing to say."
