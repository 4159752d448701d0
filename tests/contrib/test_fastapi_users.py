"""The routes for clients of FastAPI Users, in an application of somebody's: what the recording cannot show."""

import re
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import select

from propusk import PAGES, User
from propusk.contrib import fastapi_users
from propusk.domain import create_user_with_password, find_user_by_login
from propusk.mail.memory import first_link
from tests.host.stand import MakeStand, Stand
from tests.kit import PASSWORD, limits

OTHER_PASSWORD = "zq7canary new mule"
ADA = "ada@example.com"


def application() -> FastAPI:
    app = FastAPI()
    app.include_router(fastapi_users.router)

    @app.get("/hello")
    async def hello(user: User = Depends(fastapi_users.current_active_user)) -> str:  # noqa: B008
        return f"Hello {user.email}"

    @app.get("/figures")
    async def figures(user: User = Depends(fastapi_users.current_superuser)) -> str:  # noqa: B008
        return f"Figures for {user.email}"

    return app


async def stand_of(make_stand: MakeStand, app: FastAPI | None = None, **settings: Any) -> Stand:
    return await make_stand(app or application(), settings=settings, refresh_tokens=False, routes=PAGES)


async def register(stand: Stand, email: str = ADA, password: str = PASSWORD) -> None:
    answer = await stand.client.post("/auth/register", json={"email": email, "password": password})
    assert answer.status_code == 201, answer.text


async def log_in(stand: Stand, email: str = ADA, password: str = PASSWORD) -> dict[str, str]:
    answer = await stand.client.post("/auth/jwt/login", data={"username": email, "password": password})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"access_token", "token_type"}
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def superuser(stand: Stand, email: str = "root@example.com") -> dict[str, str]:
    async with stand.auth.transaction() as ctx:
        await create_user_with_password(ctx, actor=None, email=email, password=PASSWORD, is_superuser=True)
    return await log_in(stand, email)


async def id_of(stand: Stand, email: str) -> str:
    async with stand.auth.transaction() as ctx:
        user = await find_user_by_login(ctx, email)
        assert user is not None
        return str(user.id)


async def is_in(stand: Stand, bearer: dict[str, str]) -> bool:
    return (await stand.client.get("/users/me", headers=bearer)).status_code == 200


async def follow(stand: Stand, to: str, page: str) -> httpx.Response:
    """Open the link of the newest mail, and press its button."""
    await stand.auth.worker.run_due()
    mails = [mail for mail in stand.mailer.messages if mail.to == to and f"/{page}?" in mail.text]
    link = first_link(mails[-1])
    form = {"token": link.rpartition("=")[2]}
    assert (await stand.client.get(link)).status_code == 200
    return await stand.client.post(link.partition("?")[0], data=form, headers={"Sec-Fetch-Site": "same-origin"})


