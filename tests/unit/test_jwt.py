"""Access tokens as bytes: what we signed is read, and nothing else is."""

import itertools
import json
import subprocess
import sys
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import OctKey, RSAKey

from propusk.crypto import jwt
from propusk.crypto.keyfiles import read_keys
from propusk.crypto.keyring import KeyRing, PrivateKey, PublicKey
from propusk.crypto.secrets import SecretKeys
from propusk.settings import Algorithm
from propusk.tokens.claims import AccessTokens, check_claims
from tests.forgeries import Signer, b64, compact, forgeries, misfits, unb64
from tests.kit import SECRET_KEY, FakeClock, least_cost, make_settings

NOW = FakeClock().now
SECONDS = int(NOW.timestamp())
SUB, SID = "0193b0a0-0000-7000-8000-000000000001", "0193b0a0-0000-7000-8000-000000000002"
ISSUER = "https://auth.example.com"
CLAIMS: dict[str, Any] = {
    **{"iss": ISSUER, "aud": ISSUER, "client_id": ISSUER, "sub": SUB, "sid": SID, "jti": "zq7canary"},
    **{"iat": SECONDS, "exp": SECONDS + 600},
}
SECRETS = SecretKeys.of([SECRET_KEY, "zq7canary-older-" + "k" * 32])
EVERY = list(Algorithm)


@pytest.fixture(scope="module")
def private(signing_key_file: Path) -> tuple[PrivateKey, ...]:
    return read_keys(signing_key_file)


def ring_of(private: tuple[PrivateKey, ...], algorithm: Algorithm) -> KeyRing:
    long_ago = NOW - timedelta(days=1)
    public = {key.kid: PublicKey(key.kid, key.algorithm, key.public_jwk, long_ago) for key in private}
    return KeyRing(algorithm, SECRETS, private, public)


def signer_of(private: tuple[PrivateKey, ...], algorithm: Algorithm) -> Signer:
    if algorithm is Algorithm.HS256:
        return Signer.of_secret(SECRETS.newest)
    return next(Signer.of(key) for key in private if key.algorithm is algorithm)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("algorithm", EVERY)
def test_what_was_signed_is_read(private: tuple[PrivateKey, ...], algorithm: Algorithm, encrypted: bool) -> None:
    ring = ring_of(private, algorithm)
    token = jwt.encode(ring, CLAIMS, NOW, encrypt=encrypted)
    assert jwt.decode(ring, token, encrypted=encrypted) == CLAIMS
    assert jwt.decode(ring, token, encrypted=not encrypted) is None


@pytest.mark.parametrize("algorithm", EVERY)
def test_the_signer_of_these_tests_signs_as_we_do(private: tuple[PrivateKey, ...], algorithm: Algorithm) -> None:
    assert (
        jwt.decode(ring_of(private, algorithm), signer_of(private, algorithm).sign(CLAIMS), encrypted=False) == CLAIMS
    )


@pytest.mark.parametrize("algorithm", EVERY)
def test_t12_no_forgery_made_from_a_valid_token_is_read(private: tuple[PrivateKey, ...], algorithm: Algorithm) -> None:
    ring = ring_of(private, algorithm)
    made = forgeries(jwt.encode(ring, CLAIMS, NOW, encrypt=False), private)
    assert len(made) >= 200
    assert [name for name, token in made if jwt.decode(ring, token, encrypted=False) is not None] == []
    assert [name for name, token in made if jwt.decode(ring, token, encrypted=True) is not None] == []


@pytest.mark.parametrize(("old", "new"), list(itertools.permutations(EVERY, 2)))
def test_t12_a_roll_over_between_algorithms_opens_nothing(
    private: tuple[PrivateKey, ...], old: Algorithm, new: Algorithm
) -> None:
    token = jwt.encode(ring_of(private, old), CLAIMS, NOW, encrypt=False)
    ring = ring_of(private, new)
    known = [key for key in private if key.algorithm in (old, new)]

    assert [name for name, forged in forgeries(token, known) if jwt.decode(ring, forged, encrypted=False)] == []
    # A secret key verifies only while it signs; a published one as long as it is published.
    assert jwt.decode(ring, token, encrypted=False) == (None if old is Algorithm.HS256 else CLAIMS)


@pytest.mark.parametrize("algorithm", EVERY)
def test_t13_a_header_that_we_would_not_have_written_is_refused_though_our_key_signed_it(
    private: tuple[PrivateKey, ...], algorithm: Algorithm
) -> None:
    ring = ring_of(private, algorithm)
    made = misfits(signer_of(private, algorithm), CLAIMS)
    assert [name for name, token in made if jwt.decode(ring, token, encrypted=False) is not None] == []


