"""The end of a session by what a request carries: its cookies, or a token."""

from starlette.requests import Request

from propusk.context import Context
from propusk.errors import AuthError, InvalidAccessToken, InvalidRefreshToken, NotAuthenticated, TooManyRequests
from propusk.sessions.end import log_out
from propusk.sessions.models import is_live
from propusk.tokens.refresh import find_by_refresh_token
from propusk.web.answers import clearing_lines
from propusk.web.context import auth_of
from propusk.web.cookies import read_cookie
from propusk.web.current import authenticate, require_same_origin


async def log_out_by_cookies(request: Request, ctx: Context) -> None:
    """End the session of either cookie; of both, should they belong to two. One whose access cookie has expired ends by
    its refresh cookie. A refusal clears the cookies itself; after success `clear_session_cookies` does.

    Raises:
        CrossOrigin: the request comes from a page of another origin.
        NotAuthenticated, InvalidAccessToken: neither cookie belongs to a session that lives.
    """
    # With or without cookies: the browser of a foreign page's visitor would obey the lines that clear them.
    require_same_origin(request)
    refusals: list[AuthError] = []
    for end in (_end_by_refresh_cookie, end_by_access_token):
        try:
            await end(request, ctx)
        except (NotAuthenticated, InvalidAccessToken, InvalidRefreshToken, TooManyRequests) as refusal:
            refusals.append(refusal)
    if len(refusals) == 2:
        refusals[-1].set_cookies = clearing_lines(auth_of(request))
        raise refusals[-1]


async def _end_by_refresh_cookie(request: Request, ctx: Context) -> None:
    token = read_cookie(request.scope, auth_of(request).cookies.refresh)
    if token is None:
        raise NotAuthenticated
    await end_by_refresh_token(ctx, token)


async def end_by_refresh_token(ctx: Context, token: str) -> None:
    """End the session of a refresh token: an authentic one of a live session will do, however old.

    Raises:
        InvalidRefreshToken
    """
    _, session, user = await find_by_refresh_token(ctx, token)
    if not is_live(session, user, ctx.now) or not await log_out(ctx, session_id=session.id, user_id=user.id):
        raise InvalidRefreshToken


async def end_by_access_token(request: Request, ctx: Context) -> None:
    """End the session whose access token a request carries.

    Raises:
        NotAuthenticated, InvalidAccessToken, CrossOrigin
    """
    principal = await authenticate(request)
    if not await log_out(ctx, session_id=principal.session.id, user_id=principal.user.id):
        raise InvalidAccessToken