async def test_an_address_is_the_old_one_until_the_new_one_is_confirmed(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    bearer = await log_in(stand)

    answer = await stand.client.patch("/users/me", json={"email": "new@example.com"}, headers=bearer)
    assert (answer.status_code, answer.json()["email"]) == (200, ADA)
    assert (await follow(stand, "new@example.com", "confirm-email")).status_code == 200
    me = (await stand.client.get("/users/me", headers=bearer)).json()
    assert (me["email"], me["is_verified"]) == ("new@example.com", True)
    assert (await follow(stand, ADA, "undo-email")).status_code == 200
    assert not await is_in(stand, bearer)


async def test_a_password_and_an_address_can_change_in_one_request(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    bearer, elsewhere = await log_in(stand), await log_in(stand)

    both = {"email": "new@example.com", "password": OTHER_PASSWORD}
    answer = await stand.client.patch("/users/me", json=both, headers=bearer)
    assert (answer.status_code, answer.json()["email"]) == (200, ADA)
    assert (await is_in(stand, bearer), await is_in(stand, elsewhere)) == (True, False)
    assert (await follow(stand, "new@example.com", "confirm-email")).status_code == 200
    await log_in(stand, "new@example.com", OTHER_PASSWORD)


async def test_of_two_changes_both_are_made_or_neither(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    await register(stand, "bo@example.com")
    bearer, elsewhere = await log_in(stand), await log_in(stand)

    answer = await stand.client.patch(
        "/users/me", json={"email": "bo@example.com", "password": OTHER_PASSWORD}, headers=bearer
    )
    assert (answer.status_code, answer.json()) == (400, {"detail": "UPDATE_USER_EMAIL_ALREADY_EXISTS"})
    assert await is_in(stand, elsewhere)
    await log_in(stand)


@pytest.mark.parametrize("change", [{"password": OTHER_PASSWORD}, {"email": "new@example.com"}])
async def test_a_password_or_address_wants_a_login_within_the_last_hour(
    make_stand: MakeStand, change: dict[str, str]
) -> None:
    stand = await stand_of(make_stand, access_token_ttl="3h")
    await register(stand)
    bearer, root = await log_in(stand), await superuser(stand)
    me, root_id = f"/users/{await id_of(stand, ADA)}", await id_of(stand, "root@example.com")
    stand.clock.tick(minutes=60, seconds=1)

    answer = await stand.client.patch("/users/me", json=change, headers=bearer)
    assert answer.status_code == 403
    assert "log in once more" in answer.json()["detail"]
    assert (await stand.client.patch(f"/users/{root_id}", json=change, headers=root)).status_code == 403
    assert (await stand.client.patch("/users/me", json={"email": ADA}, headers=bearer)).status_code == 200
    assert (await stand.client.patch(me, json=change, headers=root)).status_code == 200, "of others a superuser may"
    stand.clock.tick(minutes=-2)
    assert (await stand.client.patch(f"/users/{root_id}", json={"is_verified": True}, headers=root)).status_code == 200


async def test_a_superuser_who_sets_their_own_password_stays_logged_in_there_alone(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    root, elsewhere = await superuser(stand), await log_in(stand, "root@example.com")
    path = f"/users/{await id_of(stand, 'root@example.com')}"

    assert (await stand.client.patch(path, json={"password": OTHER_PASSWORD}, headers=root)).status_code == 200
    assert (await is_in(stand, root), await is_in(stand, elsewhere)) == (True, False)


async def test_a_password_set_by_a_superuser_ends_every_session(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    bearer, root = await log_in(stand), await superuser(stand)
    path = f"/users/{await id_of(stand, ADA)}"

    assert (await stand.client.patch(path, json={"password": OTHER_PASSWORD}, headers=root)).status_code == 200
    assert not await is_in(stand, bearer)
    await log_in(stand, password=OTHER_PASSWORD)


async def test_somebody_is_left_to_administer(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    root = await superuser(stand)
    path = f"/users/{await id_of(stand, 'root@example.com')}"

    for method, body in (("DELETE", None), ("PATCH", {"is_superuser": False}), ("PATCH", {"is_active": False})):
        answer = await stand.client.request(method, path, json=body, headers=root)
        assert (answer.status_code, "another active superuser" in answer.json()["detail"]) == (409, True)
    assert await is_in(stand, root)


async def test_a_refused_login_stays_in_the_audit_trail(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    await register(stand)

    form = {"username": ADA, "password": OTHER_PASSWORD}
    answer = await stand.client.post("/auth/jwt/login", data=form)
    assert (answer.status_code, answer.json()) == (400, {"detail": "LOGIN_BAD_CREDENTIALS"})
    events = stand.auth.tables.audit_events.c
    async with stand.auth.sessions() as db:
        details = (await db.execute(select(events.detail).where(events.kind == "login_failed"))).scalars().all()
    assert details == ["invalid_credentials"]


async def test_a_refused_registration_leaves_nothing(make_stand: MakeStand) -> None:
    async def refuse(_ctx: Any, _event: Any) -> None:
        raise HTTPException(418)

    from propusk.events import UserRegistered

    stand = await make_stand(application(), refresh_tokens=False, routes=(), on=[(UserRegistered, refuse)])
    assert (await stand.client.post("/auth/register", json={"email": ADA, "password": PASSWORD})).status_code == 418
    async with stand.auth.transaction() as ctx:
        assert await find_user_by_login(ctx, ADA) is None


async def test_too_many_tries_are_told_when_to_come_back(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand, limits=limits(login_pair="1/15m", register="1/1h", mail_network="1/1h"))
    await register(stand)
    wrong = {"username": ADA, "password": OTHER_PASSWORD}
    asked = {"email": "bo@example.com", "password": PASSWORD}

    for path, data, json in (("jwt/login", wrong, None), ("register", None, asked), ("forgot-password", None, asked)):
        await stand.client.post(f"/auth/{path}", data=data, json=json)
        answer = await stand.client.post(f"/auth/{path}", data=data, json=json)
        assert (answer.status_code, set(answer.json())) == (429, {"detail"}), path
        assert int(answer.headers["retry-after"]) > 0


async def test_closed_and_private_registration_hold_here_too(make_stand: MakeStand) -> None:
    body = {"email": ADA, "password": PASSWORD}
    closed = await stand_of(make_stand, registration="closed")
    assert (await closed.client.post("/auth/register", json=body)).status_code == 403
    stand = await stand_of(make_stand, private_registration=True)

    for _ in range(2):
        answer = await stand.client.post("/auth/register", json=body)
        assert (answer.status_code, answer.json()) == (202, None)
    await stand.auth.worker.run_due()
    token = first_link(stand.mailer.messages[-1]).rpartition("=")[2]
    verified = await stand.client.post("/auth/verify", json={"token": token})
    assert (verified.status_code, verified.json()["is_verified"]) == (200, True)
    await log_in(stand)


async def test_links_expire(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    await stand.client.post("/auth/forgot-password", json={"email": ADA})
    await stand.auth.worker.run_due()
    found = [re.search(r"/([a-z-]+)\?token=(\S+)", mail.text) for mail in stand.mailer.messages]
    tokens = {link[1]: link[2] for link in found if link is not None}
    stand.clock.tick(days=2)

    verify = await stand.client.post("/auth/verify", json={"token": tokens["verify-email"]})
    assert verify.json() == {"detail": "VERIFY_USER_BAD_TOKEN"}
    await stand.client.post("/auth/request-verify-token", json={"email": ADA})
    assert (await follow(stand, ADA, "verify-email")).status_code == 200
    assert (await stand.client.post("/auth/verify", json={"token": tokens["verify-email"]})).json() == verify.json()
    reset = {"token": tokens["reset-password"], "password": OTHER_PASSWORD}
    assert (await stand.client.post("/auth/reset-password", json=reset)).json() == {
        "detail": "RESET_PASSWORD_BAD_TOKEN"
    }


async def test_a_link_for_a_password_is_none_for_an_address_even_of_a_verified_user(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    assert (await follow(stand, ADA, "verify-email")).status_code == 200
    await stand.client.post("/auth/forgot-password", json={"email": ADA})
    await stand.auth.worker.run_due()
    token = first_link(stand.mailer.messages[-1]).rpartition("=")[2]
    answer = await stand.client.post("/auth/verify", json={"token": token})
    assert answer.json() == {"detail": "VERIFY_USER_BAD_TOKEN"}


async def test_dependencies_refuse_as_there(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    bearer, root = await log_in(stand), await superuser(stand)

    assert (await stand.client.get("/hello", headers=bearer)).json() == f"Hello {ADA}"
    assert (await stand.client.get("/figures", headers=root)).json() == "Figures for root@example.com"
    refused = await stand.client.get("/hello")
    assert (refused.status_code, refused.json()) == (401, {"detail": "Unauthorized"})
    assert refused.headers["www-authenticate"] == "Bearer"
    refused = await stand.client.get("/figures", headers=bearer)
    assert (refused.status_code, refused.json()) == (403, {"detail": "Forbidden"})


async def test_the_hosts_own_handler_of_http_errors_is_asked(make_stand: MakeStand) -> None:
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response

    app = application()

    @app.exception_handler(HTTPException)
    async def shout(_request: Request, error: HTTPException) -> Response:
        return PlainTextResponse(str(error.detail).upper(), error.status_code)

    stand = await stand_of(make_stand, app)
    assert (await stand.client.get("/users/me")).text == "UNAUTHORIZED"
    body = {"email": ADA, "password": "zq7"}
    assert "USE AT LEAST 8 CHARACTERS" in (await stand.client.post("/auth/register", json=body)).text


async def test_t48_t49_odd_bodies_are_refused_and_never_a_500(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    bearer = await log_in(stand)
    json = {"Content-Type": "application/json"}
    deep = b'{"email": ' + b"[" * 900 + b"]" * 900 + b', "password": 5}'
    odd = [
        b'{"email": "\\ud800", "password": 5}',
        b'{"email": "\\u0000@example.com", "password": "\\u0000\\u0000"}',
        b'{"email": "bo@example.com", "password": "\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800"}',
        b'{"email": NaN, "password": 1e999}',
        b'{"email": ' + b"9" * 5000 + b"}",
        deep,
        b"[" * 60_000,
    ]
    for body in odd:
        for method, path in (("POST", "/auth/register"), ("POST", "/auth/verify"), ("PATCH", "/users/me")):
            answer = await stand.client.request(method, path, content=body, headers=json | bearer)
            assert answer.status_code in (400, 422), (path, body[:40], answer.text)
        answer = await stand.client.post("/auth/jwt/login", content=body, headers=json)
        assert answer.status_code == 422
    too_large = await stand.client.post("/auth/register", content=b" " * (64 * 1024 + 1), headers=json)
    assert (too_large.status_code, set(too_large.json())) == (413, {"detail"})
    for kind, form, status in (
        ("application/x-www-form-urlencoded", b"username=%00&password=x", 422),
        ("application/x-www-form-urlencoded", b"username=%ff&password=x", 400),
        ("application/x-www-form-urlencoded", b"username=a&username=b&password=x", 400),
        ("multipart/form-data; boundary=line", b"--line\r\n\xff\r\n\r\nx\r\n--line--", 400),
        ("application/x-www-form-urlencoded", b"x" * (64 * 1024 + 1), 413),
    ):
        answer = await stand.client.post("/auth/jwt/login", content=form, headers={"Content-Type": kind})
        assert answer.status_code == status, (form[:40], answer.text)


async def test_no_password_is_set_that_no_login_would_take(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    bearer = await log_in(stand)
    password = "zq7canary\0 two three"
    made = await stand.client.post("/auth/register", json={"email": "bo@example.com", "password": password})
    changed = await stand.client.patch("/users/me", json={"password": password}, headers=bearer)
    assert (made.status_code, made.json()["detail"]["code"]) == (400, "REGISTER_INVALID_PASSWORD")
    assert (changed.status_code, changed.json()["detail"]["code"]) == (400, "UPDATE_USER_INVALID_PASSWORD")
    await log_in(stand)


async def test_answers_are_not_to_be_kept(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    right, wrong = {"username": ADA, "password": PASSWORD}, {"username": ADA, "password": OTHER_PASSWORD}
    for form, status in (
        (right, 200),
        (wrong, 400),
        (right | {"grant_type": "zq7canary"}, 422),
        ({"username": ADA, "password": "x" * 70_000}, 413),
    ):
        answer = await stand.client.post("/auth/jwt/login", data=form)
        assert (answer.status_code, answer.headers["cache-control"]) == (status, "no-store")
    for body in ({"email": "zq7canary"}, {"email": ADA, "password": PASSWORD}):
        answer = await stand.client.post("/auth/register", json=body)
        assert answer.status_code in (400, 422)
        assert answer.headers["cache-control"] == "no-store"
    answer = await stand.client.get("/users/me")
    assert (answer.status_code, answer.headers["cache-control"]) == (401, "no-store")


async def test_a_session_here_has_no_refresh_token_and_lasts_as_long_as_its_token(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand, access_token_ttl="1h")
    await register(stand)
    bearer = await log_in(stand)
    stand.clock.tick(minutes=59)
    assert await is_in(stand, bearer)
    stand.clock.tick(minutes=2)
    assert not await is_in(stand, bearer)
