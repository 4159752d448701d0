"""The OpenAPI document, from what FastAPI makes of the routes."""

from collections.abc import Iterable, Mapping, Set
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from propusk.auth import Auth
from propusk.web.login_form import REQUEST_BODY
from propusk.web.openapi import HEADERS, LOGIN_NEEDED, PROBLEM_SCHEMA, refuses
from propusk.web.own_names import add_components, name_schemes, schemas_of
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
_WITH_PROFILE = ("UserOut", "MePatch", "RegisterBody", "UserCreation", "UserPatch")
_GET_ME: dict[str, Any] = {
    "tags": ["users"],
    "description": "The user who is calling.",
    "operationId": "get_me",
    "security": [],
    "responses": {
        "200": {"description": "", "content": {"application/json": {"schema": {}}}},
        **{str(status): entry for status, entry in refuses(*LOGIN_NEEDED).items()},
    },
}


def make_document(app: FastAPI, auth: Auth) -> dict[str, Any]:
    """The whole document of the service."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
        license_info={"name": "MIT"},
    )
    for route in app.routes:
        if isinstance(route, APIRoute) and route.path in document["paths"]:
            for method in route.methods or ():
                # `post_login`, not `post_login_auth_login_post`: what generated clients call it.
                document["paths"][route.path][method.lower()]["operationId"] = route.name
    complete_document(document, auth, paths={"/users/me", *document["paths"]})
    for item in document["paths"].values():
        for operation in item.values():
            _mention_request_id(operation)
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


def complete_document(document: dict[str, Any], auth: Auth, *, paths: Set[str], prefix: str = "") -> None:
    """Add to a document what FastAPI cannot know of our routes in it.

    Args:
        paths: ours, prefix included.
    """
    named = name_schemes(document, paths)
    components = document["components"]
    schemes = components.get("securitySchemes", {})
    _complete_cookie(schemes, named, auth)
    if auth.host.login_form is not None or f"{prefix}/auth/login" not in paths:
        _tell_of_own_login(document, named, auth.host.login_form)
    else:
        _tell_of_our_login(components.setdefault("securitySchemes", {}), named, auth, prefix)
    if not paths:
        return
    schemas = components.setdefault("schemas", {})
    ours = {name.rpartition("__")[2]: name for name in schemas_of(document, paths)}
    if f"{prefix}/users/me" in paths:
        # FastAPI does not know the hot route, which is Starlette's.
        if "UserOut" not in ours:
            ours |= add_components(document, "schemas", {"UserOut": UserOut.model_json_schema(mode="serialization")})
        document["paths"].setdefault(f"{prefix}/users/me", {})["get"] = _get_me(ours["UserOut"], named)
    add_components(document, "headers", deepcopy(HEADERS), paths)
    add_components(document, "schemas", {"Problem": deepcopy(PROBLEM_SCHEMA)}, paths)
    _set_shortest_password(schemas, auth.settings.password.min_length)
    if auth.host.user_fields is not None:
        holders = [schemas[ours[name]] for name in _WITH_PROFILE if name in ours]
        _describe_profile(document, holders, auth.host.user_fields)
    if not auth.host.refresh_tokens:
        _forget_refresh_tokens(document, schemas.get(ours.get("Tokens", ""), {}), paths)
    for path in paths & document["paths"].keys():
        for operation in document["paths"][path].values():
            _complete(operation, schemas)


def _get_me(shown: str, named: Mapping[str, str]) -> dict[str, Any]:
    """The operation of the hot route, by the names that components have in this document."""
    operation: dict[str, Any] = deepcopy(_GET_ME)
    operation["security"] = [{named[name]: []} for name in ("bearer", "login", "cookie") if name in named]
    operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"] = f"#/components/schemas/{shown}"
    return operation


def _complete_cookie(schemes: dict[str, Any], named: Mapping[str, str], auth: Auth) -> None:
    if "cookie" in named:
        schemes[named["cookie"]] |= {"type": "apiKey", "in": "cookie", "name": auth.cookies.access}


def _tell_of_our_login(schemes: dict[str, Any], named: Mapping[str, str], auth: Auth, prefix: str) -> None:
    if "cookie" in named and auth.host.refresh_tokens:
        schemes["refresh_cookie"] = {
            "type": "apiKey",
            "in": "cookie",
            "name": auth.cookies.refresh,
            "description": "Set by POST /auth/login?transport=cookie, beside the other; for refresh and logout.",
        }
    if "login" in named:
        base = f"{prefix.removeprefix('/')}/" if prefix else ""
        refreshing = {"refreshUrl": f"{base}auth/refresh"} if auth.host.refresh_tokens else {}
        flows = schemes[named["login"]]["flows"]
        flows["password"] = refreshing | {"scopes": {}, "tokenUrl": f"{base}auth/login"}


def _tell_of_own_login(document: dict[str, Any], named: dict[str, str], form: str | None) -> None:
    """Where tokens come from is the host's business; without a form of its own the Authorize button has none."""
    schemes = document["components"].get("securitySchemes", {})
    for name in named.keys() & {"bearer", "cookie"}:
        schemes[named[name]].pop("description", None)
    if "login" not in named:
        return
    if form is not None:
        schemes[named["login"]]["flows"]["password"] = {"tokenUrl": form.removeprefix("/"), "scopes": {}}
        document["paths"].get(form, {}).get("post", {}).setdefault("requestBody", deepcopy(REQUEST_BODY["requestBody"]))
        return
    login = named.pop("login")
    del schemes[login]
    _forget_scheme(document["paths"].values(), login)


