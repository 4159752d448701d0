"""The routes that know passwords."""

from typing import Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from propusk.errors import (
    AccountDisabled,
    CrossOrigin,
    EmailNotVerified,
    EmailTaken,
    ExpiredToken,
    Forbidden,
    InvalidCredentials,
    InvalidToken,
    LastSuperuser,
    Overloaded,
    RegistrationClosed,
    UserInUse,
    UsernameTaken,
    WrongPassword,
    invalid,
)
from propusk.features.password.bodies import (
    LOGIN_REQUEST,
    EmailBody,
    PasswordBody,
    PasswordChange,
    PasswordReset,
    Pending,
    RegisterBody,
    UserCreation,
    read_login,
)
from propusk.features.password.change import change_password, delete_account
from propusk.features.password.login import login_with_password
from propusk.features.password.register import create_user_with_password, register_privately, register_with_password
from propusk.features.password.reset import forgot_password, reset_password
from propusk.web.answers import accepted, clearing_lines, no_content, token_response
from propusk.web.context import Ctx, auth_of, request_context
from propusk.web.current import (
    CurrentPrincipal,
    SuperUser,
    check_origin,
    require_same_origin,
    same_origin,
    sends_bearer,
)
from propusk.web.openapi import CLEARED, HASHING, LOGIN_NEEDED, NEW_TOKENS, UNSAFE, Responses, refuses
from propusk.web.route import LeanRoute, StrictRoute
from propusk.web.schemas import CookieLogin, Tokens, UserOut

router = APIRouter(route_class=StrictRoute, dependencies=[Depends(same_origin)])
_PENDING: Responses = {202: {"model": Pending}}
lean = APIRouter(route_class=LeanRoute)
_TRANSPORT: dict[str, Any] = {
    "name": "transport",
    "in": "query",
    "description": "Where the tokens go: the body, or two cookies.",
    "schema": {"type": "string", "enum": ["bearer", "cookie"], "default": "bearer", "title": "Transport"},
}


@router.post(
    "/auth/register",
    status_code=201,
    tags=["login"],
    response_model=UserOut,
    responses=_PENDING | refuses(*UNSAFE, RegistrationClosed, CrossOrigin, EmailTaken, UsernameTaken, *HASHING),
)
async def post_register(ctx: Ctx, body: RegisterBody) -> UserOut | Response:
    """Make an account. Log in afterwards to begin a session.

    With `private_registration` the answer is 202 whoever has the address; a username cannot be chosen then.
    """
    fields = body.model_dump()
    if ctx.settings.private_registration:
        await register_privately(ctx, **fields)
        return JSONResponse({}, 202)
    return UserOut.of(await register_with_password(ctx, **fields))


@lean.post(
    "/auth/login",
    tags=["login"],
    response_model=Tokens | CookieLogin,
    responses=NEW_TOKENS
    | refuses(*UNSAFE, InvalidCredentials, AccountDisabled, EmailNotVerified, CrossOrigin, *HASHING),
    openapi_extra={**LOGIN_REQUEST, "parameters": [_TRANSPORT]},
)
async def post_login(request: Request) -> Response:
    """Begin a session. Takes JSON, or an OAuth2 password form."""
    check_origin(request)
    by_cookie = _wants_cookies(request)
    login, password = await read_login(request)
    async with request_context(request) as ctx:
        pair = await login_with_password(ctx, login=login, password=password)
    return token_response(request, pair, by_cookie=by_cookie)


def _wants_cookies(request: Request) -> bool:
    match request.query_params.get("transport", "bearer"):
        case "bearer":
            return False
        case "cookie":
            require_same_origin(request)
            return True
    raise invalid("transport", "not_a_choice", "One of these is needed: 'bearer' or 'cookie'.")


@router.post(
    "/auth/forgot-password",
    status_code=202,
    response_class=Response,
    tags=["login"],
    responses=refuses(*UNSAFE, CrossOrigin, *HASHING),
)
async def post_forgot_password(ctx: Ctx, body: EmailBody) -> Response:
    """Ask for a link that resets a forgotten password. The answer is the same whoever has the address, if anybody."""
    await forgot_password(ctx, email=body.email)
    return accepted()


@router.post(
    "/auth/reset-password",
    status_code=204,
    tags=["login"],
    responses=refuses(*UNSAFE, InvalidToken, ExpiredToken, CrossOrigin, Overloaded),
)
async def post_reset_password(ctx: Ctx, body: PasswordReset) -> Response:
    """Set a new password with the token of a link. Works once; every session of the user ends, and none begins."""
    await reset_password(ctx, token=body.token, password=body.password)
    return no_content()


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
    """Make an account for somebody else. Without a password they get a mail with a link to choose one."""
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
