"""Which key signs, which verify, and what is published."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from propusk.crypto.keyfiles import read_keys
from propusk.crypto.keyring import JWKS_MAX_AGE, STALE, KeyRing, PrivateKey, PublicKey, generate_key
from propusk.crypto.secrets import SecretKeys, new_id, parse_uuid
from propusk.settings import Algorithm
from tests.kit import SECRET_KEY, FakeClock, SeededEntropy

NOW = FakeClock().now
SECRETS = SecretKeys.of([SECRET_KEY, "zq7canary-older-" + "k" * 32])
OLD, NEW = generate_key(Algorithm.EDDSA), generate_key(Algorithm.EDDSA)
WAIT = JWKS_MAX_AGE + STALE


def ring(*private: PrivateKey, seen: dict[str, datetime], algorithm: Algorithm = Algorithm.EDDSA) -> KeyRing:
    public = {k.kid: PublicKey(k.kid, k.algorithm, k.public_jwk, seen[k.kid]) for k in private if k.kid in seen}
    return KeyRing(algorithm, SECRETS, private, public)


def test_t57_a_new_key_signs_once_every_verifier_can_know_it() -> None:
    keys = ring(NEW, OLD, seen={OLD.kid: NOW - timedelta(days=1), NEW.kid: NOW})
    assert keys.signing_key(NOW) == OLD
    assert keys.signing_key(NOW + WAIT - timedelta(microseconds=1)) == OLD
    assert keys.signing_key(NOW + WAIT) == NEW


def test_t57_the_first_key_of_all_signs_at_once() -> None:
    assert ring(NEW, seen={NEW.kid: NOW}).signing_key(NOW) == NEW


def test_t57_of_two_young_keys_the_one_known_longest_signs() -> None:
    assert ring(NEW, OLD, seen={OLD.kid: NOW - timedelta(seconds=9), NEW.kid: NOW}).signing_key(NOW) == OLD
    # Seen at once, as after a start with two keys: any verifier knows both or neither.
    assert ring(NEW, OLD, seen={OLD.kid: NOW, NEW.kid: NOW}).signing_key(NOW) == OLD


def test_t57_a_key_that_is_not_published_or_revoked_never_signs() -> None:
    assert ring(NEW, OLD, seen={OLD.kid: NOW - timedelta(days=1)}).signing_key(NOW) == OLD
    assert ring(NEW, seen={}).signing_key(NOW) is None


def test_a_key_of_another_algorithm_verifies_but_does_not_sign(signing_key_file: Path) -> None:
    private = read_keys(signing_key_file)
    for algorithm in (Algorithm.EDDSA, Algorithm.ES256, Algorithm.RS256):
        keys = ring(*private, seen={key.kid: NOW - timedelta(days=1) for key in private}, algorithm=algorithm)
        signing = keys.signing_key(NOW)
        assert signing is not None
        assert signing.algorithm is algorithm
        assert len(keys.jwks()["keys"]) == 3


def test_the_published_keys_are_public(signing_key_file: Path) -> None:
    private = read_keys(signing_key_file)
    published = ring(*private, seen={key.kid: NOW for key in private}).jwks()["keys"]
    for jwk in published:
        assert jwk["use"] == "sig"
        assert jwk["kid"] in {key.kid for key in private}
        assert not jwk.keys() & {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}
    assert {jwk["alg"] for jwk in published} == {"EdDSA", "ES256", "RS256"}


def test_a_kid_is_the_thumbprint_of_rfc_7638() -> None:
    import hashlib

    from propusk.crypto.secrets import b64url

    members = {name: value for name, value in NEW.public_jwk.items() if name in ("crv", "kty", "x")}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    assert NEW.kid == b64url(hashlib.sha256(canonical).digest())


def test_the_published_keys_are_newest_first() -> None:
    keys = ring(OLD, NEW, seen={OLD.kid: NOW - timedelta(days=1), NEW.kid: NOW}).jwks()["keys"]
    assert [key["kid"] for key in keys] == [NEW.kid, OLD.kid]


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_secret_keys_verify_only_where_hs256_is_chosen(algorithm: Algorithm) -> None:
    keys = KeyRing(algorithm, SECRETS)
    assert len(keys.hmac_keys()) == (2 if algorithm is Algorithm.HS256 else 0)
    assert len(keys.encryption_keys()) == 2
    assert keys.jwks() == {"keys": []}


def test_ids_of_secret_keys_tell_nothing_of_them() -> None:
    keys = KeyRing(Algorithm.HS256, SECRETS)
    for kid in [*keys.hmac_keys(), *keys.encryption_keys()]:
        assert SECRET_KEY not in kid
        assert SECRETS.newest.derive("hs256").hex()[:8] not in kid


def test_ids_sort_by_the_time_they_were_made() -> None:
    entropy = SeededEntropy()
    made = [new_id(NOW + timedelta(milliseconds=n), entropy) for n in range(100)]
    assert made == sorted(made)
    assert len(set(made)) == 100
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {"specified in RFC 4122"}


@pytest.mark.parametrize("form", ["{0}", "urn:uuid:{0}", " {0}", "{0}\n", "{{{0}}}", "x{0}"])
def test_t28_an_id_has_one_spelling(form: str) -> None:
    text = str(new_id(NOW, SeededEntropy()))
    assert parse_uuid(form.format(text)) == (parse_uuid(text) if form == "{0}" else None)
    assert parse_uuid(text.upper()) is None
    assert parse_uuid(text.replace("-", "")) is None
