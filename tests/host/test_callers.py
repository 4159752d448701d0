"""Who is calling: the dependencies of a host's routes, in HTTP and in WebSockets."""

import asyncio
import hashlib
import json
import sys
from copy import deepcopy
from types import FrameType
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Security, WebSocket
from fastapi.routing import APIRoute
from starlette.requests import Request

from propusk import (
    Ctx,
    CurrentSession,
    CurrentUser,
    OptionalUser,
    SuperUser,
    User,
    VerifiedUser,
    authenticate,
    require_recent_login,
)
from propusk.domain import change_user, find_user_by_login
from propusk.web.current import CurrentPrincipal, current_user
from tests.host.stand import ADA, MakeStand, Stand


def theatre() -> FastAPI:
    app = FastAPI()

    @app.get("/foyer")
    async def foyer(user: OptionalUser) -> str | None:
        return user.email if user is not None else None

    @app.get("/stalls")
    async def stalls(user: VerifiedUser) -> str:
        return user.email

    @app.get("/backstage")
    async def backstage(user: SuperUser) -> str:
        return user.email

    @app.get("/seat")
    async def seat(user: CurrentUser, session: CurrentSession) -> bool:
        return session.user_id == user.id

    @app.get("/row")
    async def row(user: CurrentUser, principal: CurrentPrincipal, session: CurrentSession) -> bool:
        return user is principal.user and session is principal.session

    @app.get("/loge")
    async def loge(user: CurrentUser) -> dict[str, Any]:
        found = deepcopy(user.profile)
        user.profile["role"] = "admin"
        user.profile.setdefault("seats", []).append("B2")
        return found

    @app.delete("/ticket", dependencies=[require_recent_login(minutes=10)])
    async def burn_ticket() -> str:
        return "gone"

    @app.websocket("/stream")
    async def stream(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_text()
            await authenticate(websocket)
            await websocket.send_text(user.email)

    @app.websocket("/orders")
    async def orders(_websocket: WebSocket, _ctx: Ctx) -> None: ...

    return app


async def test_an_optional_user_is_none_for_strangers_and_for_dead_sessions(make_stand: MakeStand) -> None:
    stand = await make_stand(theatre())
    bearer = await stand.bearer()

    assert (await stand.client.get("/foyer")).json() is None
    assert (await stand.client.get("/foyer", headers=bearer)).json() == "ada@example.com"
    assert (await stand.client.get("/foyer", headers={"Authorization": "Bearer rubbish"})).json() is None
    await stand.client.post("/auth/logout", headers=bearer)
    assert (await stand.client.get("/foyer", headers=bearer)).json() is None


async def promote(stand: Stand, **changes: bool) -> None:
    async with stand.auth.transaction() as ctx:
        user = await find_user_by_login(ctx, "Ada@Example.com")
        assert user is not None
        await change_user(ctx, user_id=user.id, changes=changes, actor_id=None)


async def test_verified_and_superusers_are_let_in_and_others_are_told_why_not(make_stand: MakeStand) -> None:
    stand = await make_stand(theatre())
    bearer = await stand.bearer()

    for path, code in (("/stalls", "email_not_verified"), ("/backstage", "forbidden")):
        answer = await stand.client.get(path, headers=bearer)
        assert (answer.status_code, answer.json()["code"]) == (403, code)
        assert (await stand.client.get(path)).status_code == 401
    await promote(stand, is_verified=True, is_superuser=True)
    for path in ("/stalls", "/backstage"):
        assert (await stand.client.get(path, headers=bearer)).status_code == 200
    assert (await stand.client.get("/seat", headers=bearer)).json() is True


async def test_a_caller_costs_one_dependency_and_one_read_whatever_is_asked_of_them(make_stand: MakeStand) -> None:
    stand = await make_stand(app := theatre())
    routes = {route.path: route.dependant for route in app.routes if isinstance(route, APIRoute)}
    for path in ("/foyer", "/stalls", "/backstage", "/loge"):
        [caller] = routes[path].dependencies
        assert caller.dependencies == []
    assert (await stand.client.get("/row", headers=await stand.bearer())).json() is True


async def test_the_scopes_that_a_host_asks_for_stand_in_its_document(make_stand: MakeStand) -> None:
    stand = await make_stand(app := FastAPI())

    @app.get("/scoped")
    async def scoped(_user: Annotated[User, Security(current_user, scopes=["read"])]) -> None: ...

    document = (await stand.client.get("/openapi.json")).json()
    ways = document["paths"]["/scoped"]["get"]["security"]
    assert ways == [{"bearer": ["read"]}, {"login": ["read"]}, {"cookie": ["read"]}]


async def test_a_request_that_a_host_makes_of_another_has_a_caller_of_its_own(make_stand: MakeStand) -> None:
    """As an endpoint does that takes several requests in one."""
    stand = await make_stand(app := theatre())

    @app.post("/inner")
    async def inner(user: CurrentUser) -> str:
        return user.email

    @app.get("/outer")
    async def outer(user: CurrentUser, request: Request) -> list[Any]:
        found: list[Any] = [user.email]
        kept = [(name, value) for name, value in request.scope["headers"] if name not in (b"authorization", b"cookie")]
        cookies = [(name, value) for name, value in request.scope["headers"] if name == b"cookie"]
        bearer = [(b"authorization", request.headers["x-inner"].encode())]
        for changes in (
            {"headers": kept + bearer},
            {"headers": kept},
            {"headers": [*kept, *cookies, (b"origin", b"https://evil.example")]},
        ):
            sent: list[Any] = []

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: Any, sent: list[Any] = sent) -> None:
                sent.append(message)

            await app({**request.scope, "path": "/inner", "method": "POST", **changes}, receive, send)
            found.append((sent[0]["status"], json.loads(sent[1]["body"])))
        return found

    ada = await stand.bearer()
    bob = await stand.bearer(email="bob@example.com", password=ADA["password"])
    cookie = {"Cookie": f"propusk_access={ada['Authorization'].removeprefix('Bearer ')}"}
    answer = await stand.client.get("/outer", headers=cookie | {"X-Inner": bob["Authorization"]})
    email, by_bearer, by_nobody, from_afar = answer.json()
    assert (email, by_bearer) == ("ada@example.com", [200, "bob@example.com"])
    assert (by_nobody[0], by_nobody[1]["code"]) == (401, "not_authenticated")
    assert (from_afar[0], from_afar[1]["code"]) == (403, "cross_origin")


