"""The issuer's published keys as it sends them (RFC 7517), and how long they may be kept."""

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from propusk.verify.http import MAX_BODY, Response
from propusk.verify.strict import parse_b64url, parse_object

log = logging.getLogger("propusk.verify")

_MAX_KEYS = 100
_MEMBERS = {
    "EdDSA": ("OKP", "Ed25519", ("x",)),
    "ES256": ("EC", "P-256", ("x", "y")),
    "RS256": ("RSA", None, ("n", "e")),
}
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?=$|[,\s])", re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|[,\s])no-(?:store|cache)(?=$|[,=\s])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key and the one algorithm that it is for."""

    algorithm: str
    key: Key = field(repr=False, compare=False)


class UnusableKeys(Exception):
    """The answer holds no key set that we can use; the text says why."""


def read_keys(response: Response, algorithms: Collection[str]) -> Mapping[str, VerifyKey]:
    """The usable keys of an answer, by their ids. Keys of other kinds are passed over.

    Raises:
        UnusableKeys: no JSON, too long, another status than 200, ambiguous, or no usable key in it.
    """
    if response.status != 200:
        raise UnusableKeys(f"status {response.status}")
    if len(response.body) > MAX_BODY:
        raise UnusableKeys("too long")
    document = parse_object(response.body) or {}
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > _MAX_KEYS:
        raise UnusableKeys("no key set")
    found = [(jwk["kid"], key) for jwk in listed if (key := _import(jwk, algorithms)) is not None]
    keys = dict(found)
    if len(keys) < len(found):
        raise UnusableKeys("two keys of one id")
    if not keys:
        raise UnusableKeys("no usable key; an issuer that signs with HS256 publishes none, and needs live=True")
    return keys


def _import(jwk: object, algorithms: Collection[str]) -> VerifyKey | None:
    """The key, if it says what it is for and is that. Only its public members are looked at."""
    algorithm = jwk.get("alg") if isinstance(jwk, dict) else None
    if not isinstance(jwk, dict) or not isinstance(algorithm, str) or algorithm not in algorithms:
        return None
    kty, curve, names = _MEMBERS[algorithm]
    if not isinstance(jwk.get("kid"), str) or not jwk["kid"] or jwk.get("use", "sig") != "sig":
        return None
    if jwk.get("kty") != kty or jwk.get("crv") != curve or not all(isinstance(jwk.get(name), str) for name in names):
        return None
    public = {"kty": kty, **{name: jwk[name] for name in names}, **({"crv": curve} if curve else {})}
    try:
        return VerifyKey(algorithm, _checked(public))
    except (JoseError, ValueError, TypeError) as error:
        log.warning("a key of the issuer cannot be used: %s", type(error).__name__)
        return None


def _checked(public: dict[str, Any]) -> Key:
    match public["kty"]:
        case "OKP":
            return OKPKey.import_key(public)
        case "EC":
            return ECKey.import_key(public)
    # Before the import, which warns of short keys into the host's log.
    if not 2048 <= int.from_bytes(parse_b64url(public["n"]) or b"").bit_length() <= 8192:
        raise ValueError("an RSA key of that size")
    return RSAKey.import_key(public)


def lifetime(response: Response, *, least: float, most: float) -> float:
    """Seconds for which the answer may be kept (RFC 9111), within bounds; 300 if it does not say."""
    return min(max(_max_age(response.headers), least), most)


def _max_age(headers: Mapping[str, str]) -> float:
    control = headers.get("cache-control", "")
    if _NOT_KEPT.search(control):
        return 0
    match = _MAX_AGE.search(control)
    if match is None:
        return 300
    age = re.fullmatch(r"[0-9]{1,9}", headers.get("age", ""))
    return int(match[1]) - (int(age[0]) if age is not None else 0)
