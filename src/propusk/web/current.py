"""Who is calling. One strict read, no transaction."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends
from fastapi.openapi.models import HTTPBase as HTTPBaseModel
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from propusk.errors import EmailNotVerified, Forbidden, InvalidAccessToken, InvalidRefreshToken, NotAuthenticated
from propusk.sessions.freshness import check_recent_login
from propusk.sessions.models import Principal, Session
from propusk.tokens.refresh_token import parse_refresh_token
from propusk.users.models import User
from propusk.web.bearer import read_bearer
from propusk.web.context import auth_of
from propusk.web.cookies import carries_cookie, read_cookie
from propusk.web.csrf import SAFE, check_same_origin
from propusk.web.own_names import CALLER

T = TypeVar("T")
_FOUND = "_propusk_principal"


def sends_bearer(connection: HTTPConnection) -> bool:
    """Whether the header alone decides: a request with both transports is judged by it."""
    return "authorization" in connection.headers


def check_origin(connection: HTTPConnection) -> None:
    """Refuse an unsafe request with our cookies that does not come from a page of ours.

    Raises:
        CrossOrigin
    """
    auth = auth_of(connection)
    # A WebSocket has no method: a foreign page could open one with our cookies and read what comes.
    if connection.scope.get("method") in SAFE or sends_bearer(connection):
        return
    if carries_cookie(connection.scope, auth.cookies):
        check_same_origin(connection.scope, auth.settings.origin)


async def same_origin(connection: HTTPConnection) -> None:
    """Dependency: `check_origin`, for routes that are open to anyone.

    Raises:
        CrossOrigin
    """
    check_origin(connection)


def require_same_origin(connection: HTTPConnection) -> None:
    """Refuse a request that a browser sends for a page of another origin, whatever cookies it has.

    For what sets or clears ours: else a foreign page could log its visitor in as somebody else.

    Raises:
        CrossOrigin
    """
    check_same_origin(connection.scope, auth_of(connection).settings.origin)


async def _own_page(connection: HTTPConnection) -> None:
    require_same_origin(connection)


SameOrigin: Any = Depends(_own_page)
"""For `dependencies=[SameOrigin]`: `require_same_origin`, before the route begins any work."""


async def authenticate(connection: HTTPConnection) -> Principal:
    """The live session whose access token this request carries, and its user.

    What a host makes of the profile is of this request alone, until it is saved.

    Raises:
        NotAuthenticated, InvalidAccessToken, CrossOrigin
        Unavailable: it cannot be known at the moment.
    """
    return (await authenticate_shared(connection)).unshared()


async def authenticate_shared(connection: HTTPConnection) -> Principal:
    """The same, as one object for all requests while its row is the same: for the hot path, which changes nothing.

    Raises:
        NotAuthenticated, InvalidAccessToken, CrossOrigin
        Unavailable: it cannot be known at the moment.
    """
    auth = auth_of(connection)
    token = read_bearer(connection.scope)
    if token is None:
        check_origin(connection)
        token = read_cookie(connection.scope, auth.cookies.access)
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
    """Puts a way to authenticate into the OpenAPI document; a route's own code does the work."""

    def __init__(self, model: HTTPBaseModel, name: str) -> None:
        self.model = model
        self.scheme_name = name

    async def __call__(self) -> None:
        # FastAPI runs what is not async in a thread: a hop for each request.
        return None


CLIENT = _Documented(
    HTTPBaseModel(scheme="basic", description="Id and secret of an introspection client."), "propusk_client"
)
"""The credential of other services; `routes.introspect` checks it."""
SCRAPER = _Documented(HTTPBaseModel(scheme="bearer", description="`metrics_token` of the settings."), "propusk_metrics")
"""The credential of who reads the metrics; `routes.metrics` checks it."""


