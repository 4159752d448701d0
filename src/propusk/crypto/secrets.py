"""The secret keys of the installation and what is derived from them; identifiers; small encodings."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Entropy = Callable[[int], bytes]


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


def parse_uuid(text: str) -> UUID | None:
    """The UUID that `text` spells canonically (lower case, hyphens, nothing around it), or None."""
    if len(text) != 36:
        return None
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value if str(value) == text else None


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def parse_b64url(text: str) -> bytes | None:
    """The bytes that `text` spells in the one canonical way, or None: no padding, no stray bits, no other alphabet."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if b64url(data) == text else None
