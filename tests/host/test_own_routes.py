"""A host that serves routes of its own only: what it builds them from, beside the domain."""

import json
from typing import Any

import pytest
from fastapi import FastAPI, Response
from starlette.requests import Request

from propusk import PAGES, BoundedRoute, CookieNames, Ctx, CurrentPrincipal, RefreshCookie, domain, set_session_cookies
from propusk.errors import InvalidAccessToken
from tests.host.stand import ADA, MakeStand, Stand
from tests.kit import PASSWORD, limits

NEW_PASSWORD = "zq7canary new mare"


def inn() -> FastAPI:
    app = FastAPI()
    app.router.route_class = BoundedRoute

    @app.post("/enter")
    async def enter(request: Request, ctx: Ctx, email: str, response: Response) -> str:
        pair = await domain.login_with_password(ctx, login=email, password=PASSWORD)
        set_session_cookies(request, response, pair)
        return pair.access_token

    @app.post("/stay")
    async def stay(request: Request, ctx: Ctx, token: RefreshCookie, response: Response) -> None:
        set_session_cookies(request, response, await domain.refresh_session(ctx, token=token))

    @app.post("/change")
    async def change(ctx: Ctx, caller: CurrentPrincipal, email: str) -> str:
        caller = await domain.replace_credentials(ctx, principal=caller, new_password=NEW_PASSWORD, new_email=email)
        return caller.user.email

    @app.post("/leave")
    async def leave(ctx: Ctx, caller: CurrentPrincipal) -> None:
        await domain.close_account(ctx, principal=caller)

    @app.post("/book")
    async def book(body: dict[str, str]) -> int:
        return len(body)

    return app


async def open_inn(make_stand: MakeStand, **settings: Any) -> Stand:
    stand = await make_stand(inn(), settings=settings, routes=PAGES, cookies=CookieNames("inn_access", "inn_refresh"))
    for email in ("ada@example.com", "bob@example.com"):
        async with stand.auth.transaction() as ctx:
            if ctx.settings.private_registration:
                await domain.create_user_with_password(ctx, actor=None, email=email, password=PASSWORD)
            else:
                await domain.register_with_password(ctx, email=email, password=PASSWORD)
    return stand


async def enter(stand: Stand, email: str = ADA["email"]) -> dict[str, str]:
    """The header of a new session; its cookies go to the jar."""
    answer = await stand.client.post("/enter", params={"email": email})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()}"}


