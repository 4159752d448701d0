"""Answers that hand out tokens, in either transport, and what every personal answer carries."""

from starlette.responses import JSONResponse, Response

from propusk.auth import Auth
from propusk.tokens.issue import TokenPair
from propusk.web.cookies import clear_cookie_header, set_cookie_header
from propusk.web.current import cookie_names
from propusk.web.schemas import CookieLogin, Tokens


def token_response(auth: Auth, pair: TokenPair, *, by_cookie: bool) -> Response:
    """The new tokens: in the body, or in two cookies."""
    if not by_cookie:
        return JSONResponse(Tokens.of(pair).model_dump(mode="json"))
    response = JSONResponse(CookieLogin.of(pair).model_dump(mode="json"))
    names = cookie_names(auth)
    for line in (
        set_cookie_header(names, "access", pair.access_token, pair.expires_in),
        set_cookie_header(names, "refresh", pair.refresh_token, pair.refresh_expires_in),
    ):
        response.headers.append("set-cookie", line)
    return response


def clearing_lines(auth: Auth) -> tuple[str, str]:
    """The `Set-Cookie` lines that delete both cookies."""
    names = cookie_names(auth)
    return clear_cookie_header(names, "access"), clear_cookie_header(names, "refresh")


def no_content() -> Response:
    """204."""
    return Response(status_code=204)