def test_t12_an_older_secret_key_still_verifies_and_an_unknown_one_does_not(private: tuple[PrivateKey, ...]) -> None:
    ring = ring_of(private, Algorithm.HS256)
    assert jwt.decode(ring, Signer.of_secret(SECRETS.keys[1]).sign(CLAIMS), encrypted=False) == CLAIMS
    unknown = SecretKeys.of(["zq7canary-unknown-" + "u" * 32]).newest
    assert jwt.decode(ring, Signer.of_secret(unknown).sign(CLAIMS), encrypted=False) is None
    dressed_up = Signer(f"hs256-{SECRETS.newest.fingerprint.hex()}", Algorithm.HS256, unknown.derive("hs256"))
    assert jwt.decode(ring, dressed_up.sign(CLAIMS), encrypted=False) is None


WATCHED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from propusk.crypto import jwt
from propusk.crypto.keyfiles import read_keys
from propusk.crypto.keyring import KeyRing, PublicKey
from propusk.crypto.secrets import SecretKeys
from propusk.settings import Algorithm

private = read_keys(Path(sys.argv[1]))
public = {k.kid: PublicKey(k.kid, k.algorithm, k.public_jwk, datetime.now(UTC)) for k in private}
ring = KeyRing(Algorithm.EDDSA, SecretKeys.of(["zq7canary" * 5]), private, public)
first, *rest = Path(sys.argv[2]).read_text().splitlines()
assert jwt.decode(ring, first, encrypted=False) is not None
jwt.decode(ring, first, encrypted=True)
seen = []
sys.addaudithook(lambda event, _: seen.append(event))
for token in rest:
    for encrypted in (False, True):
        jwt.decode(ring, token, encrypted=encrypted)
bad = [e for e in seen if e == "open" or e.startswith(("socket.", "subprocess.", "os.", "urllib.", "http.", "ctypes."))]
sys.exit(", ".join(sorted(set(bad))) if bad else 0)
"""


def test_t13_verifying_opens_no_socket_and_no_file(
    private: tuple[PrivateKey, ...], signing_key_file: Path, tmp_path: Path
) -> None:
    signer = signer_of(private, Algorithm.EDDSA)
    made = [signer.sign(CLAIMS), *(token for _, token in forgeries(signer.sign(CLAIMS), private))]
    made += [token for _, token in misfits(signer, CLAIMS)]
    tokens = tmp_path / "tokens"
    tokens.write_text("\n".join(token for token in made if "\n" not in token and token.isascii()))
    ran = subprocess.run(
        [sys.executable, "-c", WATCHED, signing_key_file, tokens],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def encrypted(plain: bytes, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A JWE that our real key made, with another header."""
    kid, key = next(iter(KeyRing(Algorithm.EDDSA, SECRETS).encryption_keys().items()))
    full = header or {"alg": "dir", "enc": "A256GCM", "cty": "JWT", "kid": kid, **changes}
    full = {name: value for name, value in full.items() if value is not ...}
    everything = jwe.JWERegistry(algorithms=[*jwe.JWERegistry.recommended, "dir", "A256GCM", "DEF"])
    return jwe.encrypt_compact(full, plain, key, registry=everything)


def test_t17_an_encrypted_token_has_exactly_our_header(private: tuple[PrivateKey, ...]) -> None:
    ring = ring_of(private, Algorithm.EDDSA)
    inner = jwt.encode(ring, CLAIMS, NOW, encrypt=False)
    assert jwt.decode(ring, encrypted(inner.encode()), encrypted=True) == CLAIMS

    for changes in ({"zip": "DEF"}, {"cty": "jwt"}, {"cty": ...}, {"kid": ...}, {"kid": "x"}, {"typ": "JWT"}):
        assert jwt.decode(ring, encrypted(inner.encode(), **changes), encrypted=True) is None, changes


def test_t17_nothing_but_one_signed_token_is_found_inside(private: tuple[PrivateKey, ...]) -> None:
    ring = ring_of(private, Algorithm.EDDSA)
    inner = jwt.encode(ring, CLAIMS, NOW, encrypt=False)
    nested = encrypted(inner.encode())
    for _ in range(9):
        assert jwt.decode(ring, nested := encrypted(nested.encode()), encrypted=True) is None
    for plain in (compact(CLAIMS), b"", b"\xff" * 10, b"{}", inner.encode() + b"\n", inner.encode("utf-16")):
        assert jwt.decode(ring, encrypted(plain), encrypted=True) is None


