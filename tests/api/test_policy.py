"""Who may call which route: a table, and a route that is not in it fails."""

from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute

from propusk.web.install import routers_of
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, Person, limits

ANYONE, USER, SUPERUSER, SERVICE = "anyone", "a user", "a superuser", "a service with a client id"
LINK = "who has a link that nobody can guess"
POLICY: dict[str, str] = {
    "GET /": ANYONE,
    "GET /docs": ANYONE,
    "GET /docs/{name}": ANYONE,
    "GET /openapi.json": ANYONE,
    "GET /problems/{code}": ANYONE,
    "GET /.well-known/jwks.json": ANYONE,
    "GET /healthz": ANYONE,
    "GET /readyz": ANYONE,
    "POST /auth/register": ANYONE,
    "POST /auth/login": ANYONE,
    "POST /auth/refresh": ANYONE,
    "POST /auth/logout": ANYONE,
    "GET /metrics": ANYONE,  # tests/api/test_metrics.py: its token
    "GET /mailbox": ANYONE,  # tests/api/test_mailbox.py: from this machine alone
    "GET /mailbox/{name}": ANYONE,
    "GET /pages/{name}": ANYONE,
    "GET /verify-email": LINK,
    "POST /verify-email": LINK,
    "GET /confirm-email": LINK,
    "POST /confirm-email": LINK,
    "GET /undo-email": LINK,
    "POST /undo-email": LINK,
    "GET /reset-password": LINK,
    "POST /reset-password": LINK,
    "POST /auth/request-verify-token": ANYONE,
    "POST /auth/forgot-password": ANYONE,
    "POST /auth/verify": LINK,
    "POST /auth/confirm-email": LINK,
    "POST /auth/undo-email": LINK,
    "POST /auth/reset-password": LINK,
    "POST /auth/introspect": SERVICE,
    "GET /auth/sessions": USER,
    "DELETE /auth/sessions": USER,
    "DELETE /auth/sessions/{id}": USER,
    "GET /users/me": USER,
    "PATCH /users/me": USER,
    "DELETE /users/me": USER,
    "POST /users/me/delete": USER,
    "POST /users/me/password": USER,
    "POST /users/me/email": USER,
    "GET /users": SUPERUSER,
    "POST /users": SUPERUSER,
    "GET /users/{id}": SUPERUSER,
    "PATCH /users/{id}": SUPERUSER,
    "DELETE /users/{id}": SUPERUSER,
    "GET /users/{id}/sessions": SUPERUSER,
    "DELETE /users/{id}/sessions": SUPERUSER,
}
BODIES: dict[str, Any] = {
    "PATCH /users/me": {"name": "Somebody"},
    "DELETE /users/me": {"password": "zq7canary wrong horse"},
    "POST /users/me/delete": {"password": "zq7canary wrong horse"},
    "POST /users/me/password": {"current_password": "zq7canary wrong horse", "new_password": "zq7canary new horse"},
    "POST /users/me/email": {"new_email": "new@example.com", "password": "zq7canary wrong horse"},
    "POST /users": {"email": "made@example.com"},
    "PATCH /users/{id}": {"name": "Somebody"},
}
LIMITED: dict[str, Any] = {
    "POST /auth/register": {"email": "new@example.com", "password": PASSWORD},
    "POST /auth/login": {"login": "ada@example.com", "password": "zq7canary wrong horse"},
    "POST /auth/refresh": {"refresh_token": "zq7canary"},
    "POST /auth/logout": {"refresh_token": "zq7canary"},
    "POST /auth/request-verify-token": {"email": "ada@example.com"},
    "POST /auth/forgot-password": {"email": "ada@example.com"},
}
"""What is open to strangers and changes something: each has a limit, met with this body."""


def paths_of(routes: Iterable[BaseRoute]) -> set[str]:
    """`GET /users/me` and so on; HEAD goes with GET."""
    found = set()
    for route in routes:
        for method in getattr(route, "methods", None) or ():
            if method != "HEAD":
                found.add(f"{method} {getattr(route, 'path', '')}")
    return found


def all_routes(house: House) -> set[str]:
    """From the OpenAPI document, and whatever the app serves that is not in it."""
    app: FastAPI = house.app
    documented = {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}
    routers = [route for router in routers_of(house.auth) for route in router.routes]
    included = [
        route for outer in app.routes for route in getattr(getattr(outer, "original_router", None), "routes", ())
    ]
    return documented | paths_of(app.routes) | paths_of(routers) | paths_of(included)


async def call(client: httpx.AsyncClient, route: str, user_id: str, session_id: str, **headers: str) -> httpx.Response:
    method, _, path = route.partition(" ")
    path = path.replace("{id}", session_id if path.startswith("/auth/sessions") else user_id)
    path = path.replace("{name}", "swagger-ui.css").replace("{code}", "not_found")
    return await client.request(method, path, json=BODIES.get(route), headers=headers)


async def test_t44_every_route_has_a_policy(house: House) -> None:
    assert all_routes(house) == POLICY.keys()


async def test_t44_the_document_says_who_may_call(house: House) -> None:
    for path, methods in house.app.openapi()["paths"].items():
        for method, operation in methods.items():
            needs = POLICY[f"{method.upper()} {path}"]
            schemes = {name for entry in operation.get("security", []) for name in entry}
            if needs == SERVICE:
                assert schemes == {"client"}, path
            elif needs in (USER, SUPERUSER):
                assert schemes >= {"bearer", "cookie"}, path
                assert "401" in operation["responses"], path
            assert needs != SUPERUSER or "403" in operation["responses"], path


