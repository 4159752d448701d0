"""The keys of access tokens: private ones from a file, public ones as the whole installation knows them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from propusk.crypto.secrets import SecretKeys
from propusk.settings import Algorithm

JWKS_MAX_AGE = timedelta(minutes=5)
"""How long a verifier may cache the published keys."""
RELOAD = timedelta(seconds=2)
"""How often a process in use reads the published keys anew."""
STALE = timedelta(seconds=10)
"""A process that has not read them for so long answers 503 rather than trust a key that may have been revoked."""
_PEM_END = b"-----END PRIVATE KEY-----"


class KeyFileError(Exception):
    """A key file cannot be used; the text says why and never shows the key."""


@dataclass(frozen=True)
class PrivateKey:
    """A key that signs. Prints its name only."""

    kid: str
    algorithm: Algorithm
    jwk: Key = field(repr=False, compare=False)
    pem: bytes = field(repr=False)

    @property
    def public_jwk(self) -> dict[str, Any]:
        """The public half as a JWK (RFC 7517) with `kid` (RFC 7638), `use` and `alg`."""
        return {**self.jwk.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": str(self.algorithm)}


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies, as the table of published keys has it."""

    kid: str
    algorithm: Algorithm
    jwk: Mapping[str, Any]
    first_seen_at: datetime
    retired_at: datetime | None = None
    key: Key = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _import_public(self.algorithm, self.jwk))


def _import_public(algorithm: Algorithm, jwk: Mapping[str, Any]) -> Key:
    match algorithm:
        case Algorithm.EDDSA:
            return OKPKey.import_key(dict(jwk))
        case Algorithm.ES256:
            return ECKey.import_key(dict(jwk))
        case _:
            return RSAKey.import_key(dict(jwk))


def generate_key(algorithm: Algorithm) -> PrivateKey:
    """A new private key; RS256 keys have 3072 bits. Slow for RS256: not for the event loop."""
    made: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    match algorithm:
        case Algorithm.EDDSA:
            made = ed25519.Ed25519PrivateKey.generate()
        case Algorithm.ES256:
            made = ec.generate_private_key(ec.SECP256R1())
        case Algorithm.RS256:
            made = rsa.generate_private_key(public_exponent=65537, key_size=3072)
        case Algorithm.HS256:
            raise ValueError("HS256 takes its key from secret_key")
    return _parse_key(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def parse_keys(pem: bytes) -> tuple[PrivateKey, ...]:
    """The private keys of a file: PEM, PKCS#8 (RFC 7468), one after another, newest first.

    Raises:
        KeyFileError: there is none, or one that cannot be used.
    """
    blocks = [block.strip() + b"\n" + _PEM_END + b"\n" for block in pem.split(_PEM_END)[:-1]]
    if not blocks:
        raise KeyFileError("no private key in PKCS#8 PEM (-----BEGIN PRIVATE KEY-----)")
    if pem.count(b"-----BEGIN ") != len(blocks):
        raise KeyFileError("holds something else than private keys in PKCS#8 PEM (-----BEGIN PRIVATE KEY-----)")
    return tuple(_parse_key(block) for block in blocks)


# A process makes its parts more than once while it starts, and checking an RSA key is the slowest part of it.
@lru_cache(maxsize=16)
def _parse_key(pem: bytes) -> PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError("a private key cannot be read; it must be unencrypted PKCS#8 PEM") from error
    match key:
        case ed25519.Ed25519PrivateKey():
            return _private_key(Algorithm.EDDSA, OKPKey.import_key(key), pem)
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return _private_key(Algorithm.ES256, ECKey.import_key(key), pem)
        case rsa.RSAPrivateKey() if key.key_size >= 2048:
            return _private_key(Algorithm.RS256, RSAKey.import_key(key), pem)
    raise KeyFileError("a private key is of no use here: Ed25519, P-256 or RSA of 2048 bits and more")


def _private_key(algorithm: Algorithm, jwk: Key, pem: bytes) -> PrivateKey:
    return PrivateKey(kid=jwk.thumbprint(), algorithm=algorithm, jwk=jwk, pem=pem)


@dataclass(frozen=True)
class KeyRing:
    """What one process knows of the keys at one moment. Replaced whole at each reload, never changed.

    `private` is newest first and holds the keys of every algorithm; `public` is what the database publishes,
    without revoked keys and without retired ones whose last token has expired.
    """

    algorithm: Algorithm
    secrets: SecretKeys
    private: tuple[PrivateKey, ...] = ()
    public: Mapping[str, PublicKey] = field(default_factory=dict)

    def signing_key(self, now: datetime) -> PrivateKey | None:
        """The newest private key that every verifier can know by `now`; if there is none yet, the one known longest."""
        usable = [key for key in self.private if key.algorithm is self.algorithm and key.kid in self.public]
        known_since = now - JWKS_MAX_AGE - STALE
        for key in usable:
            if self.public[key.kid].first_seen_at <= known_since:
                return key
        return min(reversed(usable), key=lambda key: self.public[key.kid].first_seen_at, default=None)

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The JWK set (RFC 7517, section 5), newest first. Empty for HS256, whose key is secret."""
        keys: Sequence[PublicKey] = sorted(self.public.values(), key=lambda key: key.first_seen_at, reverse=True)
        return {"keys": [dict(key.jwk) for key in keys]}

    def hmac_keys(self) -> dict[str, OctKey]:
        """The HS256 keys by their ids, newest first; empty unless HS256 is the chosen algorithm."""
        if self.algorithm is not Algorithm.HS256:
            return {}
        return {f"hs256-{key.fingerprint.hex()}": _oct(key.derive("hs256")) for key in self.secrets.keys}

    def encryption_keys(self) -> dict[str, OctKey]:
        """The A256GCM keys by their ids, newest first."""
        return {f"jwe-{key.fingerprint.hex()}": _oct(key.derive("jwe")) for key in self.secrets.keys}

    def same_keys_as(self, other: "KeyRing") -> bool:
        """Whether a token that one verifies, the other verifies too."""
        return self.public.keys() == other.public.keys() and self.private == other.private


def _oct(material: bytes) -> OctKey:
    return OctKey.import_key(material)


def digest(text: str) -> bytes:
    """SHA-256 of a credential: what is stored or cached in its place."""
    return hashlib.sha256(text.encode()).digest()
