"""What an access token says, and the strict reading of it."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from propusk.crypto import jwt
from propusk.crypto.keyring import KeyRing, digest
from propusk.crypto.secrets import parse_uuid
from propusk.settings import Settings

LEEWAY = 30
"""Seconds that a token may seem to come from the future: nodes' clocks differ."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """The claims of RFC 9068, section 2.2, that we rely on; times in seconds since 1970."""

    user_id: UUID
    session_id: UUID
    token_id: str
    issued_at: int
    expires_at: int


def check_claims(claims: dict[str, Any], *, issuer: str, audience: str, now: datetime) -> AccessClaims | None:
    """The claims, if each is there, of its type, exactly ours and in time; else None."""
    if claims.get("iss") != issuer or claims.get("aud") != audience or claims.get("client_id") != audience:
        return None
    issued, expires, token_id = claims.get("iat"), claims.get("exp"), claims.get("jti")
    if type(issued) is not int or type(expires) is not int or not isinstance(token_id, str) or not token_id:
        return None
    not_before = claims.get("nbf", issued)
    if type(not_before) is not int:
        return None
    seconds = now.timestamp()
    if seconds >= expires or max(issued, not_before) > seconds + LEEWAY or expires - issued > 10**9:
        return None
    user_id, session_id = _uuid(claims.get("sub")), _uuid(claims.get("sid"))
    if user_id is None or session_id is None:
        return None
    return AccessClaims(user_id, session_id, token_id, issued, expires)


def _uuid(value: object) -> UUID | None:
    return parse_uuid(value) if isinstance(value, str) else None


class AccessTokens:
    """Reads access tokens, checking the signature of each once: a bounded memory from a token's digest to its claims.

    Whether the session is alive is another question, asked on every request.
    """

    def __init__(self, settings: Settings, *, size: int = 20_000) -> None:
        self._settings = settings
        self._size = size
        self._keys: KeyRing | None = None
        self._seen: OrderedDict[bytes, AccessClaims] = OrderedDict()

    def read(self, keys: KeyRing, token: str, now: datetime) -> AccessClaims | None:
        """The claims of a token that is genuine and in time, else None."""
        if len(token) > jwt.MAX_LENGTH:
            return None
        if keys is not self._keys:
            self._forget_unless_same(keys)
        key = digest(token)
        found = self._seen.get(key)
        if found is not None and now.timestamp() < found.expires_at:
            return found
        return self._verify(keys, token, key, now)

    def _verify(self, keys: KeyRing, token: str, key: bytes, now: datetime) -> AccessClaims | None:
        claims = jwt.decode(keys, token, encrypted=self._settings.token_encryption)
        if claims is None:
            return None
        issuer, audience = self._settings.public_url, self._settings.token_audience
        checked = check_claims(claims, issuer=issuer, audience=audience, now=now)
        if checked is not None:
            self._seen[key] = checked
            if len(self._seen) > self._size:
                self._seen.popitem(last=False)
        return checked

    def _forget_unless_same(self, keys: KeyRing) -> None:
        if self._keys is None or not keys.same_keys_as(self._keys):
            self._seen.clear()
        self._keys = keys
