"""A session service: browsers log in by cookies; people see where they are logged in, and end that everywhere at once.

uvicorn examples.session_service:app
"""

from datetime import datetime
from uuid import UUID

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from propusk import (
    PAGES,
    BoundedRoute,
    CookieNames,
    Ctx,
    CurrentPrincipal,
    CurrentUser,
    RefreshCookie,
    SameOrigin,
    Settings,
    as_detail,
    clear_session_cookies,
    create_auth,
    domain,
    log_out_by_cookies,
    must_have,
    set_session_cookies,
)

auth = create_auth(
    must_have(Settings.from_env(), private_registration=False),  # a registration answers with the new user's id
    cookies=CookieNames(access="access_token", refresh="refresh_token"),
)
app = FastAPI(title="Session service")
app.router.route_class = BoundedRoute
auth.install(app, routes=PAGES, errors=as_detail, migrate=True)


class Credentials(BaseModel):
    email: str
    password: str


class Person(BaseModel):
    id: UUID
    email: str


class ActiveSession(BaseModel):
    session_uuid: UUID
    ip: str | None
    created_at: datetime
    current: bool


@app.post("/auth/register", status_code=201)
async def register(body: Credentials, ctx: Ctx) -> Person:
    user = await domain.register_with_password(ctx, email=body.email, password=body.password)
    return Person(id=user.id, email=user.email)


@app.post("/auth/login", dependencies=[SameOrigin])
async def log_in(body: Credentials, ctx: Ctx, request: Request, response: Response) -> dict[str, UUID]:
    pair = await domain.login_with_password(ctx, login=body.email, password=body.password)
    set_session_cookies(request, response, pair)
    return {"session_uuid": pair.session.id}


@app.post("/auth/refresh", dependencies=[SameOrigin])
async def refresh(token: RefreshCookie, ctx: Ctx, request: Request, response: Response) -> dict[str, UUID]:
    pair = await domain.refresh_session(ctx, token=token)
    set_session_cookies(request, response, pair)
    return {"session_uuid": pair.session.id}


@app.post("/auth/logout", status_code=204, dependencies=[SameOrigin])
async def log_out(ctx: Ctx, request: Request, response: Response) -> None:
    """Either cookie will do: the one with the access token lives for minutes only."""
    await log_out_by_cookies(request, ctx)
    clear_session_cookies(request, response)


@app.post("/auth/abort", dependencies=[SameOrigin])
async def abort(user: CurrentUser, ctx: Ctx, request: Request, response: Response) -> dict[str, int]:
    aborted = await domain.end_all_sessions(ctx, user_id=user.id, actor_id=user.id)
    clear_session_cookies(request, response)
    return {"aborted": aborted}


@app.get("/auth/sessions")
async def sessions(caller: CurrentPrincipal, ctx: Ctx) -> list[ActiveSession]:
    active = await domain.list_live_sessions(ctx, caller.user.id, limit=ctx.settings.max_sessions_per_user)
    return [
        ActiveSession(session_uuid=one.id, ip=one.ip, created_at=one.created_at, current=one.id == caller.session.id)
        for one in active
    ]


@app.get("/auth/me")
async def me(user: CurrentUser) -> Person:
    return Person(id=user.id, email=user.email)
