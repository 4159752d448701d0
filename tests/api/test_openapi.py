"""The OpenAPI document agrees with the contract, and the service with the document."""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Response

from propusk.web.schemas import UserOut
from tests.conftest import MakeHouse
from tests.kit import House

pytestmark = pytest.mark.one_database

OPERATIONS = """
POST /auth/register post_register
POST /auth/login post_login
POST /auth/refresh post_refresh
POST /auth/logout post_logout
POST /auth/request-verify-token post_request_verify_token
POST /auth/verify post_verify
POST /auth/forgot-password post_forgot_password
POST /auth/reset-password post_reset_password
POST /auth/confirm-email post_confirm_email
POST /auth/undo-email post_undo_email
GET /auth/sessions get_sessions
DELETE /auth/sessions delete_sessions
DELETE /auth/sessions/{id} delete_session
GET /users/me get_me
PATCH /users/me patch_me
POST /users/me/password post_password
POST /users/me/email post_email
DELETE /users/me delete_me
POST /users/me/delete post_me_delete
GET /users get_users
POST /users post_user
GET /users/{id} get_user
PATCH /users/{id} patch_user
DELETE /users/{id} delete_user
GET /users/{id}/sessions get_user_sessions
DELETE /users/{id}/sessions delete_user_sessions
POST /auth/introspect post_introspect
GET /.well-known/jwks.json get_jwks
GET /healthz get_healthz
GET /readyz get_readyz
GET /metrics get_metrics
"""
SESSION: list[dict[str, list[str]]] = [{"bearer": []}, {"login": []}, {"cookie": []}]
OPEN = {"post_register", "post_login", "get_jwks", "get_healthz", "get_readyz"}
OPEN |= {"post_request_verify_token", "post_verify", "post_forgot_password", "post_reset_password"}
OPEN |= {"post_confirm_email", "post_undo_email"}
OWN_SECURITY = {
    "post_introspect": [{"client": []}],
    "get_metrics": [{"metrics": []}],
    "post_refresh": [{"refresh_cookie": []}, {}],
    "post_logout": [*SESSION, {"refresh_cookie": []}, {}],
}
# What the contract says of each route, beyond what goes without saying: a body that cannot be read, no session, a
# foreign page, a database that is away.
OWN_CODES = {
    "post_register": {"registration_closed", "email_taken", "username_taken", "too_many_requests", "overloaded"},
    "post_login": {
        *("invalid_credentials", "account_disabled", "email_not_verified", "too_many_requests", "overloaded"),
    },
    "post_request_verify_token": {"too_many_requests", "overloaded"},
    "post_verify": {"invalid_token", "expired_token", "email_taken"},
    "post_confirm_email": {"invalid_token", "expired_token", "email_taken"},
    "post_undo_email": {"invalid_token", "expired_token", "email_taken"},
    "post_forgot_password": {"too_many_requests", "overloaded"},
    "post_reset_password": {"invalid_token", "expired_token", "overloaded"},
    "post_refresh": {"not_authenticated", "invalid_refresh_token", "refresh_token_reused", "too_many_requests"},
    "post_logout": {"not_authenticated", "invalid_access_token", "invalid_refresh_token", "too_many_requests"},
    "delete_session": {"not_found"},
    "patch_me": {"username_taken"},
    "post_password": {"wrong_password", "too_many_requests", "overloaded"},
    "post_email": {"wrong_password", "too_many_requests", "overloaded"},
    "delete_me": {"wrong_password", "last_superuser", "user_in_use", "too_many_requests", "overloaded"},
    "post_me_delete": {"wrong_password", "last_superuser", "user_in_use", "too_many_requests", "overloaded"},
    "get_users": {"forbidden"},
    "post_user": {"forbidden", "email_taken", "username_taken", "overloaded"},
    "get_user": {"forbidden", "not_found"},
    "patch_user": {"forbidden", "not_found", "email_taken", "username_taken", "last_superuser"},
    "delete_user": {"forbidden", "not_found", "last_superuser", "user_in_use"},
    "get_user_sessions": {"forbidden", "not_found"},
    "delete_user_sessions": {"forbidden", "not_found"},
    "post_introspect": {"invalid_client"},
    "get_metrics": {"not_found", "not_authenticated", "invalid_access_token"},
}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """The node, or what its `$ref` points at."""
    if "$ref" not in node:
        return node
    found: Any = document
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def codes(operation: dict[str, Any]) -> set[str]:
    contents = [response.get("content", {}) for response in operation["responses"].values()]
    return {code for c in contents for code in c.get("application/problem+json", {}).get("examples", {})}


