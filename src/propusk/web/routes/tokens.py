"""Refresh and logout: what a session's own credentials do."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends
from starlette.requests import Request
from starlette.responses import Response

from propusk.context import Context
from propusk.errors import (
    AuthError,
    CrossOrigin,
    InvalidAccessToken,
    InvalidRefreshToken,
    NotAuthenticated,
    RefreshTokenReused,
    TooManyRequests,
)
from propusk.sessions.end import log_out
from propusk.sessions.models import is_live
from propusk.tokens.refresh import find_by_refresh_token, refresh_session
from propusk.tokens.refresh_token import parse_refresh_token
from propusk.web import examples
from propusk.web.answers import clearing_lines, no_content, token_response
from propusk.web.context import Ctx, auth_of
from propusk.web.cookies import read_cookie
from propusk.web.csrf import check_same_origin
from propusk.web.current import authenticate, cookie_names, same_origin, sends_bearer
from propusk.web.openapi import CLEARED, NEW_TOKENS, UNSAFE, refuses
from propusk.web.route import StrictRoute
from propusk.web.schemas import Body as RequestBody
from propusk.web.schemas import CookieLogin, Tokens, shown


class RefreshBody(RequestBody):
    """A refresh token; browsers send theirs in a cookie instead."""

    model_config = shown({"refresh_token": examples.REFRESH})

    refresh_token: str | None = None


OptionalRefresh = Annotated[RefreshBody | None, Body()]
router = APIRouter(prefix="/auth", route_class=StrictRoute, tags=["sessions"], dependencies=[Depends(same_origin)])


@router.post(
    "/refresh",
    response_model=Tokens | CookieLogin,
    responses=NEW_TOKENS
    | refuses(*UNSAFE, InvalidRefreshToken, RefreshTokenReused, NotAuthenticated, CrossOrigin, TooManyRequests),
    openapi_extra={"security": [{"refresh_cookie": []}, {}]},
)
async def post_refresh(request: Request, ctx: Ctx, body: OptionalRefresh = None) -> Response:
    """Exchange a refresh token for new tokens, in the transport it came by. A token in the body wins over a cookie."""
    sent = body.refresh_token if body else None
    token = sent if sent is not None else await _matching_cookie(request, ctx)
    pair = await refresh_session(ctx, token=token)
    return token_response(auth_of(request), pair, by_cookie=sent is None)


async def _matching_cookie(request: Request, ctx: Context) -> str:
    """The refresh cookie, unless the access cookie beside it belongs to another session: one of them was planted."""
    auth = auth_of(request)
    names = cookie_names(auth)
    token = None if sends_bearer(request) else read_cookie(request.scope, names.refresh)
    parsed = parse_refresh_token(token) if token is not None else None
    if token is None or parsed is None:
        raise InvalidRefreshToken
    access = read_cookie(request.scope, names.access)
    claims = auth.access_tokens.read(ctx.keyring, access, ctx.now) if access is not None else None
    if claims is not None and claims.session_id != parsed.session_id:
        raise InvalidRefreshToken
    return token


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
        await _end_by_refresh_token(ctx, sent)
    elif sends_bearer(request):
        await _end_by_access_token(request, ctx)
    else:
        await _end_by_cookies(request, ctx)
    by_cookie = sent is None and not sends_bearer(request)
    response = no_content()
    response.headers["Clear-Site-Data"] = '"cache"'
    for line in clearing_lines(auth_of(request)) if by_cookie else ():
        response.headers.append("set-cookie", line)
    return response


async def _end_by_refresh_token(ctx: Context, token: str) -> None:
    """An authentic token of a live session will do, however old."""
    _, session, user = await find_by_refresh_token(ctx, token)
    if not is_live(session, user, ctx.now) or not await log_out(ctx, session_id=session.id, user_id=user.id):
        raise InvalidRefreshToken


async def _end_by_access_token(request: Request, ctx: Context) -> None:
    principal = await authenticate(request)
    if not await log_out(ctx, session_id=principal.session.id, user_id=principal.user.id):
        raise InvalidAccessToken


async def _end_by_cookies(request: Request, ctx: Context) -> None:
    """End the session of either cookie; of both, should they belong to two. The cookies go in any case."""
    auth = auth_of(request)
    # With or without cookies: the browser of a foreign page's visitor would obey the lines that clear them.
    check_same_origin(request.scope, auth.settings.origin)
    refusals: list[AuthError] = []
    for end in (_end_by_refresh_cookie, _end_by_access_token):
        try:
            await end(request, ctx)
        except (NotAuthenticated, InvalidAccessToken, InvalidRefreshToken, TooManyRequests) as refusal:
            refusals.append(refusal)
    if len(refusals) == 2:
        refusals[-1].set_cookies = clearing_lines(auth)
        raise refusals[-1]


async def _end_by_refresh_cookie(request: Request, ctx: Context) -> None:
    token = read_cookie(request.scope, cookie_names(auth_of(request)).refresh)
    if token is None:
        raise NotAuthenticated
    await _end_by_refresh_token(ctx, token)