class _Caller(SecurityBase, Generic[T]):
    """A dependency that depends on nothing and is its own entry in the OpenAPI document, where `name_schemes` puts the
    ways to authenticate for it: FastAPI takes as long to resolve one as we to read the session.
    """

    model = HTTPBaseModel(scheme="bearer", description="The access token of POST /auth/login, or the cookie it sets.")
    scheme_name = CALLER

    def __init__(self, find: Callable[[HTTPConnection], Awaitable[T]]) -> None:
        self._find = find

    async def __call__(self, connection: HTTPConnection) -> T:
        return await self._find(connection)


async def _principal(connection: HTTPConnection) -> Principal:
    """`authenticate`, once for all dependencies of a request. It is not kept in the scope, which a host may copy for a
    request of its own, with other credentials.
    """
    known = vars(connection)
    if _FOUND not in known:
        known[_FOUND] = await authenticate(connection)
    found: Principal = known[_FOUND]
    return found


def _caller(part: Callable[[Principal], T]) -> _Caller[T]:
    async def find(connection: HTTPConnection) -> T:
        return part(await _principal(connection))

    return _Caller(find)


async def _user_or_none(connection: HTTPConnection) -> User | None:
    try:
        return (await _principal(connection)).user
    except (NotAuthenticated, InvalidAccessToken):
        return None


def _superuser(principal: Principal) -> User:
    if not principal.user.is_superuser:
        raise Forbidden
    return principal.user


def _verified(principal: Principal) -> User:
    if not principal.user.is_verified:
        raise EmailNotVerified
    return principal.user


# Dependencies, for `Depends`. All raise what `authenticate` does.
current_principal = _caller(lambda principal: principal)
"""Who is calling."""
current_user = _caller(lambda principal: principal.user)
"""The user who is calling."""
current_session = _caller(lambda principal: principal.session)
"""The session that is calling."""
optional_user = _Caller(_user_or_none)
"""The user who is calling; None for who is logged in no more, or never was. Raises CrossOrigin, Unavailable."""
superuser = _caller(_superuser)
"""The user who is calling, if they administer. Raises Forbidden, too."""
verified_user = _caller(_verified)
"""The user who is calling, if they have verified their e-mail address. Raises EmailNotVerified, too."""

CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
CurrentUser = Annotated[User, Depends(current_user)]
OptionalUser = Annotated[User | None, Depends(optional_user)]
VerifiedUser = Annotated[User, Depends(verified_user)]
CurrentSession = Annotated[Session, Depends(current_session)]
SuperUser = Annotated[User, Depends(superuser)]


async def refresh_cookie(connection: HTTPConnection) -> str:
    """Dependency: the refresh token of a browser, for `refresh_session`.

    Raises:
        InvalidRefreshToken: there is none, or the access cookie beside it belongs to another session: one of the two
            was planted.
        NotAuthenticated, CrossOrigin
    """
    check_origin(connection)
    auth = auth_of(connection)
    token = None if sends_bearer(connection) else read_cookie(connection.scope, auth.cookies.refresh)
    parsed = parse_refresh_token(token) if token is not None else None
    if token is None or parsed is None:
        raise InvalidRefreshToken
    access = read_cookie(connection.scope, auth.cookies.access)
    claims = auth.access_tokens.read(await auth.keys.current(), access, auth.clock()) if access is not None else None
    if claims is not None and claims.session_id != parsed.session_id:
        raise InvalidRefreshToken
    return token


RefreshCookie = Annotated[str, Depends(refresh_cookie)]


def require_recent_login(*, minutes: float) -> Any:
    """A dependency for `dependencies=[…]`: the session must have begun within so many minutes, or it is refused.

    A refresh does not count: only who logs in proves anew who they are (RFC 9470, section 1).

    Raises:
        RecentLoginRequired: log in again; NotAuthenticated, InvalidAccessToken as everywhere.
    """

    async def check(connection: HTTPConnection, principal: CurrentPrincipal) -> None:
        check_recent_login(principal.session, auth_of(connection).clock(), timedelta(minutes=minutes))

    return Depends(check)
