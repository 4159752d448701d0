"""A JWT task: an access and a refresh token, users who may be looked at by themselves and by superusers, a home page.

uvicorn examples.jwt_task:app
"""

from pathlib import Path
from typing import Literal
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel

from propusk import (
    PAGES,
    BoundedRoute,
    Ctx,
    CurrentPrincipal,
    CurrentUser,
    LoginForm,
    Settings,
    TokenPair,
    User,
    as_detail,
    create_auth,
    domain,
    must_have,
)
from propusk.errors import Forbidden, NotFound

auth = create_auth(
    must_have(Settings.from_env(), private_registration=False),  # a registration answers with the new user's id
    login_form="/login",
)
templates = Jinja2Templates(Path(__file__).with_name("templates"))
app = FastAPI(title="JWT task")
app.router.route_class = BoundedRoute
auth.install(app, routes=PAGES, errors=as_detail, migrate=True)


class Registration(BaseModel):
    username: str
    email: str
    password: str


class Person(BaseModel, from_attributes=True):
    id: UUID
    username: str | None
    email: str
    is_active: bool
    is_superuser: bool


class Login(BaseModel, from_attributes=True):
    access_token: str
    token_type: Literal["bearer"] = "bearer"
    refresh_token: str


class RefreshToken(BaseModel):
    refresh_token: str


class Refreshed(BaseModel, from_attributes=True):
    result: Literal[True] = True
    access_token: str
    refresh_token: str


@app.get("/", response_class=HTMLResponse, include_in_schema=False)
async def home(request: Request) -> Response:
    return templates.TemplateResponse(request, "home.html")


@app.post("/user/register", response_model=Person)
async def register(body: Registration, ctx: Ctx) -> User:
    return await domain.register_with_password(ctx, **body.model_dump())


@app.post("/login", response_model=Login)
async def log_in(form: LoginForm, ctx: Ctx) -> TokenPair:
    return await domain.login_with_password(ctx, login=form.username, password=form.password)


@app.post("/refresh_jwt", response_model=Refreshed)
async def refresh(body: RefreshToken, ctx: Ctx) -> TokenPair:
    return await domain.refresh_session(ctx, token=body.refresh_token)


@app.post("/logout")
async def log_out(caller: CurrentPrincipal, ctx: Ctx) -> dict[str, bool]:
    await domain.log_out(ctx, session_id=caller.session.id, user_id=caller.user.id)
    return {"result": True}


@app.get("/user", response_model=Person)
async def show_me(user: CurrentUser) -> User:
    return user


@app.post("/user/{user_id:uuid}", response_model=Person)
async def show(user_id: UUID, caller: CurrentUser, ctx: Ctx) -> User:
    if user_id != caller.id and not caller.is_superuser:
        raise Forbidden
    user = await domain.find_user(ctx, user_id)
    if user is None:
        raise NotFound
    return user
