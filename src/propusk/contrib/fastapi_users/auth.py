"""Log in and out. The backend's name is `jwt`, its transport the bearer header."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from propusk.contrib.fastapi_users.current import CurrentPrincipal
from propusk.contrib.fastapi_users.form import Login
from propusk.contrib.fastapi_users.refusals import transaction
from propusk.contrib.fastapi_users.route import Route
from propusk.contrib.fastapi_users.schemas import BearerResponse, ErrorModel
from propusk.domain import log_out, login_with_password
from propusk.errors import AccountDisabled, EmailNotVerified, InvalidAccessToken, InvalidCredentials
from propusk.web.answers import no_content
from propusk.web.login_form import REQUEST_BODY

router = APIRouter(route_class=Route)
_BAD_LOGIN = {
    InvalidCredentials: "LOGIN_BAD_CREDENTIALS",
    AccountDisabled: "LOGIN_BAD_CREDENTIALS",
    EmailNotVerified: "LOGIN_USER_NOT_VERIFIED",
}
_BAD: dict[int | str, dict[str, Any]] = {400: {"model": ErrorModel}}


@router.post("/login", name="auth:jwt.login", responses=_BAD, openapi_extra=REQUEST_BODY)
async def login(request: Request, form: Login) -> BearerResponse:
    """Begin a session."""
    async with transaction(request, _BAD_LOGIN) as ctx:
        pair = await login_with_password(ctx, login=form.username, password=form.password)
    return BearerResponse(access_token=pair.access_token, token_type="bearer")


@router.post("/logout", name="auth:jwt.logout", status_code=204, response_class=Response)
async def logout(request: Request, principal: CurrentPrincipal) -> Response:
    """End this session: its token is dead when the answer leaves."""
    async with transaction(request) as ctx:
        if not await log_out(ctx, session_id=principal.session.id, user_id=principal.user.id):
            raise InvalidAccessToken
    return no_content()
