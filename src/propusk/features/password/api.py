"""The routes that know passwords."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from propusk.errors import (
    AccountDisabled,
    CrossOrigin,
    EmailTaken,
    Forbidden,
    InvalidCredentials,
    LastSuperuser,
    Overloaded,
    RegistrationClosed,
    UserInUse,
    UsernameTaken,
    WrongPassword,
)
from propusk.features.password.bodies import (
    LOGIN_REQUEST,
    PasswordBody,
    PasswordChange,
    RegisterBody,
    UserCreation,
    read_login,
)
from propusk.features.password.change import change_password, delete_account
from propusk.features.password.login import login_with_password
from propusk.features.password.register import create_user_with_password, register_with_password
from propusk.web.answers import clearing_lines, no_content, token_response
from propusk.web.context import Ctx, auth_of
from propusk.web.csrf import check_same_origin
from propusk.web.current import CurrentPrincipal, SuperUser, same_origin, sends_bearer
from propusk.web.openapi import CLEARED, HASHING, LOGIN_NEEDED, NEW_TOKENS, UNSAFE, refuses
from propusk.web.route import StrictRoute, accepts_form
from propusk.web.schemas import CookieLogin, Tokens, UserOut

router = APIRouter(route_class=StrictRoute, dependencies=[Depends(same_origin)])
Transport = Annotated[Literal["bearer", "cookie"], Query(description="Where the tokens go: the body, or two cookies.")]


@router.post(
    "/auth/register",
    status_code=201,
    tags=["login"],
    responses=refuses(*UNSAFE, RegistrationClosed, CrossOrigin, EmailTaken, UsernameTaken, *HASHING),
)
async def post_register(ctx: Ctx, body: RegisterBody) -> UserOut:
    """Make an account. Log in afterwards to begin a session."""
    user = await register_with_password(
        ctx, email=body.email, password=body.password, username=body.username, name=body.name, profile=body.profile
    )
    return UserOut.of(user)


@router.post(
    "/auth/login",
    tags=["login"],
    response_model=Tokens | CookieLogin,
    responses=NEW_TOKENS | refuses(*UNSAFE, InvalidCredentials, AccountDisabled, CrossOrigin, *HASHING),
    openapi_extra=LOGIN_REQUEST,
)
@accepts_form
async def post_login(request: Request, ctx: Ctx, transport: Transport = "bearer") -> Response:
    """Begin a session. Takes JSON, or an OAuth2 password form."""
    auth = auth_of(request)
    if transport == "cookie":
        # Without this a foreign page could log a visitor in as somebody else.
        check_same_origin(request.scope, auth.settings.origin)
    login, password = await read_login(request)
    pair = await login_with_password(ctx, login=login, password=password)
    return token_response(auth, pair, by_cookie=transport == "cookie")


@router.post(
    "/users/me/password",
    status_code=204,
    tags=["users"],
    responses=refuses(*UNSAFE, *LOGIN_NEEDED, WrongPassword, CrossOrigin, *HASHING),
)
async def post_password(principal: CurrentPrincipal, ctx: Ctx, body: PasswordChange) -> Response:
    """Change your password. Every other session of yours ends."""
    await change_password(
        ctx, principal=principal, current_password=body.current_password, new_password=body.new_password
    )
    return no_content()


@router.post(
    "/users",
    status_code=201,
    tags=["admin"],
    responses=refuses(*UNSAFE, *LOGIN_NEEDED, Forbidden, CrossOrigin, EmailTaken, UsernameTaken, Overloaded),
)
async def post_user(ctx: Ctx, principal: CurrentPrincipal, _admin: SuperUser, body: UserCreation) -> UserOut:
    """Make an account for somebody else. Without a password it cannot log in yet."""
    return UserOut.of(await create_user_with_password(ctx, actor=principal, **body.model_dump()))


_DELETE: dict[str, Any] = {
    "status_code": 204,
    "tags": ["users"],
    "responses": CLEARED
    | refuses(*UNSAFE, *LOGIN_NEEDED, WrongPassword, CrossOrigin, LastSuperuser, UserInUse, *HASHING),
}


@router.delete("/users/me", **_DELETE)
@router.post("/users/me/delete", name="post_me_delete", **_DELETE)
async def delete_me(request: Request, principal: CurrentPrincipal, ctx: Ctx, body: PasswordBody) -> Response:
    """Delete your account: your sessions end, your data is gone. POST is for proxies that drop the body of DELETE."""
    await delete_account(ctx, principal=principal, password=body.password)
    response = no_content()
    for line in clearing_lines(auth_of(request)) if not sends_bearer(request) else ():
        response.headers.append("set-cookie", line)
    return response
