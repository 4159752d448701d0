"""Answers that hand out tokens, in either transport, and what every personal answer carries."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from propusk.auth import Auth
from propusk.tokens.issue import TokenPair
from propusk.web.context import auth_of
from propusk.web.cookies import clear_cookie_header, set_cookie_header
from propusk.web.current import require_same_origin
from propusk.web.schemas import CookieLogin, Tokens


def set_session_cookies(request: Request, response: Response, pair: TokenPair) -> None:
    """Give a browser the tokens of a login or refresh, in cookies that no script can read.

    `dependencies=[SameOrigin]` refuses the same requests before a password is looked at.

    Raises:
        CrossOrigin: the request comes from a page of another origin, which may not log its visitor in. Nothing is set.
    """
    require_same_origin(request)
    auth = auth_of(request)
    response.headers.append("set-cookie", set_cookie_header(auth.cookies, "access", pair.access_token, pair.expires_in))
    if pair.refresh_token is not None:
        line = set_cookie_header(auth.cookies, "refresh", pair.refresh_token, pair.refresh_expires_in)
        response.headers.append("set-cookie", line)


def clear_session_cookies(request: Request, response: Response) -> None:
    """Have a browser forget what `set_session_cookies` gave it.

    Raises:
        CrossOrigin: the request comes from a page of another origin. Nothing is cleared.
    """
    require_same_origin(request)
    for line in clearing_lines(auth_of(request)):
        response.headers.append("set-cookie", line)


def token_response(request: Request, pair: TokenPair, *, by_cookie: bool) -> Response:
    """The new tokens: in the body, or in two cookies."""
    if not by_cookie:
        left_out = None if pair.refresh_token else {"refresh_token", "refresh_expires_in"}
        return JSONResponse(Tokens.of(pair).model_dump(mode="json", exclude=left_out))
    response = JSONResponse(CookieLogin.of(pair).model_dump(mode="json"))
    set_session_cookies(request, response, pair)
    return response


def clearing_lines(auth: Auth) -> tuple[str, ...]:
    """The `Set-Cookie` lines that delete our cookies."""
    access = clear_cookie_header(auth.cookies, "access")
    return (access, clear_cookie_header(auth.cookies, "refresh")) if auth.host.refresh_tokens else (access,)


def no_content() -> Response:
    """204."""
    return Response(status_code=204)


def accepted() -> Response:
    """202: the same for everybody, whatever comes of it."""
    return Response(status_code=202)