def _forget_scheme(items: Iterable[dict[str, Any]], name: str) -> None:
    for item in items:
        for operation in item.values():
            if "security" in operation:
                operation["security"] = [way for way in operation["security"] if name not in way]


def _describe_profile(document: dict[str, Any], holders: list[dict[str, Any]], fields: type[BaseModel]) -> None:
    """Say what a profile holds, wherever one stands; the model's own parts come along as components."""
    schema = fields.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs", {})
    name = add_components(document, "schemas", {fields.__name__: schema, **parts})[fields.__name__]
    for model in holders:
        if "profile" in model.get("properties", {}):
            model["properties"]["profile"] = {"$ref": f"#/components/schemas/{name}"}


def _forget_refresh_tokens(document: dict[str, Any], tokens: dict[str, Any], paths: Set[str]) -> None:
    _forget_scheme([document["paths"][path] for path in paths & document["paths"].keys()], "refresh_cookie")
    for name in ("refresh_token", "refresh_expires_in"):
        tokens.get("properties", {}).pop(name, None)
        if name in tokens.get("required", []):
            tokens["required"].remove(name)


def _set_shortest_password(node: Any, shortest: int) -> None:
    """What `NewPassword` says for the default, said for the settings, wherever it stands."""
    if isinstance(node, dict):
        if node.get("description") == NEW_PASSWORD.format(8):
            node |= {"description": NEW_PASSWORD.format(shortest), "minLength": shortest}
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            _set_shortest_password(inner, shortest)


def _complete(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A summary and descriptions of our own instead of FastAPI's."""
    operation["summary"] = operation["description"].split(". ")[0].removesuffix(".")
    responses = operation["responses"]
    for status, response in responses.items():
        if status.startswith("2"):
            response["description"] = _describe(response, schemas)
    operation["responses"] = dict(sorted(responses.items()))


def _mention_request_id(operation: dict[str, Any]) -> None:
    for response in operation["responses"].values():
        response.setdefault("headers", {})["X-Request-ID"] = {"$ref": "#/components/headers/RequestId"}


def _describe(response: dict[str, Any], schemas: dict[str, Any]) -> str:
    content = response.get("content", {})
    if content and "application/json" not in content:
        return str(response["description"])
    schema = content.get("application/json", {}).get("schema", {})
    found = [schemas[s["$ref"].rpartition("/")[2]] for s in schema.get("anyOf", [schema]) if "$ref" in s]
    return " ".join(s["description"] for s in found) or "Done; there is nothing to say."
