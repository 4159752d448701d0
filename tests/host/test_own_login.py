"""A host with routes of its own in the place of ours: how it refuses, and what its document says of logging in."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Response
from starlette.requests import Request

from propusk import (
    CookieNames,
    Ctx,
    CurrentUser,
    LoginForm,
    SameOrigin,
    Settings,
    SettingsError,
    as_detail,
    clear_session_cookies,
    must_have,
    set_session_cookies,
)
from propusk.domain import login_with_password, register_privately, register_with_password
from tests.host.stand import ADA, MakeStand
from tests.kit import PASSWORD


def club() -> FastAPI:
    app = FastAPI()

    @app.post("/join")
    async def join(ctx: Ctx, email: str, password: str) -> None:
        await register_with_password(ctx, email=email, password=password)

    @app.post("/enter")
    async def enter(form: LoginForm, request: Request, ctx: Ctx, response: Response) -> None:
        pair = await login_with_password(ctx, login=form.username, password=form.password)
        set_session_cookies(request, response, pair)

    @app.post("/leave")
    async def leave(request: Request, response: Response) -> None:
        clear_session_cookies(request, response)

    @app.post("/enter-early", dependencies=[SameOrigin])
    async def enter_early(form: LoginForm, ctx: Ctx) -> None:
        await login_with_password(ctx, login=form.username, password=form.password)

    @app.get("/bar")
    async def bar(user: CurrentUser) -> str:
        return user.email

    return app


async def document(make_stand: MakeStand, **options: Any) -> dict[str, Any]:
    stand = await make_stand(club(), **options)
    found: dict[str, Any] = (await stand.client.get("/openapi.json")).json()
    return found


async def test_refusals_are_told_as_fastapi_tells_its_own(make_stand: MakeStand) -> None:
    stand = await make_stand(club(), routes=(), errors=as_detail)

    answer = await stand.client.get("/bar")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["detail"].startswith("Log in first")
    answer = await stand.client.post("/join", params=ADA | {"password": "short"})
    (fault,) = answer.json()["detail"]
    assert (answer.status_code, fault["loc"], fault["type"]) == (422, ["body", "password"], "too_short")
    assert fault["msg"].endswith("8 characters.")
    assert (await stand.client.post("/join", params=ADA)).status_code == 200
    answer = await stand.client.post("/join", params=ADA)
    assert (answer.status_code, answer.json()) == (409, {"detail": "Another user has this e-mail address."})


async def test_where_our_login_is_not_served_the_document_does_not_send_there(make_stand: MakeStand) -> None:
    found = await document(make_stand, routes=())

    assert found["components"]["securitySchemes"].keys() == {"bearer", "cookie"}
    assert found["paths"]["/bar"]["get"]["security"] == [{"bearer": []}, {"cookie": []}]
    assert "/auth/login" not in str(found)


async def test_the_authorize_button_sends_to_the_hosts_own_form(make_stand: MakeStand) -> None:
    found = await document(make_stand, routes=(), login_form="/enter")

    flow = found["components"]["securitySchemes"]["login"]["flows"]["password"]
    assert flow == {"tokenUrl": "enter", "scopes": {}}
    assert {"login": []} in found["paths"]["/bar"]["get"]["security"]
    assert found["paths"]["/enter"]["post"]["requestBody"]["content"].keys() == {
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    }


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"username=ada%40example.com&password=zq7canary+old+horse", 200, "application/x-www-form-urlencoded"),
        (b"username=ada%40example.com&password=wrong", 401, "application/x-www-form-urlencoded"),
        (b"username=ada%40example.com", 422, "application/x-www-form-urlencoded"),
        (b"username=%00&password=zq7canary", 422, "application/x-www-form-urlencoded"),
        (b"username=%FF&password=zq7canary", 400, "application/x-www-form-urlencoded"),
        (b"--x\r\n", 400, "multipart/form-data; boundary=y"),
        (b'{"username": "ada@example.com", "password": "zq7canary old horse"}', 422, "application/json"),
    ],
)
async def test_a_hosts_login_takes_the_form_and_nothing_else(
    make_stand: MakeStand, body: bytes, status: int, kind: str
) -> None:
    stand = await make_stand(club(), routes=(), errors=as_detail)
    await stand.client.post("/join", params=ADA)

    answer = await stand.client.post("/enter", content=body, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert status == 200 or (list(answer.json()), "zq7canary" in answer.text) == (["detail"], False)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_the_form_is_bounded_on_a_plain_route(make_stand: MakeStand, kind: str) -> None:
    stand = await make_stand(club(), routes=())
    answer = await stand.client.post("/enter", content=b"a" * 65537, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_the_form_may_be_read_by_others_before_and_after(make_stand: MakeStand) -> None:
    app = club()

    async def read(request: Request) -> bytes:
        return await request.body()

    @app.post("/read-before")
    async def read_before(body: Annotated[bytes, Depends(read)], form: LoginForm) -> bool:
        return form.password.encode() in body

    @app.post("/read-after")
    async def read_after(form: LoginForm, request: Request) -> bool:
        return form.password.encode() in await request.body()

    stand = await make_stand(app, routes=())
    for path in ("/read-before", "/read-after"):
        form = {"username": ADA["email"], "password": "zq7canary"}
        assert (await stand.client.post(path, data=form)).json() is True


async def test_without_refresh_tokens_nothing_speaks_of_their_cookie(make_stand: MakeStand) -> None:
    names = CookieNames("club_access", "club_refresh")
    stand = await make_stand(club(), cookies=names, refresh_tokens=False)
    await stand.client.post("/join", params=ADA)

    form = {"username": ADA["email"], "password": PASSWORD}
    assert list((await stand.client.post("/enter", data=form)).cookies) == ["club_access"]
    assert (await stand.client.get("/bar")).json() == ADA["email"]
    (line,) = (await stand.client.post("/leave")).headers.get_list("set-cookie")
    assert line.startswith("club_access=; Max-Age=0;")
    schemes = (await stand.client.get("/openapi.json")).json()["components"]["securitySchemes"]
    assert schemes["cookie"]["name"] == "club_access"
    assert "club_refresh" not in str(schemes)


FOREIGN = ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"})


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_t30_a_foreign_page_logs_nobody_in_or_out_by_a_hosts_own_routes(
    make_stand: MakeStand, foreign: dict[str, str]
) -> None:
    stand = await make_stand(club(), routes=())
    await stand.client.post("/join", params=ADA)
    form = {"username": ADA["email"], "password": PASSWORD}

    for path in ("/enter", "/leave"):
        answer = await stand.client.post(path, data=form, headers=foreign)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin"), path
        assert "set-cookie" not in answer.headers
    async with stand.auth.sessions() as db:
        assert (await db.execute(stand.auth.tables.sessions.select())).all() == []
    for own in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://127.0.0.1:8000"}, {}):
        assert len((await stand.client.post("/enter", data=form, headers=own)).headers.get_list("set-cookie")) == 2
        assert len((await stand.client.post("/leave", headers=own)).headers.get_list("set-cookie")) == 2


async def test_t30_the_dependency_refuses_a_foreign_page_before_the_password_is_looked_at(
    make_stand: MakeStand,
) -> None:
    stand = await make_stand(club(), routes=(), settings={"limits": {"login_pair": "1/1m"}})
    await stand.client.post("/join", params=ADA)
    wrong, right = ({"username": ADA["email"], "password": word} for word in ("zq7canary wrong", PASSWORD))

    for _ in range(3):
        foreign = await stand.client.post("/enter-early", data=wrong, headers={"Sec-Fetch-Site": "cross-site"})
        assert (foreign.status_code, foreign.json()["code"]) == (403, "cross_origin")
    assert (await stand.client.post("/enter-early", data=right)).status_code == 200, "no attempt was counted"


async def test_a_setting_that_an_app_cannot_keep_stops_it_with_a_sentence() -> None:
    assert must_have(Settings(), private_registration=False) == Settings()
    with pytest.raises(SettingsError, match="private_registration: this app works with False only"):
        must_have(Settings(private_registration=True), private_registration=False, require_verified_email=False)


async def test_a_hosts_route_that_tells_of_taken_addresses_does_not_work_with_private_registration(
    make_stand: MakeStand,
) -> None:
    stand = await make_stand(club(), routes=(), settings={"private_registration": True})
    async with stand.auth.transaction() as ctx:
        with pytest.raises(RuntimeError, match="private_registration is set: call register_privately"):
            await register_with_password(ctx, email=ADA["email"], password=PASSWORD)
        await register_privately(ctx, email=ADA["email"], password=PASSWORD)