async def document_of(house: House) -> dict[str, Any]:
    answer: Response = await house.client.get("/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


async def test_every_route_of_the_contract_is_there_under_its_name_and_no_other(house: House) -> None:
    document = await document_of(house)

    found = {f"{method} {path} {o['operationId']}" for method, path, o in operations(document)}

    assert found == set(OPERATIONS.split("\n")) - {""}


async def test_every_operation_lists_every_code_of_the_contract(house: House) -> None:
    document = await document_of(house)
    for method, path, operation in operations(document):
        name = operation["operationId"]
        expected = set(OWN_CODES.get(name, set()))
        if name not in ("get_jwks", "get_healthz", "get_readyz", "get_me"):
            expected |= {"malformed_json", "body_too_large", "invalid_input"}
            expected |= {"unsupported_media_type"} if method != "GET" else set()
        if operation.get("security") == SESSION:
            expected |= {"not_authenticated", "invalid_access_token"}
        if method != "GET" and name != "post_introspect":
            expected |= {"cross_origin"}
        if name != "get_healthz":
            expected |= {"unavailable"}
        assert codes(operation) == expected, (method, path)


async def test_each_operation_names_who_may_call_it(house: House) -> None:
    for _, _, operation in operations(await document_of(house)):
        name = operation["operationId"]
        expected = None if name in OPEN else OWN_SECURITY.get(name, SESSION)
        assert operation.get("security") == expected, name


@pytest.mark.parametrize(
    ("public_url", "prefix"), [("http://127.0.0.1:8000", ""), ("https://auth.example.com", "__Host-")]
)
async def test_the_cookies_are_called_as_the_service_calls_them(
    make_house: MakeHouse, public_url: str, prefix: str
) -> None:
    house = await make_house(public_url=public_url)
    ada = await house.register()
    schemes = (await document_of(house))["components"]["securitySchemes"]

    answer = await ada.client.post("/auth/login?transport=cookie", json={"login": ada.email, "password": ada.password})

    assert (schemes["cookie"]["name"], schemes["refresh_cookie"]["name"]) == (
        f"{prefix}propusk_access",
        f"{prefix}propusk_refresh",
    )
    assert set(answer.cookies) == {schemes["cookie"]["name"], schemes["refresh_cookie"]["name"]}
    assert set(schemes) == {"bearer", "login", "cookie", "refresh_cookie", "client", "metrics"}


async def test_every_body_and_every_answer_has_an_example(house: House) -> None:
    document = await document_of(house)
    for method, path, operation in operations(document):
        contents = [operation["requestBody"]["content"]] if "requestBody" in operation else []
        contents += [r.get("content", {}) for status, r in operation["responses"].items() if status.startswith("2")]
        for media in (media for content in contents for media in content.values()):
            shapes = [
                option for option in media["schema"].get("anyOf", [media["schema"]]) if option != {"type": "null"}
            ]
            assert shapes, (method, path)
            for shape in shapes:
                assert resolve(document, shape).get("examples"), (method, path, shape)


async def test_every_operation_and_parameter_is_described(house: House) -> None:
    for method, path, operation in operations(await document_of(house)):
        assert operation["summary"], (method, path)
        assert operation["description"].endswith("."), (method, path)
        assert len(operation["tags"]) == 1, (method, path)
        for response in operation["responses"].values():
            assert response["description"] not in ("", "Successful Response", "Validation Error"), (method, path)


async def test_every_answer_names_its_headers(house: House) -> None:
    document = await document_of(house)
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            expected = {"X-Request-ID"}
            expected |= {"WWW-Authenticate"} if status == "401" else set()
            expected |= {"Retry-After"} if status in ("429", "503") else set()
            if (operation["operationId"], status) in {
                ("post_login", "200"),
                ("post_refresh", "200"),
                ("post_logout", "204"),
                ("delete_me", "204"),
                ("post_me_delete", "204"),
            }:
                expected |= {"Set-Cookie"}
            assert set(response["headers"]) == expected, (method, path, status)
            assert all(resolve(document, header)["description"] for header in response["headers"].values())


async def test_nothing_of_fastapis_own_refusals_is_left(house: House) -> None:
    text = (await house.client.get("/openapi.json")).text

    assert "HTTPValidationError" not in text
    assert "#/components/schemas/ValidationError" not in text


async def test_the_hot_route_answers_what_the_document_says(house: House) -> None:
    ada = await house.register(username="ada", name="Ada", profile={"a": [1, None]})
    document = await document_of(house)
    schema = document["paths"]["/users/me"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

    body = (await ada.get("/users/me")).json()

    assert (
        schema == document["paths"]["/users/me"]["patch"]["responses"]["200"]["content"]["application/json"]["schema"]
    )
    assert list(body) == list(resolve(document, schema)["properties"]) == list(UserOut.model_fields)
    assert set(resolve(document, schema)["required"]) == set(body)
    assert body == UserOut.model_validate(body).model_dump(mode="json")
    assert body == (await ada.patch("/users/me", {})).json()


async def test_the_shortest_password_is_that_of_the_settings(make_house: MakeHouse) -> None:
    house = await make_house(password={"min_length": 13, "memory_kib": 8, "iterations": 1})
    schemas = (await house.client.get("/openapi.json")).json()["components"]["schemas"]
    fields = [("RegisterBody", "password"), ("UserCreation", "password"), ("PasswordChange", "new_password")]
    for schema, field in fields:
        told = schemas[schema]["properties"][field]
        told = told.get("anyOf", [told])[0]
        assert (told["minLength"], told["maxLength"]) == (13, 256), schema
        assert told["description"].startswith("13 to 256 characters"), schema
