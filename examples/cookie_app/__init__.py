"""A cookie app: people log in by an encrypted token in one cookie, and are out when they log out.

uvicorn examples.cookie_app:app
"""

from typing import Literal
from uuid import UUID

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field

from examples.cookie_app.settings import load_settings
from propusk import (
    PAGES,
    BoundedRoute,
    CookieNames,
    Ctx,
    CurrentPrincipal,
    CurrentUser,
    SameOrigin,
    as_detail,
    clear_session_cookies,
    create_auth,
    domain,
    set_session_cookies,
)

auth = create_auth(
    load_settings(), refresh_tokens=False, cookies=CookieNames(access="access_token", refresh="refresh_token")
)
app = FastAPI(title="Cookie app")
app.router.route_class = BoundedRoute
auth.install(app, routes=PAGES, errors=as_detail, migrate=True)


class Credentials(BaseModel):
    email: str
    password: str


class Person(BaseModel):
    id: UUID
    email: str


class Done(BaseModel):
    status: Literal["OK"] = "OK"


class Registered(Done):
    added_data: Person = Field(serialization_alias="added data")


class LoggedIn(Done):
    access_token: str


@app.post("/auth/register")
async def register(body: Credentials, ctx: Ctx) -> Registered:
    user = await domain.register_with_password(ctx, email=body.email, password=body.password)
    return Registered(added_data=Person(id=user.id, email=user.email))


@app.post("/auth/login", dependencies=[SameOrigin])
async def log_in(body: Credentials, ctx: Ctx, request: Request, response: Response) -> LoggedIn:
    pair = await domain.login_with_password(ctx, login=body.email, password=body.password)
    set_session_cookies(request, response, pair)
    return LoggedIn(access_token=pair.access_token)


@app.get("/auth/get_me")
async def get_me(user: CurrentUser) -> Person:
    return Person(id=user.id, email=user.email)


@app.delete("/auth/logout", dependencies=[SameOrigin])
async def log_out(caller: CurrentPrincipal, ctx: Ctx, request: Request, response: Response) -> Done:
    await domain.log_out(ctx, session_id=caller.session.id, user_id=caller.user.id)
    clear_session_cookies(request, response)
    return Done()