def test_t17_no_other_way_to_agree_on_a_key_is_tried(private: tuple[PrivateKey, ...]) -> None:
    ring = ring_of(private, Algorithm.EDDSA)
    inner = jwt.encode(ring, CLAIMS, NOW, encrypt=False).encode()
    kid, key = next(iter(ring.encryption_keys().items()))
    rsa = RSAKey.import_key(next(k for k in private if k.algorithm is Algorithm.RS256).jwk.as_dict(private=False))
    made = {
        "A256KW": jwe.encrypt_compact({"alg": "A256KW", "enc": "A256GCM", "cty": "JWT", "kid": kid}, inner, key),
        "RSA-OAEP": jwe.encrypt_compact({"alg": "RSA-OAEP", "enc": "A256GCM", "cty": "JWT", "kid": kid}, inner, rsa),
        "unknown secret": jwe.encrypt_compact(
            {"alg": "dir", "enc": "A256GCM", "cty": "JWT", "kid": kid}, inner, OctKey.import_key(b"x" * 32)
        ),
    }
    for algorithm, extra in (
        ("PBES2-HS256+A128KW", {"p2c": 2**31, "p2s": "AAAA"}),
        ("RSA1_5", {}),
        ("ECDH-ES", {"epk": {"kty": "EC"}}),
        ("none", {}),
    ):
        header = {"alg": algorithm, "enc": "A256GCM", "cty": "JWT", "kid": kid, **extra}
        made[algorithm] = f"{b64(compact(header))}.AAAA.{b64(bytes(12))}.{b64(inner)}.{b64(bytes(16))}"
    for name, token in made.items():
        assert jwt.decode(ring, token, encrypted=True) is None, name


def test_t17_every_part_of_an_encrypted_token_is_authenticated(private: tuple[PrivateKey, ...]) -> None:
    ring = ring_of(private, Algorithm.ES256)
    token = jwt.encode(ring, CLAIMS, NOW, encrypt=True)
    assert token.count(".") == 4
    for at in range(0, len(token), 7):
        other = "A" if token[at] != "A" else "B"
        assert jwt.decode(ring, token[:at] + other + token[at + 1 :], encrypted=True) is None, at


@pytest.mark.parametrize(
    "bomb", ["A" * 2**20, "." * 2**20, ("." * 8190) + "A", "eyJ" + "A" * 8000 + "." * 4, "A." * 4000]
)
@pytest.mark.parametrize("encrypted", [False, True])
def test_t17_a_bomb_costs_nothing(private: tuple[PrivateKey, ...], bomb: str, encrypted: bool) -> None:
    ring = ring_of(private, Algorithm.EDDSA)
    jwt.decode(ring, bomb[:20], encrypted=encrypted)
    assert jwt.decode(ring, bomb, encrypted=encrypted) is None
    # Of a thousandth of a second or so.
    assert least_cost(lambda: jwt.decode(ring, bomb, encrypted=encrypted)) < 0.05
    tracemalloc.start()
    try:
        assert jwt.decode(ring, bomb, encrypted=encrypted) is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@given(token=st.text(max_size=60) | st.lists(st.text("AZaz09-_={}\"'.", max_size=20), max_size=6).map(".".join))
@settings(max_examples=300)
def test_t18_whatever_the_text_a_token_is_read_or_not(token: str) -> None:
    ring = KeyRing(Algorithm.HS256, SECRETS)
    assert jwt.decode(ring, token, encrypted=False) is None
    assert jwt.decode(ring, token, encrypted=True) is None


CHANGED: list[tuple[str, Any]] = [
    *((name, ...) for name in CLAIMS),
    *((name, value) for name in CLAIMS for value in (None, True, [], {}, "", 1.5, [CLAIMS[name]], {"a": CLAIMS[name]})),
    *(("exp", value) for value in (str(SECONDS + 600), SECONDS + 600.0, -1, 0, 10**12, SECONDS, SECONDS - 1)),
    *(("iat", value) for value in (SECONDS + 31, -(10**10), str(SECONDS), float(SECONDS), SECONDS - 10**9)),
    *(("nbf", value) for value in (SECONDS + 31, str(SECONDS), None, True, float(SECONDS), 10**400)),
    *(
        ("iss", value)
        for value in (ISSUER + "/", ISSUER.upper(), ISSUER[:-1], ISSUER + ".evil.example", "http" + ISSUER[5:])
    ),
    *(("aud", value) for value in (ISSUER + "/", [ISSUER, "x"], [ISSUER], ISSUER.upper(), "x" + ISSUER, ISSUER + " ")),
    *(("client_id", value) for value in (ISSUER + "/", ISSUER.title(), "other")),
    *(
        (name, value)
        for name in ("sub", "sid")
        for value in (
            SUB.upper(),
            SUB.replace("-", ""),
            f"{{{SUB}}}",
            f"urn:uuid:{SUB}",
            SUB + "\n",
            " " + SUB,
            "ada",
            7,
        )
    ),
]