async def people_of(house: House) -> dict[str, Person]:
    root, ada, eve = await house.superuser(), await house.register(), await house.register("eve@example.com")
    disabled = await house.register("gone@example.com")
    assert (await root.patch(f"/users/{disabled.id}", {"is_active": False})).status_code == 200
    return {"root": root, "ada": ada, "eve": eve, "disabled": disabled}


@pytest.mark.parametrize("needs", [USER, SUPERUSER])
async def test_t44_who_may_not_call_is_refused_and_changes_nothing(house: House, needs: str) -> None:
    people = await people_of(house)
    ada, session_id = people["ada"], people["ada"].tokens["session_id"]
    before = (await house.rows("users"), await house.rows("sessions"), await house.rows("passwords"))
    routes = [route for route, policy in POLICY.items() if policy in (needs, SUPERUSER)]

    for route in routes:
        anonymous = await call(house.client, route, ada.id, session_id)
        assert (anonymous.status_code, anonymous.json()["code"]) == (401, "not_authenticated"), route
        disabled = await call(house.client, route, ada.id, session_id, **people["disabled"].bearer)
        assert (disabled.status_code, disabled.json()["code"]) == (401, "invalid_access_token"), route
        claimed = await call(
            house.client, route, ada.id, session_id, **{"X-User-Id": ada.id, "X-Forwarded-User": "root"}
        )
        assert claimed.status_code == 401, route
        if POLICY[route] == SUPERUSER:
            for user_id in (ada.id, people["root"].id, people["eve"].id, "nobody"):
                plain = await call(house.client, route, user_id, session_id, **people["eve"].bearer)
                assert (plain.status_code, plain.json()["code"]) == (403, "forbidden"), route

    assert (await house.rows("users"), await house.rows("sessions"), await house.rows("passwords")) == before


async def test_t44_nobody_acts_as_another_by_naming_them(house: House) -> None:
    people = await people_of(house)
    ada, eve = people["ada"], people["eve"]

    for name in ("id", "user_id", "sub", "user", "email"):
        assert (await eve.get("/users/me", params={name: ada.id})).json()["id"] == eve.id
        sessions = (await eve.get("/auth/sessions", params={name: ada.id})).json()["items"]
        assert [item["id"] for item in sessions] == [eve.tokens["session_id"]]
        assert (await eve.patch("/users/me", {name: ada.id})).status_code == 422
    assert (await eve.delete(f"/auth/sessions/{ada.tokens['session_id']}")).status_code == 404
    assert await ada.is_in()


async def test_t44_who_may_call_is_let_in(house: House) -> None:
    people = await people_of(house)
    for route, needs in POLICY.items():
        if needs == SERVICE:
            continue
        caller = {ANYONE: None, LINK: None, USER: await people["ada"].log_in(), SUPERUSER: people["root"]}[needs]
        target = (
            await house.register(f"t{len(await house.rows('users'))}@example.com") if needs == SUPERUSER else caller
        )
        user_id = target.id if target else ""
        session_id = caller.tokens["session_id"] if caller else ""
        answer = await call(house.client, route, user_id, session_id, **(caller.bearer if caller else {}))
        refused = answer.status_code == 403 and answer.json()["code"] == "forbidden"
        authenticated = answer.status_code != 401 or "/auth/" in route
        assert authenticated and not refused and answer.status_code < 500, (route, answer.text)


async def test_every_public_unsafe_route_has_a_limit(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(register="2/1h", login_pair="2/1h", refresh="2/1h", mail_network="2/1h"))
    public = {route for route, needs in POLICY.items() if needs == ANYONE and not route.startswith("GET ")}
    assert public == LIMITED.keys()

    for route, body in LIMITED.items():
        house.clock.tick(hours=1)
        method, _, path = route.partition(" ")
        assert "429" in house.app.openapi()["paths"][path][method.lower()]["responses"], route
        answers = [await house.client.request(method, path, json=body) for _ in range(3)]
        assert [answer.status_code == 429 for answer in answers] == [False, False, True], route
        assert int(answers[2].headers["retry-after"]) > 0


PATHS = (
    "//users", "/users/", "/Users", "/users;x", "/users%20", "/users%2f", "/users//me", "/users/me/", "/debug",
    "//auth//login", "//auth/login", "/auth/login/", "/AUTH/login", "/auth/login.json", "/auth%2flogin/x",
    "/auth/login;jsessionid=1", "/docs/%2e%2e%2f%2e%2e%2fpropusk.db", "/docs/..%5c..%5cx", "/problems/nothing",
)  # fmt: skip


async def test_t46_another_spelling_of_a_path_is_nothing(house: House) -> None:
    ada = await house.register()
    for path in PATHS:
        for method in ("GET", "POST", "DELETE"):
            answer = await house.client.request(method, f"{house.auth.settings.public_url}{path}", headers=ada.bearer)
            # Two segments under /users are somebody's id, which a plain user may not even ask for.
            allowed = {404, 405, 403} if path.startswith("/users/") else {404, 405}
            assert answer.status_code in allowed, (method, path, answer.status_code)
            assert "location" not in answer.headers
            assert answer.headers["content-type"] == "application/problem+json"
    assert await ada.is_in()
