"""What a verified access token says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from propusk.verify.refusals import InvalidToken
from propusk.verify.strict import parse_uuid

LONGEST_LIFE = 10**9
"""Seconds between `iat` and `exp`; more is nonsense, and would not fit a date."""
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token (RFC 9068) that was verified. Prints without its own id and without further claims."""

    subject: str
    """Id of the user."""
    session_id: str
    issuer: str
    audience: str
    client_id: str
    issued_at: datetime
    expires_at: datetime
    token_id: str = field(repr=False)
    scope: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """Everything that it says, the above included, as the issuer wrote it."""


def check_claims(claims: dict[str, Any], *, issuer: str, audience: str, leeway: int, now: datetime) -> AccessToken:
    """The token that these claims make, if each is there, of its type, meant for us and in time.

    Args:
        leeway: seconds by which our clock and the issuer's may differ, in either direction.
    Raises:
        InvalidToken: the reason names the claim, never its value.
    """
    if claims.get("iss") != issuer:
        raise InvalidToken("iss is not the issuer")
    if claims.get("aud") != audience:
        raise InvalidToken("aud is not the audience")
    issued, expires = _times(claims, now.timestamp(), leeway)
    return AccessToken(
        subject=_id(claims, "sub"),
        session_id=_id(claims, "sid"),
        issuer=issuer,
        audience=audience,
        client_id=_text(claims, "client_id"),
        issued_at=datetime.fromtimestamp(issued, UTC),
        expires_at=datetime.fromtimestamp(expires, UTC),
        token_id=_text(claims, "jti"),
        scope=_scope(claims),
        claims=MappingProxyType(claims),
    )


def _times(claims: dict[str, Any], now: float, leeway: int) -> tuple[int, int]:
    issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
    not_before = _seconds(claims, "nbf") if "nbf" in claims else issued
    if now >= expires + leeway:
        raise InvalidToken("expired")
    if max(issued, not_before) > now + leeway:
        raise InvalidToken("not valid yet")
    if not 0 <= issued < expires <= issued + LONGEST_LIFE:
        raise InvalidToken("iat and exp do not fit")
    return issued, expires


def _seconds(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int:  # True is an int as well
        raise InvalidToken(f"{name} is not a time")
    return value


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidToken(f"{name} is not a text")
    return value


def _id(claims: dict[str, Any], name: str) -> str:
    value = _text(claims, name)
    if parse_uuid(value) is None:
        raise InvalidToken(f"{name} is not an id")
    return value


def _scope(claims: dict[str, Any]) -> frozenset[str]:
    """The scopes of the token (RFC 6749, section 3.3); none without the claim."""
    if "scope" not in claims:
        return frozenset()
    scopes = _text(claims, "scope").split(" ")
    if not all(is_scope(scope) for scope in scopes):
        raise InvalidToken("scope is not a list of scopes")
    return frozenset(scopes)


def is_scope(text: str) -> bool:
    """Whether this is one scope, in the letters of RFC 6749, section 3.3."""
    return _SCOPE.fullmatch(text) is not None