@pytest.mark.parametrize(("name", "value"), CHANGED)
def test_t16_a_claim_that_is_not_exactly_ours_is_refused_though_our_key_signed_it(
    name: str, value: Any, private: tuple[PrivateKey, ...], tmp_path: Path
) -> None:
    if name == "exp" and value == 10**12:
        value = SECONDS + 10**9 + 1
    claims = {key: val for key, val in {**CLAIMS, name: value}.items() if val is not ...}
    token = signer_of(private, Algorithm.EDDSA).sign(claims)
    reader = AccessTokens(make_settings("sqlite:///x.db", tmp_path, public_url=ISSUER))
    assert reader.read(ring_of(private, Algorithm.EDDSA), token, NOW) is None


@pytest.mark.parametrize(
    "payload",
    [
        compact(CLAIMS)[:-1] + b',"exp":9999999999}',
        compact(CLAIMS)[:-1] + f',"sub":"{SUB}"}}'.encode(),
        compact(CLAIMS).replace(str(SECONDS + 600).encode(), b"NaN"),
        compact(CLAIMS).replace(str(SECONDS + 600).encode(), b"Infinity"),
        compact(CLAIMS).replace(str(SECONDS + 600).encode(), b"1e30"),
        compact(CLAIMS).replace(str(SECONDS + 600).encode(), b"9" * 5000),
        compact(CLAIMS)[:-1] + b',"x":' + b"[" * 60 + b"]" * 60 + b"}",
        compact(CLAIMS)[:-1] + b',"x":"\xff"}',
        b"[" + compact(CLAIMS) + b"]",
        b"\xef\xbb\xbf" + compact(CLAIMS),
        compact(CLAIMS) + b"{}",
        b'"' + compact(CLAIMS).hex().encode() + b'"',
    ],
)
def test_t16_a_payload_with_two_meanings_is_refused_though_our_key_signed_it(
    payload: bytes, private: tuple[PrivateKey, ...], tmp_path: Path
) -> None:
    token = signer_of(private, Algorithm.EDDSA).sign(payload)
    reader = AccessTokens(make_settings("sqlite:///x.db", tmp_path, public_url=ISSUER))
    assert reader.read(ring_of(private, Algorithm.EDDSA), token, NOW) is None


@pytest.mark.parametrize(
    ("moved", "accepted"),
    [
        (-86400, False),
        (-31, False),
        (-30, True),
        (-29, True),
        (0, True),
        (29, True),
        (599, True),
        (600, False),
        (631, False),
    ],
)
def test_t16_the_leeway_is_thirty_seconds_and_for_the_future_only(moved: int, accepted: bool) -> None:
    now = NOW.replace(microsecond=0) + timedelta(seconds=moved)
    assert (check_claims(CLAIMS, issuer=ISSUER, audience=ISSUER, now=now) is not None) is accepted


def test_t16_a_token_that_was_read_before_is_not_accepted_after_its_end(
    private: tuple[PrivateKey, ...], tmp_path: Path
) -> None:
    ring = ring_of(private, Algorithm.EDDSA)
    token = jwt.encode(ring, CLAIMS, NOW, encrypt=False)
    reader = AccessTokens(make_settings("sqlite:///x.db", tmp_path, public_url=ISSUER))
    assert reader.read(ring, token, NOW) is not None
    assert reader.read(ring, token, NOW + timedelta(seconds=599.8)) is not None
    assert reader.read(ring, token, NOW + timedelta(seconds=600)) is None


def test_t57_a_token_that_was_read_before_is_not_accepted_once_its_key_is_gone(
    private: tuple[PrivateKey, ...], tmp_path: Path
) -> None:
    ring = ring_of(private, Algorithm.EDDSA)
    token = jwt.encode(ring, CLAIMS, NOW, encrypt=False)
    reader = AccessTokens(make_settings("sqlite:///x.db", tmp_path, public_url=ISSUER))
    assert reader.read(ring, token, NOW) is not None
    kid = json.loads(unb64(token.split(".")[0]))["kid"]
    without = KeyRing(ring.algorithm, SECRETS, private, {k: v for k, v in ring.public.items() if k != kid})
    assert reader.read(without, token, NOW) is None


def test_what_is_remembered_of_tokens_is_bounded(private: tuple[PrivateKey, ...], tmp_path: Path) -> None:
    ring = ring_of(private, Algorithm.EDDSA)
    reader = AccessTokens(make_settings("sqlite:///x.db", tmp_path, public_url=ISSUER), size=3)
    tokens = [jwt.encode(ring, {**CLAIMS, "jti": f"zq7canary{n}"}, NOW, encrypt=False) for n in range(10)]
    for token in [*tokens, *tokens]:
        assert reader.read(ring, token, NOW) is not None
    assert len(reader._seen) == 3


def test_without_a_usable_key_nothing_is_signed(private: tuple[PrivateKey, ...]) -> None:
    with pytest.raises(jwt.NoSigningKey):
        jwt.encode(KeyRing(Algorithm.EDDSA, SECRETS, private), CLAIMS, NOW, encrypt=False)
