"""Access tokens as bytes: signed JWTs (RFC 7515, RFC 7519), encrypted around that if so set (RFC 7516).

The decision what a token must look like comes from the settings and from the key that its `kid` names, never from the
token: its header must be exactly what we would have written.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joserfc import jwe, jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import Key

from propusk.crypto.keyring import KeyRing
from propusk.crypto.secrets import parse_b64url
from propusk.settings import Algorithm

MAX_LENGTH = 8192
_ALGORITHMS = [str(algorithm) for algorithm in Algorithm]
_JWE = ["dir", "A256GCM"]


class _Registry(jws.JWSRegistry):
    """Our algorithms and no others. joserfc warns of the name EdDSA, which RFC 9864 replaces by Ed25519; verifiers in
    the field still expect it, and a host's log is no place for it.
    """

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in _ALGORITHMS:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


_REGISTRY = _Registry()


class NoSigningKey(Exception):
    """There is no key to sign with: the installation's keys have not been published."""


def encode(keys: KeyRing, claims: Mapping[str, Any], now: datetime, *, encrypt: bool) -> str:
    """Sign `claims` as `at+jwt` (RFC 9068) with the key that signs at `now`, and encrypt the result if asked.

    Raises:
        NoSigningKey: no usable key.
    """
    kid, algorithm, key = _signer(keys, now)
    header = {"typ": "at+jwt", "alg": algorithm, "kid": kid}
    payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":"))
    token = jws.serialize_compact(header, payload, key, registry=_REGISTRY)
    if not encrypt:
        return token
    kid, oct_key = next(iter(keys.encryption_keys().items()))
    outer = {"alg": "dir", "enc": "A256GCM", "cty": "JWT", "kid": kid}
    return jwe.encrypt_compact(outer, token, oct_key, algorithms=_JWE)


def _signer(keys: KeyRing, now: datetime) -> tuple[str, str, Key]:
    if keys.algorithm is Algorithm.HS256:
        kid, oct_key = next(iter(keys.hmac_keys().items()))
        return kid, "HS256", oct_key
    private = keys.signing_key(now)
    if private is None:
        raise NoSigningKey
    return private.kid, str(private.algorithm), private.jwk


def decode(keys: KeyRing, token: str, *, encrypted: bool) -> dict[str, Any] | None:
    """The claims of a token whose signature is right, or None. Says nothing of what the claims mean."""
    if len(token) > MAX_LENGTH:
        return None
    inner = _decrypt(keys, token) if encrypted else token
    return _verify(keys, inner) if inner is not None else None


def _decrypt(keys: KeyRing, token: str) -> str | None:
    parts = _split(token, 5)
    if parts is None or parts[1] != b"":
        return None
    header = _parse_object(parts[0])
    if header is None or header.keys() != {"alg", "enc", "cty", "kid"}:
        return None
    if (header["alg"], header["enc"], header["cty"]) != ("dir", "A256GCM", "JWT"):
        return None
    key = keys.encryption_keys().get(header["kid"]) if isinstance(header["kid"], str) else None
    if key is None:
        return None
    try:
        plain = jwe.decrypt_compact(token, key, algorithms=_JWE).plaintext
        return plain.decode("ascii") if plain is not None else None
    except (JoseError, ValueError):
        return None


def _verify(keys: KeyRing, token: str) -> dict[str, Any] | None:
    parts = _split(token, 3)
    header = _parse_object(parts[0]) if parts is not None else None
    if parts is None or header is None or header.keys() != {"typ", "alg", "kid"} or header["typ"] != "at+jwt":
        return None
    found = _verifier(keys, header["kid"])
    # The algorithm belongs to the key (RFC 8725, section 3.1): what the token claims must merely agree.
    if found is None or header["alg"] != found[0]:
        return None
    key = found[1]
    try:
        jws.deserialize_compact(token, key, registry=_REGISTRY)
    except (JoseError, ValueError):
        return None
    return _parse_object(parts[1])


def _verifier(keys: KeyRing, kid: object) -> tuple[str, Key] | None:
    if not isinstance(kid, str):
        return None
    if (secret := keys.hmac_keys().get(kid)) is not None:
        return "HS256", secret
    if (public := keys.public.get(kid)) is not None:
        return str(public.algorithm), public.key
    return None


def _split(token: str, count: int) -> list[bytes] | None:
    """The decoded parts of a compact serialisation, each spelled in the one canonical way."""
    if token.count(".") != count - 1:
        return None
    parts = [parse_b64url(part) for part in token.split(".")]
    return [part for part in parts if part is not None] if None not in parts else None


def _parse_object(data: bytes) -> dict[str, Any] | None:
    """A JSON object without duplicate names, NaN or depth."""
    if data.count(b"{") + data.count(b"[") > 50:
        return None
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)
