"""The bytes of a refresh token.

`prt1_` and, in base64url: session id (16 bytes), counter (4), HMAC-SHA256 of both and of the session's seed (32).
Neither a copy of the database nor the secret key alone can make one, and the successor of a token is computed, not
drawn, so two tabs that refresh at once get the same.
"""

import hashlib
import hmac
from dataclasses import dataclass
from uuid import UUID

from propusk.crypto.secrets import SecretKey, SecretKeys, b64url, parse_b64url

PREFIX = "prt1_"
_LENGTH = 16 + 4 + 32


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token taken apart; whether it is authentic is another question."""

    session_id: UUID
    counter: int
    mac: bytes


def make_refresh_token(key: SecretKey, *, session_id: UUID, counter: int, seed: bytes) -> str:
    """The one refresh token of this session that has this counter."""
    head = session_id.bytes + counter.to_bytes(4)
    return PREFIX + b64url(head + _mac(key, head, seed))


def parse_refresh_token(text: str) -> RefreshToken | None:
    """The parts of a token, or None unless it is spelled in the one canonical way."""
    data = parse_b64url(text[len(PREFIX) :]) if text.startswith(PREFIX) and len(text) < 100 else None
    if data is None or len(data) != _LENGTH:
        return None
    return RefreshToken(UUID(bytes=data[:16]), int.from_bytes(data[16:20]), data[20:])


def is_authentic(keys: SecretKeys, token: RefreshToken, seed: bytes) -> bool:
    """Whether one of our keys made this token. Takes the same time wherever the difference is."""
    head = token.session_id.bytes + token.counter.to_bytes(4)
    matches = [hmac.compare_digest(_mac(key, head, seed), token.mac) for key in keys.keys]
    return any(matches)


def _mac(key: SecretKey, head: bytes, seed: bytes) -> bytes:
    return hmac.digest(key.derive("refresh"), head + seed, hashlib.sha256)
