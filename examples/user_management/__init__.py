"""A user management API: people register with a username, by rules of its own, and look after their account.

uvicorn examples.user_management:app
"""

import re
from datetime import datetime

from fastapi import FastAPI
from pydantic import BaseModel

from propusk import (
    PAGES,
    BoundedRoute,
    Ctx,
    CurrentPrincipal,
    CurrentUser,
    Settings,
    User,
    as_detail,
    create_auth,
    domain,
    must_have,
    require_recent_login,
)


def check_username(text: str) -> str | None:
    fits = re.fullmatch(r"[A-Za-z0-9_-]{3,16}", text)
    return None if fits else "Use 3 to 16 letters (a to z), digits, underscores and hyphens."


def check_password(text: str) -> str | None:
    fits = 8 <= len(text) <= 20 and all(any(map(kind, text)) for kind in (str.islower, str.isupper, str.isdigit))
    return None if fits else "Use 8 to 20 characters, among them a lower-case letter, an upper-case letter and a digit."


auth = create_auth(
    # A registration answers at once, with a token: nobody could have confirmed an address before.
    must_have(Settings.from_env({"access_token_ttl": "1h"}), private_registration=False, require_verified_email=False),
    refresh_tokens=False,
    check_username=check_username,
    check_password=check_password,
)
app = FastAPI(title="User management")
app.router.route_class = BoundedRoute
auth.install(app, routes=PAGES, errors=as_detail, migrate=True)


class Login(BaseModel):
    username: str
    password: str


class Registration(Login):
    email: str


class Change(BaseModel):
    password: str
    email: str


class Token(BaseModel):
    access_token: str
    token_type: str = "bearer"


class Registered(BaseModel):
    data: dict[str, str]
    access_token: str
    token_type: str = "bearer"


class Account(BaseModel):
    username: str | None
    email: str
    registration_date: datetime


@app.post("/users/register")
async def register(body: Registration, ctx: Ctx) -> Registered:
    user = await domain.register_with_password(ctx, **body.model_dump())
    pair = await domain.complete_login(ctx, user, methods=("pwd",))
    return Registered(data={"username": body.username, "email": user.email}, access_token=pair.access_token)


@app.post("/users/login")
async def log_in(body: Login, ctx: Ctx) -> Token:
    pair = await domain.login_with_password(ctx, login=body.username, password=body.password)
    return Token(access_token=pair.access_token)


@app.post("/users/logout", status_code=204)
async def log_out(caller: CurrentPrincipal, ctx: Ctx) -> None:
    await domain.log_out(ctx, session_id=caller.session.id, user_id=caller.user.id)


@app.get("/users")
async def show(user: CurrentUser) -> Account:
    return account_of(user)


@app.put("/users", dependencies=[require_recent_login(minutes=60)])
async def change(body: Change, caller: CurrentPrincipal, ctx: Ctx) -> dict[str, Account]:
    """The new password holds at once, the new address once the link that is mailed to it has been followed."""
    caller = await domain.replace_credentials(ctx, principal=caller, new_password=body.password, new_email=body.email)
    return {"data": account_of(caller.user)}


@app.delete("/users", status_code=204, dependencies=[require_recent_login(minutes=60)])
async def delete(caller: CurrentPrincipal, ctx: Ctx) -> None:
    await domain.close_account(ctx, principal=caller)


def account_of(user: User) -> Account:
    return Account(username=user.username, email=user.email, registration_date=user.created_at)