@pytest.mark.skipif(not hasattr(APIRouter, "matches"), reason="this FastAPI copies routes and asks each")
async def test_a_route_that_a_host_adds_later_waits_for_none_of_ours(make_stand: MakeStand) -> None:
    stand = await make_stand(app := FastAPI())

    @app.get("/later")
    async def later() -> None: ...

    asked: list[Any] = []

    def listen(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == "matches":
            asked.append(frame.f_locals["self"])

    await stand.client.get("/later")
    sys.setprofile(listen)
    try:
        answer = await stand.client.get("/later")
    finally:
        sys.setprofile(None)
    assert answer.status_code == 200
    assert 1 < len(asked) < 12


@pytest.mark.parametrize("profile", [{}, {"role": "customer", "seats": ["A1"]}])
async def test_what_a_request_makes_of_a_profile_no_other_request_sees(
    make_stand: MakeStand, profile: dict[str, Any]
) -> None:
    """One object serves many requests of a session, so each gets a profile of its own."""

    def with_role(user: User) -> dict[str, str]:
        user.profile["role"] = "admin"
        return {"role": "admin"}

    secret = "zq7canary-secret"
    clients = [f"till:{hashlib.sha256(secret.encode()).hexdigest()}"]
    stand = await make_stand(theatre(), claims=with_role, settings={"introspection_clients": clients})
    bearer = await stand.bearer()
    await stand.client.patch("/users/me", json={"profile": profile}, headers=bearer)
    token = {"token": bearer["Authorization"].removeprefix("Bearer ")}

    for _ in range(2):
        assert (await stand.client.get("/loge", headers=bearer)).json() == profile
        answer = await stand.client.post("/auth/introspect", data=token, auth=("till", secret))
        assert answer.json()["role"] == "admin"
        assert (await stand.client.get("/users/me", headers=bearer)).json()["profile"] == profile


async def test_a_recent_login_is_one_login_ago_and_no_refresh(make_stand: MakeStand) -> None:
    stand = await make_stand(theatre())
    await stand.client.post("/auth/register", json=ADA)
    login = {"login": ADA["email"], "password": ADA["password"]}
    tokens = (await stand.client.post("/auth/login", json=login)).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}

    assert (await stand.client.delete("/ticket")).status_code == 401
    stand.clock.tick(minutes=9, seconds=59)
    assert (await stand.client.delete("/ticket", headers=bearer)).status_code == 200
    stand.clock.tick(seconds=2)
    renewed = (await stand.client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})).json()
    bearer = {"Authorization": f"Bearer {renewed['access_token']}"}
    answer = await stand.client.delete("/ticket", headers=bearer)
    assert (answer.status_code, answer.json()["code"]) == (403, "recent_login_required")
    again = (await stand.client.post("/auth/login", json=login)).json()
    bearer = {"Authorization": f"Bearer {again['access_token']}"}
    assert (await stand.client.delete("/ticket", headers=bearer)).status_code == 200


