"""The secret keys of the installation and what is derived from them; identifiers; small encodings."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from propusk.verify import strict

Entropy = Callable[[int], bytes]
# The verifier reads the same way, and stands below.
parse_b64url = strict.parse_b64url
parse_uuid = strict.parse_uuid


@dataclass(frozen=True)
class SecretKey:
    """One secret key. Prints masked; is named by its fingerprint."""

    material: bytes = field(repr=False)
    fingerprint: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", hashlib.sha256(self.derive("fingerprint")).digest()[:8])

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose (HKDF-SHA256, RFC 5869); keys of two purposes tell nothing of each other."""
        return _derive(self.material, purpose)


@cache
def _derive(material: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"propusk/{purpose}".encode()).derive(material)


@dataclass(frozen=True)
class SecretKeys:
    """All secret keys of the installation, newest first. The newest makes; every one checks."""

    keys: tuple[SecretKey, ...]

    @classmethod
    def of(cls, materials: Sequence[str]) -> "SecretKeys":
        return cls(tuple(SecretKey(material.encode()) for material in materials))

    @property
    def newest(self) -> SecretKey:
        return self.keys[0]

    def find(self, fingerprint: bytes) -> SecretKey | None:
        """The key of this fingerprint, if we have it."""
        return next((key for key in self.keys if key.fingerprint == fingerprint), None)


def new_id(now: datetime, entropy: Entropy) -> UUID:
    """A UUIDv7 (RFC 9562, section 5.7): ids made later sort later, to the millisecond."""
    milliseconds = int(now.timestamp() * 1000)
    raw = bytearray(milliseconds.to_bytes(6) + entropy(10))
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return UUID(bytes=bytes(raw))


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
