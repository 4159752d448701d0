"""Refresh and logout: what a session's own credentials do."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends
from starlette.requests import Request
from starlette.responses import Response

from propusk.errors import (
    CrossOrigin,
    InvalidAccessToken,
    InvalidRefreshToken,
    NotAuthenticated,
    RefreshTokenReused,
    TooManyRequests,
)
from propusk.tokens.refresh import refresh_session
from propusk.web import examples
from propusk.web.answers import clearing_lines, no_content, token_response
from propusk.web.context import Ctx, auth_of, request_context
from propusk.web.current import check_origin, refresh_cookie, same_origin, sends_bearer
from propusk.web.faults import validated
from propusk.web.log_out import end_by_access_token, end_by_refresh_token, log_out_by_cookies
from propusk.web.openapi import CLEARED, NEW_TOKENS, UNSAFE, refuses
from propusk.web.route import LeanRoute, StrictRoute, read_fields
from propusk.web.schemas import Body as RequestBody
from propusk.web.schemas import CookieLogin, Tokens, shown


class RefreshBody(RequestBody):
    """A refresh token; browsers send theirs in a cookie instead."""

    model_config = shown({"refresh_token": examples.REFRESH})

    refresh_token: str | None = None


lean = APIRouter(prefix="/auth", route_class=LeanRoute, tags=["sessions"])
OptionalRefresh = Annotated[RefreshBody | None, Body()]
router = APIRouter(prefix="/auth", route_class=StrictRoute, tags=["sessions"], dependencies=[Depends(same_origin)])


@lean.post(
    "/refresh",
    response_model=Tokens | CookieLogin,
    responses=NEW_TOKENS
    | refuses(*UNSAFE, InvalidRefreshToken, RefreshTokenReused, NotAuthenticated, CrossOrigin, TooManyRequests),
    openapi_extra={
        "security": [{"refresh_cookie": []}, {}],
        "requestBody": {"content": {"application/json": {"schema": RefreshBody.model_json_schema()}}},
    },
)
async def post_refresh(request: Request) -> Response:
    """Exchange a refresh token for new tokens, in the transport it came by. A token in the body wins over a cookie."""
    check_origin(request)
    fields = await read_fields(request, takes_form=False) if await request.body() not in (b"", b"null") else {}
    sent = validated(RefreshBody, fields).refresh_token
    token = sent if sent is not None else await refresh_cookie(request)
    async with request_context(request) as ctx:
        pair = await refresh_session(ctx, token=token)
    return token_response(request, pair, by_cookie=sent is None)


@router.post(
    "/logout",
    status_code=204,
    responses=CLEARED
    | refuses(*UNSAFE, NotAuthenticated, InvalidAccessToken, InvalidRefreshToken, CrossOrigin, TooManyRequests),
    openapi_extra={"security": [{"bearer": []}, {"login": []}, {"cookie": []}, {"refresh_cookie": []}, {}]},
)
async def post_logout(request: Request, ctx: Ctx, body: OptionalRefresh = None) -> Response:
    """End the session that is calling: by its access token, or by its refresh token alone. Clears cookies."""
    sent = body.refresh_token if body else None
    if sent is not None:
        await end_by_refresh_token(ctx, sent)
    elif sends_bearer(request):
        await end_by_access_token(request, ctx)
    else:
        await log_out_by_cookies(request, ctx)
    by_cookie = sent is None and not sends_bearer(request)
    response = no_content()
    response.headers["Clear-Site-Data"] = '"cache"'
    for line in clearing_lines(auth_of(request)) if by_cookie else ():
        response.headers.append("set-cookie", line)
    return response
