"""Access tokens as bytes: signed JWTs (RFC 7515, RFC 7519), encrypted around that if so set (RFC 7516).

The decision what a token must look like comes from the settings and from the key that its `kid` names, never from the
token: its header must be exactly what we would have written.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import Key

from propusk.crypto.keyring import KeyRing
from propusk.settings import Algorithm
from propusk.verify import strict
from propusk.verify.strict import REGISTRY, is_signed_by, parse_object, split_compact

MAX_LENGTH = strict.MAX_LENGTH
"""Characters of a token, at most; for whoever reads one from a header or a cookie, too."""
_JWE = ["dir", "A256GCM"]


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
    token = jws.serialize_compact(header, payload, key, registry=REGISTRY)
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
    parts = split_compact(token, 5)
    if parts is None or parts[1] != b"":
        return None
    header = parse_object(parts[0])
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
    parts = split_compact(token, 3)
    header = parse_object(parts[0]) if parts is not None else None
    if parts is None or header is None or header.keys() != {"typ", "alg", "kid"} or header["typ"] != "at+jwt":
        return None
    found = _verifier(keys, header["kid"])
    # The algorithm belongs to the key (RFC 8725, section 3.1): what the token claims must merely agree.
    if found is None or header["alg"] != found[0]:
        return None
    return parse_object(parts[1]) if is_signed_by(token, found[1]) else None


def _verifier(keys: KeyRing, kid: object) -> tuple[str, Key] | None:
    if not isinstance(kid, str):
        return None
    if (secret := keys.hmac_keys().get(kid)) is not None:
        return "HS256", secret
    if (public := keys.public.get(kid)) is not None:
        return str(public.algorithm), public.key
    return None
