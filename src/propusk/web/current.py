"""Who is calling. One strict read, no transaction."""

from typing import Annotated

from fastapi import Depends
from fastapi.openapi.models import APIKey, APIKeyIn, OAuthFlowPassword, OAuthFlows
from fastapi.openapi.models import HTTPBase as HTTPBaseModel
from fastapi.openapi.models import OAuth2 as OAuth2Model
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from propusk.auth import Auth
from propusk.errors import Forbidden, InvalidAccessToken, NotAuthenticated
from propusk.sessions.models import Principal, Session
from propusk.users.models import User
from propusk.web.bearer import read_bearer
from propusk.web.context import auth_of
from propusk.web.cookies import CookieNames, carries_cookie, read_cookie
from propusk.web.csrf import check_same_origin

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


def cookie_names(auth: Auth) -> CookieNames:
    """The names of our cookies; `__Host-` where browsers reach us over TLS."""
    return CookieNames.for_url(https=auth.settings.secure)


def sends_bearer(connection: HTTPConnection) -> bool:
    """Whether the header alone decides: a request with both transports is judged by it."""
    return "authorization" in connection.headers


def check_origin(connection: HTTPConnection) -> None:
    """Refuse an unsafe request with our cookies that does not come from a page of ours.

    Raises:
        CrossOrigin
    """
    auth = auth_of(connection)
    if connection.scope.get("method", "GET") in SAFE or sends_bearer(connection):
        return
    if carries_cookie(connection.scope, cookie_names(auth)):
        check_same_origin(connection.scope, auth.settings.origin)


async def same_origin(connection: HTTPConnection) -> None:
    """Dependency: `check_origin`, for routes that are open to anyone.

    Raises:
        CrossOrigin
    """
    check_origin(connection)


async def authenticate(connection: HTTPConnection) -> Principal:
    """The live session whose access token this request carries, and its user.

    Raises:
        NotAuthenticated, InvalidAccessToken, CrossOrigin
        Unavailable: it cannot be known at the moment.
    """
    auth = auth_of(connection)
    token = read_bearer(connection.scope)
    if token is None:
        check_origin(connection)
        token = read_cookie(connection.scope, cookie_names(auth).access)
    if token is None:
        raise NotAuthenticated
    now = auth.clock()
    claims = auth.access_tokens.read(await auth.keys.current(), token, now)
    if claims is None:
        raise InvalidAccessToken
    principal = await auth.live.get(claims.session_id, now)
    if principal is None or principal.user.id != claims.user_id:
        raise InvalidAccessToken
    return principal


class _Documented(SecurityBase):
    """Puts a way to authenticate into the OpenAPI document; `authenticate` does the work."""

    def __init__(self, model: OAuth2Model | APIKey | HTTPBaseModel, name: str) -> None:
        self.model = model
        self.scheme_name = name

    def __call__(self) -> None:
        return None


_BEARER = _Documented(
    HTTPBaseModel(
        scheme="bearer",
        description="The access token of POST /auth/login, as `Authorization: Bearer …` (RFC 6750).",
    ),
    "bearer",
)
_LOGIN = _Documented(
    OAuth2Model(
        description="The same, fetched by the Authorize button of `/docs`.",
        flows=OAuthFlows(password=OAuthFlowPassword(tokenUrl="auth/login", refreshUrl="auth/refresh")),
    ),
    "login",
)
_COOKIE = _Documented(
    APIKey(
        **{"in": APIKeyIn.cookie},  # type: ignore[arg-type]
        name="__Host-propusk_access",
        description="Set by POST /auth/login?transport=cookie.",
    ),
    "cookie",
)


CLIENT = _Documented(HTTPBaseModel(scheme="basic", description="Id and secret of an introspection client."), "client")
"""The credential of other services; `routes.introspect` checks it."""


async def current_principal(
    connection: HTTPConnection,
    _bearer: Annotated[None, Depends(_BEARER)],
    _login: Annotated[None, Depends(_LOGIN)],
    _cookie: Annotated[None, Depends(_COOKIE)],
) -> Principal:
    """Dependency: who is calling."""
    return await authenticate(connection)


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


async def current_user(principal: CurrentPrincipal) -> User:
    """Dependency: the user who is calling."""
    return principal.user


async def current_session(principal: CurrentPrincipal) -> Session:
    """Dependency: the session that is calling."""
    return principal.session


async def superuser(principal: CurrentPrincipal) -> User:
    """Dependency: the user who is calling, if they administer.

    Raises:
        Forbidden
    """
    if not principal.user.is_superuser:
        raise Forbidden
    return principal.user


CurrentUser = Annotated[User, Depends(current_user)]
CurrentSession = Annotated[Session, Depends(current_session)]
SuperUser = Annotated[User, Depends(superuser)]