async def test_the_document_shows_the_locks_of_every_kind_of_caller(make_stand: MakeStand) -> None:
    stand = await make_stand(theatre(), routes=["/auth/login"])
    document = (await stand.client.get("/openapi.json")).json()

    locks: list[dict[str, list[str]]] = [{"bearer": []}, {"login": []}, {"cookie": []}]
    for path, method in (("/foyer", "get"), ("/stalls", "get"), ("/backstage", "get"), ("/ticket", "delete")):
        assert document["paths"][path][method]["security"] == locks, path


class Socket:
    """The server's side of one WebSocket: what a browser says goes in, what the app says comes out."""

    def __init__(self, app: FastAPI, headers: dict[str, str], path: str = "/stream") -> None:
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._heard: asyncio.Queue[Any] = asyncio.Queue()
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "scheme": "ws",
            "path": path,
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("198.51.100.7", 50000),
            "extensions": {"websocket.http.response": {}},
        }
        self.say("websocket.connect")
        self._task = asyncio.create_task(app(scope, self._said.get, self._heard.put))

    def say(self, kind: str, **message: str) -> None:
        self._said.put_nowait({"type": kind, **message})

    async def ask(self, text: str) -> Any:
        self.say("websocket.receive", text=text)
        return await self.hear()

    async def hear(self) -> Any:
        return await asyncio.wait_for(self._heard.get(), 60)

    async def denial(self) -> tuple[int, str]:
        """Status and code of the answer that a refused handshake gets."""
        start, body = await self.hear(), await self.hear()
        assert (start["type"], body["type"]) == ("websocket.http.response.start", "websocket.http.response.body")
        return start["status"], json.loads(body["body"])["code"]

    async def failure(self) -> BaseException | None:
        """What the app failed to catch."""
        await asyncio.wait([self._task], timeout=60)
        return self._task.exception()

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def test_a_websocket_takes_a_bearer_token_and_ends_with_its_session(make_stand: MakeStand) -> None:
    stand = await make_stand(theatre())
    bearer = await stand.bearer()
    socket = Socket(stand.app, bearer)

    assert (await socket.hear())["type"] == "websocket.accept"
    assert (await socket.ask("who"))["text"] == "ada@example.com"
    assert (await stand.client.post("/auth/logout", headers=bearer)).status_code == 204
    closed = await socket.ask("who")
    assert (closed["type"], closed["code"], closed["reason"]) == ("websocket.close", 1008, "invalid_access_token")
    await socket.leave()


async def test_a_websocket_without_a_token_is_denied_with_the_usual_problem(make_stand: MakeStand) -> None:
    stand = await make_stand(theatre())
    assert await Socket(stand.app, {}).denial() == (401, "not_authenticated")


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        ({"origin": "http://127.0.0.1:8000"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({}, True),  # no browser
        ({"origin": "https://evil.example"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "null"}, False),
    ],
)
async def test_t30_a_foreign_page_opens_no_websocket_with_our_cookies(
    make_stand: MakeStand, headers: dict[str, str], *, is_let_in: bool
) -> None:
    stand = await make_stand(theatre())
    await stand.client.post("/auth/register", json=ADA)
    login = {"login": ADA["email"], "password": ADA["password"]}
    await stand.client.post("/auth/login?transport=cookie", json=login)
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in stand.client.cookies.jar)
    socket = Socket(stand.app, {"cookie": cookies, **headers})

    if is_let_in:
        assert (await socket.hear())["type"] == "websocket.accept"
        assert (await socket.ask("who"))["text"] == "ada@example.com"
        await socket.leave()
    else:
        assert await socket.denial() == (403, "cross_origin")


async def test_a_websocket_that_asks_for_our_transaction_is_told_what_to_do(make_stand: MakeStand) -> None:
    """It would be broken off after ten seconds, in the middle of a conversation."""
    stand = await make_stand(theatre())
    failure = await Socket(stand.app, {}, "/orders").failure()
    assert isinstance(failure, RuntimeError)
    assert "async with auth.transaction()" in str(failure)
