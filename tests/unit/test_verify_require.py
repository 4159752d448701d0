"""The verifier in web frameworks: headers read strictly, answers of RFC 6750, and its place in OpenAPI."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Security, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from propusk.crypto.keyfiles import read_keys
from propusk.crypto.keyring import PrivateKey
from propusk.verify import AccessToken, InsufficientScope, InvalidToken, MissingToken, Refused, TokenVerifier
from tests.unit.test_web_bearer import BAD_BEARERS, OTHER_SCHEMES
from tests.verifying import SUB, FakeIssuer, publishes, sign, verifier_of


@pytest.fixture(scope="module")
def private(signing_key_file: Path) -> tuple[PrivateKey, ...]:
    return read_keys(signing_key_file)


@pytest.fixture
def issuer(private: tuple[PrivateKey, ...]) -> FakeIssuer:
    return FakeIssuer(publishes(*private))


@pytest.fixture
def verifier(issuer: FakeIssuer) -> TokenVerifier:
    return verifier_of(issuer)


def fastapi_app(verifier: TokenVerifier) -> FastAPI:
    app = FastAPI()

    @app.get("/me")
    async def me(token: Annotated[AccessToken, Depends(verifier.require())]) -> str:
        return token.subject

    @app.get("/orders", dependencies=[Security(verifier.require("orders:read", "orders:list"))])
    async def orders() -> list[str]:
        return []

    @app.websocket("/feed")
    async def feed(socket: WebSocket, token: Annotated[AccessToken, Depends(verifier.require())]) -> None:
        await socket.accept()
        await socket.send_text(token.subject)
        await socket.close()

    return app


def starlette_app(verifier: TokenVerifier) -> Starlette:
    async def me(request: Request) -> Response:
        token = await verifier.authenticate(request.headers.getlist("authorization"))
        return JSONResponse(token.subject)

    async def orders(request: Request) -> Response:
        await verifier.authenticate(request.headers.getlist("authorization"), "orders:read", "orders:list")
        return JSONResponse([])

    async def refuse(_: Request, refused: Exception) -> Response:
        assert isinstance(refused, Refused)
        return JSONResponse({"detail": refused.title}, refused.status, refused.headers)

    return Starlette(routes=[Route("/me", me), Route("/orders", orders)], exception_handlers={Refused: refuse})


@pytest.fixture(params=[fastapi_app, starlette_app])
async def client(request: pytest.FixtureRequest, verifier: TokenVerifier) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(request.param(verifier))
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example.com") as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_good_token_is_let_in(client: httpx.AsyncClient, private: tuple[PrivateKey, ...]) -> None:
    answer = await client.get("/me", headers=bearer(sign(private[0])))
    assert (answer.status_code, answer.json()) == (200, SUB)
    scoped = sign(private[0], scope="x orders:list orders:read")
    assert (await client.get("/orders", headers=bearer(scoped))).status_code == 200


@pytest.mark.parametrize(
    "scope", [..., "orders:read", "orders:list", "orders:reads orders:list", "ORDERS:READ orders:list"]
)
async def test_a_missing_scope_is_a_403_that_names_what_is_needed(
    client: httpx.AsyncClient, private: tuple[PrivateKey, ...], scope: Any
) -> None:
    answer = await client.get("/orders", headers=bearer(sign(private[0], scope=scope)))
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="orders:read orders:list"'


@pytest.mark.parametrize("value", [None, *OTHER_SCHEMES])
async def test_no_token_is_a_401_without_an_error_word(client: httpx.AsyncClient, value: bytes | None) -> None:
    headers = [] if value is None else [(b"Authorization", value)]
    answer = await client.get("/me", headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("value", BAD_BEARERS)
async def test_t18_a_broken_header_is_a_401_invalid_token(client: httpx.AsyncClient, value: bytes) -> None:
    answer = await client.get("/me", headers=[(b"Authorization", value)])
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert "zq7canary" not in answer.text


async def test_t18_two_headers_are_refused(client: httpx.AsyncClient, private: tuple[PrivateKey, ...]) -> None:
    one = (b"Authorization", f"Bearer {sign(private[0])}".encode())
    for headers in ([one, one], [one, (b"Authorization", b"Basic YTpi")]):
        answer = await client.get("/me", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')


async def test_an_expired_token_is_a_401(client: httpx.AsyncClient, private: tuple[PrivateKey, ...]) -> None:
    answer = await client.get("/me", headers=bearer(sign(private[0], iat=1, exp=2)))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert answer.json() == {"detail": "The access token is not valid or has expired."}


async def test_an_issuer_that_is_away_is_a_503(
    client: httpx.AsyncClient, issuer: FakeIssuer, private: tuple[PrivateKey, ...]
) -> None:
    issuer.answer = OSError("away")
    answer = await client.get("/me", headers=bearer(sign(private[0])))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_openapi_shows_a_bearer_scheme(verifier: TokenVerifier) -> None:
    document = fastapi_app(verifier).openapi()
    schemes = document["components"]["securitySchemes"]
    assert {name: (scheme["type"], scheme["scheme"]) for name, scheme in schemes.items()} == {
        "HTTPBearer": ("http", "bearer")
    }
    for path in ("/me", "/orders"):
        operation = document["paths"][path]["get"]
        assert operation["security"] == [{"HTTPBearer": []}]
        assert "parameters" not in operation


async def messages(app: FastAPI, *headers: tuple[bytes, bytes]) -> list[dict[str, Any]]:
    """What the app sends to a WebSocket at /feed."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        **{"type": "websocket", "path": "/feed", "raw_path": b"/feed", "query_string": b"", "root_path": ""},
        **{"scheme": "wss", "headers": list(headers), "subprotocols": [], "asgi": {"version": "3.0"}},
        "extensions": {"websocket.http.response": {}},
    }
    await app(scope, receive, send)
    return sent


async def test_a_websocket_is_verified_as_well(verifier: TokenVerifier, private: tuple[PrivateKey, ...]) -> None:
    app = fastapi_app(verifier)
    sent = await messages(app, (b"authorization", b"Bearer " + sign(private[0]).encode()))
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert sent[1]["text"] == SUB
    denied = await messages(app)
    assert denied[0]["type"] == "websocket.http.response.start"
    assert denied[0]["status"] == 401


@pytest.mark.parametrize("scope", ["", "a b", 'a"', "a\\", "ж", "a\n"])
async def test_a_scope_that_cannot_be_is_the_programs_fault(verifier: TokenVerifier, scope: str) -> None:
    with pytest.raises(ValueError, match="scope"):
        verifier.require(scope)
    with pytest.raises(ValueError, match="scope"):
        await verifier.authenticate([], scope)


async def test_without_a_framework_a_refusal_says_what_to_answer(
    verifier: TokenVerifier, private: tuple[PrivateKey, ...]
) -> None:
    header = f"Bearer {sign(private[0])}"
    for value in ([header], (header.encode(),), iter([header]), header, header.encode()):
        assert (await verifier.authenticate(value)).subject == SUB
    for values, scopes, kind in (
        ([], (), MissingToken),
        (None, (), MissingToken),
        ("", (), MissingToken),
        ("Bearer", (), InvalidToken),
        (["Bearer ж"], (), InvalidToken),
        ([b"Bearer " + sign(private[0]).encode()], ("a",), InsufficientScope),
    ):
        with pytest.raises(kind) as refused:
            await verifier.authenticate(values, *scopes)
        assert refused.value.status in (401, 403)
        assert "WWW-Authenticate" in refused.value.headers
