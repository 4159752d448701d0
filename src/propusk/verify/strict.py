"""The strict reading of JOSE's encodings, which issuer and verifier share: one spelling, one meaning, or nothing."""

import base64
import binascii
from typing import Any
from uuid import UUID

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import Key

from propusk.strict_json import load_json

MAX_LENGTH = 8192
"""Characters of a token; whatever is longer is refused unread."""
ALGORITHMS = ("EdDSA", "ES256", "RS256", "HS256")


class _Registry(jws.JWSRegistry):
    """Our algorithms and no others. joserfc warns of the name EdDSA, which RFC 9864 replaces by Ed25519; verifiers in
    the field still expect it, and a host's log is no place for it.
    """

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


REGISTRY = _Registry()


def is_signed_by(token: str, key: Key) -> bool:
    """Whether the signature of a compact JWS is this key's. The caller has bound the header's algorithm to the key."""
    try:
        jws.deserialize_compact(token, key, registry=REGISTRY)
    except (JoseError, ValueError):
        return False
    return True


def split_compact(token: str, count: int) -> list[bytes] | None:
    """The decoded parts of a compact serialisation, each spelled in the one canonical way, or None."""
    if token.count(".") != count - 1:
        return None
    parts = [parse_b64url(part) for part in token.split(".")]
    return [part for part in parts if part is not None] if None not in parts else None


def parse_b64url(text: str) -> bytes | None:
    """The bytes that `text` spells in the one canonical way, or None: no padding, no stray bits, no other alphabet."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii") == text else None


def parse_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object that these bytes are, read strictly, or None."""
    try:
        value = load_json(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def parse_uuid(text: str) -> UUID | None:
    """The UUID that `text` spells canonically (lower case, hyphens, nothing around it), or None."""
    if len(text) != 36:
        return None
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value if str(value) == text else None