async def test_a_browser_refreshes_by_its_cookie_from_a_page_of_this_origin_alone(make_stand: MakeStand) -> None:
    stand = await open_inn(make_stand)
    assert (await stand.client.post("/stay")).status_code == 401
    bearer = await enter(stand)
    before = stand.client.cookies["inn_refresh"]

    foreign = await stand.client.post("/stay", headers={"origin": "https://evil.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "cross_origin")
    assert (await stand.client.post("/stay", headers=bearer)).status_code == 401, "the header alone decides"
    assert (await stand.client.post("/stay")).status_code == 200
    assert stand.client.cookies["inn_refresh"] != before


async def test_a_refresh_cookie_beside_the_access_cookie_of_another_session_is_refused(make_stand: MakeStand) -> None:
    stand = await open_inn(make_stand)
    await enter(stand)
    planted = stand.client.cookies["inn_refresh"]
    await enter(stand, "bob@example.com")
    stand.client.cookies.delete("inn_refresh")
    stand.client.cookies.set("inn_refresh", planted, domain="127.0.0.1", path="/")

    answer = await stand.client.post("/stay")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")


async def test_password_and_address_are_replaced_together_or_not_at_all(make_stand: MakeStand) -> None:
    stand = await open_inn(make_stand)
    here, there = await enter(stand), await enter(stand)

    answer = await stand.client.post("/change", params={"email": "ada@example.org"}, headers=here)
    assert (answer.status_code, answer.json()) == (200, "ada@example.com")
    await stand.auth.worker.run_due()
    assert "confirm-email?token=" in str([m.text for m in stand.mailer.messages if m.to == "ada@example.org"])
    for bearer, email, status in (
        (there, "ada@example.net", 401),
        (here, "BOB@example.com", 409),
        (here, "nowhere", 422),
        (here, "ADA@example.com", 200),
    ):
        answer = await stand.client.post("/change", params={"email": email}, headers=bearer)
        assert answer.status_code == status, email
    await stand.auth.worker.run_due()
    assert len([m for m in stand.mailer.messages if "confirm-email?token=" in m.text]) == 1


async def test_a_closed_account_is_gone_and_a_dead_session_closes_none(make_stand: MakeStand) -> None:
    stand = await open_inn(make_stand)
    here, there = await enter(stand), await enter(stand)

    assert (await stand.client.post("/leave", headers=here)).status_code == 200
    for bearer in (here, there):
        assert (await stand.client.post("/leave", headers=bearer)).status_code == 401
    async with stand.auth.transaction() as ctx:
        assert await domain.find_user_by_login(ctx, "ada@example.com") is None
        assert await domain.find_user_by_login(ctx, "bob@example.com") is not None


async def test_closing_an_account_asks_whether_the_session_still_lives(make_stand: MakeStand) -> None:
    stand = await open_inn(make_stand)
    async with stand.auth.transaction() as ctx:
        pair = await domain.login_with_password(ctx, login=ADA["email"], password=PASSWORD)
    caller = await stand.auth.live.get(pair.session.id, stand.clock())
    assert caller is not None
    async with stand.auth.transaction() as ctx:
        await domain.log_out(ctx, session_id=caller.session.id, user_id=caller.user.id)

    with pytest.raises(InvalidAccessToken):
        async with stand.auth.transaction() as ctx:
            await domain.close_account(ctx, principal=caller)
    async with stand.auth.transaction() as ctx:
        assert await domain.find_user_by_login(ctx, ADA["email"]) is not None


@pytest.mark.parametrize(
    "body", ['{"a": ["\\ud800"]}', '{"a": 7, "zq7canary": "x"}', '{"a": NaN}', "{", '{"a": [[1]]}']
)
async def test_a_422_repeats_nothing_of_what_was_sent(make_stand: MakeStand, body: str) -> None:
    stand = await make_stand(inn(), routes=())
    answer = await stand.client.post("/book", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert {name for fault in answer.json()["detail"] for name in fault} == {"type", "loc", "msg"}


async def test_a_body_of_a_bounded_route_is_bounded(make_stand: MakeStand) -> None:
    stand = await make_stand(inn(), routes=())
    fits, too_large = json.dumps({"a": "x" * 60_000}), json.dumps({"a": "x" * 70_000})
    answers = [await stand.client.post("/book", content=body) for body in (fits, too_large)]
    assert answers[1].status_code == 413
    answer = await stand.client.post("/book", content=fits, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


async def test_the_pages_that_links_open_can_be_had_alone(make_stand: MakeStand) -> None:
    stand = await open_inn(make_stand)
    await stand.auth.worker.run_due()
    (link,) = [line for line in stand.mailer.messages[0].text.split() if "?token=" in line]

    assert (await stand.client.get(link)).status_code == 200
    assert (await stand.client.get("/pages/page.css")).status_code == 200
    for path in ("/auth/verify", "/users/me", "/auth/sessions"):
        assert (await stand.client.get(path)).status_code == 404


async def test_with_private_registration_credentials_tell_nobody_who_has_an_address(make_stand: MakeStand) -> None:
    stand = await open_inn(make_stand, private_registration=True)
    here = await enter(stand)

    for email in ("BOB@example.com", "nobody@example.com"):
        answer = await stand.client.post("/change", params={"email": email}, headers=here)
        assert (answer.status_code, answer.json()) == (200, "ada@example.com"), email


async def test_a_session_may_only_ask_so_often_who_has_an_address(make_stand: MakeStand) -> None:
    stand = await open_inn(make_stand, limits=limits(login_account="1/1h"))
    here = await enter(stand)

    statuses = [
        (await stand.client.post("/change", params={"email": "bob@example.com"}, headers=here)).status_code
        for _ in range(2)
    ]
    assert statuses == [409, 429]
