"""`TokenVerifier`: from a bearer token to what it says, or to a refusal."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from propusk.verify.bearer import Authorization, read_bearer
from propusk.verify.claims import AccessToken, check_claims, is_scope
from propusk.verify.http import Fetch
from propusk.verify.refusals import InsufficientScope, InvalidToken
from propusk.verify.strict import MAX_LENGTH, is_signed_by, parse_object, split_compact

if TYPE_CHECKING:
    from propusk.verify.live import Introspection

_OFFLINE = ("EdDSA", "ES256", "RS256")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){2,4}")


def _now() -> datetime:
    return datetime.now(UTC)


class TokenVerifier:
    """Verifies access tokens of one issuer for one audience. Make one, at import or at start, and keep it.

    Offline (the default), a token is good until it expires, also when its session has ended: at most the issuer's
    `access_token_ttl` and `leeway` later. With `live`, the issuer is asked each time and an end holds at once; this
    also works for encrypted and HS256 tokens, which no other service can read.

    Args:
        issuer: the issuer's `public_url`, exactly as its tokens have it in `iss`.
        audience: the issuer's `audience`, exactly as its tokens have it in `aud`; `public_url` unless set there.
        leeway: seconds, 30 at most, by which our clock and the issuer's may differ.
        algorithms: of signatures that are accepted; each key is good for one of them alone.
        live: ask the issuer each time (RFC 7662); needs `client_id` and `client_secret`.
        client_id: of this service, as in the issuer's `introspection_clients`.
        client_secret: whose SHA-256 stands there.
        jwks_url: of the published keys; by default `/.well-known/jwks.json` of the issuer.
        introspection_url: by default `/auth/introspect` of the issuer.
        timeout: seconds for one request to the issuer.
        refresh_floor: seconds between two requests for the keys, however many unknown key ids come along.
        max_stale: seconds for which keys are used at most while they cannot be read anew.
        allow_http: accept addresses without TLS, other than those of this machine.
        http: sends the requests, in place of our own client: for proxies, client certificates, tests.
        clock: the time, with a time zone.
        timer: seconds that only grow.
    Raises:
        ValueError: a setting makes no sense; the text says which.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        leeway: int = 30,
        algorithms: Iterable[str] = _OFFLINE,
        live: bool = False,
        client_id: str | None = None,
        client_secret: str | None = None,
        jwks_url: str | None = None,
        introspection_url: str | None = None,
        timeout: float = 5,
        refresh_floor: float = 10,
        max_stale: float = 3600,
        allow_http: bool = False,
        http: Fetch | None = None,
        clock: Callable[[], datetime] = _now,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        base = issuer.rstrip("/")
        keys_at, asked_at = jwks_url or f"{base}/.well-known/jwks.json", introspection_url or f"{base}/auth/introspect"
        for name, url in (("issuer", issuer), ("jwks_url", keys_at), ("introspection_url", asked_at)):
            _check_url(name, url, allow_http=allow_http)
        chosen = frozenset([algorithms] if isinstance(algorithms, str) else algorithms)
        _check(bool(audience), "audience must not be empty")
        _check(0 <= leeway <= 30, "leeway must be 0 to 30 seconds")
        _check(min(timeout, refresh_floor, max_stale) > 0, "timeout, refresh_floor and max_stale must be above 0")
        _check(bool(chosen) and chosen <= set(_OFFLINE), f"algorithms must be of {_OFFLINE}; for HS256 use live=True")
        self._issuer, self._audience, self._leeway, self._clock = issuer, audience, leeway, clock
        # Only here: asyncio, ssl and h11 are more to import than all the rest.
        from propusk.verify.client import HttpClient
        from propusk.verify.keys import KeySource
        from propusk.verify.live import Introspection

        fetch = self._fetch = HttpClient() if http is None else http
        self._live: Introspection | None = None
        if live:
            if not client_id or not client_secret:
                raise ValueError("live=True needs client_id and client_secret, one of introspection_clients there")
            self._live = Introspection(
                asked_at, client_id=client_id, client_secret=client_secret, fetch=fetch, timeout=timeout
            )
        self._keys = KeySource(
            keys_at,
            fetch=fetch,
            algorithms=chosen,
            pause=refresh_floor,
            max_stale=max_stale,
            timeout=timeout,
            timer=timer,
        )

    async def verify(self, token: str) -> AccessToken:
        """What a token says, if the issuer made it for us and it holds now.

        Raises:
            InvalidToken: it does not; the reason is for your log.
            IssuerUnavailable: that cannot be known now.
        """
        if len(token) > MAX_LENGTH or _TOKEN.fullmatch(token) is None:
            raise InvalidToken("no token")
        claims = await (self._read(token) if self._live is None else _ask(self._live, token))
        return check_claims(
            claims, issuer=self._issuer, audience=self._audience, leeway=self._leeway, now=self._clock()
        )

    async def _read(self, token: str) -> dict[str, Any]:
        """The claims of a signed token. Nothing in its header is followed: it must be what the issuer writes."""
        parts = split_compact(token, 3)
        header = parse_object(parts[0]) if parts is not None else None
        if parts is None or header is None or header.keys() != {"typ", "alg", "kid"} or header["typ"] != "at+jwt":
            raise InvalidToken("no signed access token")
        if not isinstance(header["kid"], str):
            raise InvalidToken("unknown key")
        key = await self._keys.find(header["kid"])
        # The algorithm belongs to the key (RFC 8725, section 3.1): what the token claims must merely agree.
        if header["alg"] != key.algorithm or not is_signed_by(token, key.key):
            raise InvalidToken("wrong signature")
        claims = parse_object(parts[1])
        if claims is None:
            raise InvalidToken("no claims")
        return claims

    async def authenticate(self, authorization: Authorization, *scopes: str) -> AccessToken:
        """Verify the token of a request: for Starlette and any other framework, or none.

        Args:
            authorization: every value of the Authorization header, `request.headers.getlist("authorization")`; or the
                only one, or None, where the framework tells no more (two are refused, if they can be seen).
            scopes: all of which the token must have.
        Raises:
            Refused: `status`, `headers` and `title` are the answer's (RFC 6750, section 3).
        """
        _check_scopes(scopes)
        token = await self.verify(read_bearer(authorization))
        if not token.scope.issuperset(scopes):
            raise InsufficientScope(scopes)
        return token

    def require(self, *scopes: str) -> Callable[..., Any]:
        """A FastAPI dependency that gives the `AccessToken` of a request, which must have all these scopes.

        Refusals are HTTPExceptions with the status and headers of RFC 6750; in OpenAPI it is an HTTP bearer scheme.
        """
        from propusk.verify.dependency import make_dependency

        _check_scopes(scopes)
        return make_dependency(self, scopes)

    async def aclose(self) -> None:
        """Close idle connections to the issuer."""
        from propusk.verify.client import HttpClient

        if isinstance(self._fetch, HttpClient):
            await self._fetch.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _ask(live: "Introspection", token: str) -> dict[str, Any]:
    claims = await live.ask(token)
    if claims.get("token_type") != "access_token":  # the issuer knows refresh tokens as well
        raise InvalidToken("no access token")
    return claims


def _check_scopes(scopes: Sequence[str]) -> None:
    _check(all(is_scope(scope) for scope in scopes), "a scope has no spaces, quotes or backslashes, and is not empty")


def _check_url(name: str, url: str, *, allow_http: bool) -> None:
    parts = urlsplit(url)
    _check(parts.port != 0, f"{name} has no such port")  # any other that there is not, urllib refuses
    plain = parts.scheme == "http" and (allow_http or parts.hostname in _LOCAL)
    _check(bool(parts.hostname) and (parts.scheme == "https" or plain), f"{name} must be an https address")
    odd = parts.username is not None or parts.query or parts.fragment or not url.isascii() or not url.isprintable()
    _check(not odd, f"{name} must have no user, query, fragment or other letters than ASCII")


def _check(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
