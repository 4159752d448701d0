"""The verifier against forged, mistaken and oversized tokens; what it opens and what it imports."""

import json
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import thread_time
from typing import Any

import pytest

from propusk.crypto.keyfiles import read_keys
from propusk.crypto.keyring import PrivateKey
from propusk.crypto.secrets import SecretKeys
from propusk.settings import Algorithm
from propusk.verify import AccessToken, InvalidToken, IssuerUnavailable, TokenVerifier
from tests.forgeries import Signer, compact, forgeries, misfits
from tests.kit import SECRET_KEY
from tests.verifying import (
    AUDIENCE,
    CLAIMS,
    ISSUER,
    NOW,
    SECONDS,
    SID,
    SUB,
    FakeIssuer,
    key_set,
    publishes,
    sign,
    verifier_of,
)

PUBLIC = [Algorithm.EDDSA, Algorithm.ES256, Algorithm.RS256]
SECRETS = SecretKeys.of([SECRET_KEY])


@pytest.fixture(scope="module")
def private(signing_key_file: Path) -> tuple[PrivateKey, ...]:
    return read_keys(signing_key_file)


def key_of(private: tuple[PrivateKey, ...], algorithm: Algorithm) -> PrivateKey:
    return next(key for key in private if key.algorithm is algorithm)


async def refusal(verifier: TokenVerifier, token: str) -> str | None:
    """Why a token is refused as invalid, or None if it is accepted."""
    try:
        await verifier.verify(token)
    except InvalidToken as refused:
        return refused.reason
    return None


@pytest.mark.parametrize("algorithm", PUBLIC)
async def test_a_token_of_the_issuer_is_accepted(private: tuple[PrivateKey, ...], algorithm: Algorithm) -> None:
    issuer = FakeIssuer(publishes(*private))
    token = await verifier_of(issuer).verify(sign(key_of(private, algorithm), scope="orders:read b"))
    assert token == AccessToken(
        subject=SUB,
        session_id=SID,
        issuer=ISSUER,
        audience=AUDIENCE,
        client_id=AUDIENCE,
        issued_at=datetime.fromtimestamp(SECONDS, UTC),
        expires_at=datetime.fromtimestamp(SECONDS + 600, UTC),
        token_id="zq7canary",
        scope=frozenset({"orders:read", "b"}),
    )
    assert token.claims == {**CLAIMS, "scope": "orders:read b"}
    assert "zq7canary" not in repr(token)
    assert [request.url for request in issuer.asked] == [f"{ISSUER}/.well-known/jwks.json"]


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_t12_no_forgery_made_from_a_valid_token_is_accepted(
    private: tuple[PrivateKey, ...], algorithm: Algorithm
) -> None:
    verifier = verifier_of(FakeIssuer(publishes(*private)))
    if algorithm is Algorithm.HS256:
        token = Signer.of_secret(SECRETS.newest).sign(CLAIMS)
        assert await refusal(verifier, token) == "unknown key"
    else:
        token = sign(key_of(private, algorithm))
        assert await refusal(verifier, token) is None
    made = forgeries(token, private)
    assert len(made) >= 200
    assert [name for name, forged in made if await refusal(verifier, forged) is None] == []


@pytest.mark.parametrize("algorithm", PUBLIC)
async def test_t13_a_header_that_the_issuer_would_not_have_written_is_refused(
    private: tuple[PrivateKey, ...], algorithm: Algorithm
) -> None:
    verifier = verifier_of(FakeIssuer(publishes(*private)))
    made = misfits(Signer.of(key_of(private, algorithm)), CLAIMS)
    assert [name for name, token in made if await refusal(verifier, token) is None] == []


async def test_t12_an_algorithm_that_was_not_chosen_is_refused(private: tuple[PrivateKey, ...]) -> None:
    verifier = verifier_of(FakeIssuer(publishes(*private)), algorithms=["ES256"])
    assert await refusal(verifier, sign(key_of(private, Algorithm.ES256))) is None
    assert await refusal(verifier, sign(key_of(private, Algorithm.EDDSA))) == "unknown key"


CHANGED: list[tuple[str, Any]] = [
    *((name, ...) for name in CLAIMS),
    *((name, value) for name in CLAIMS for value in (None, True, [], {}, "", 1.5, [CLAIMS[name]], {"a": CLAIMS[name]})),
    *(("exp", value) for value in (str(SECONDS + 600), SECONDS + 600.0, -1, 0, 10**12, SECONDS - 30, SECONDS - 31)),
    *(("iat", value) for value in (SECONDS + 31, -(10**10), -1, str(SECONDS), float(SECONDS), SECONDS - 10**9)),
    *(("nbf", value) for value in (SECONDS + 31, str(SECONDS), None, True, float(SECONDS), 10**300)),
    *(
        ("iss", value)
        for value in (ISSUER + "/", ISSUER.upper(), ISSUER[:-1], ISSUER + ".evil.example", "http" + ISSUER[5:])
    ),
    *(("aud", value) for value in (AUDIENCE + "/", [AUDIENCE, "x"], AUDIENCE.upper(), "x" + AUDIENCE, AUDIENCE + " ")),
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
    *(("scope", value) for value in (None, "", [], ["a"], " a", "a  b", "a\tb", 'a"', "a\\", "ж", 1)),
]


@pytest.mark.parametrize(("name", "value"), CHANGED)
async def test_t16_a_claim_that_is_not_exactly_right_is_refused_though_the_issuer_signed_it(
    name: str, value: Any, private: tuple[PrivateKey, ...]
) -> None:
    verifier = verifier_of(FakeIssuer(publishes(*private)))
    why = await refusal(verifier, sign(private[0], **{name: value}))
    assert why is not None
    assert name in why or why in ("expired", "not valid yet", "iat and exp do not fit"), why


@pytest.mark.parametrize(
    "payload",
    [
        compact(CLAIMS)[:-1] + b',"exp":9999999999}',
        compact(CLAIMS).replace(str(SECONDS + 600).encode(), b"NaN"),
        compact(CLAIMS).replace(str(SECONDS + 600).encode(), b"1e30"),
        compact(CLAIMS).replace(str(SECONDS + 600).encode(), b"9" * 5000),
        compact(CLAIMS)[:-1] + b',"x":' + b"[" * 60 + b"]" * 60 + b"}",
        compact(CLAIMS)[:-1] + b',"x":"\xff"}',
        b"[" + compact(CLAIMS) + b"]",
        b"\xef\xbb\xbf" + compact(CLAIMS),
        compact(CLAIMS) + b"{}",
    ],
)
async def test_t16_a_payload_with_two_meanings_is_refused_though_the_issuer_signed_it(
    payload: bytes, private: tuple[PrivateKey, ...]
) -> None:
    verifier = verifier_of(FakeIssuer(publishes(*private)))
    assert await refusal(verifier, Signer.of(private[0]).sign(payload)) is not None


@pytest.mark.parametrize(
    ("leeway", "moved", "why"),
    [
        *[(30, -31, "not valid yet"), (30, -30, None), (30, 0, None), (30, 629, None), (30, 630, "expired")],
        *[(0, -1, "not valid yet"), (0, 0, None), (0, 599, None), (0, 600, "expired"), (30, 86400, "expired")],
    ],
)
async def test_t16_clocks_may_differ_by_the_leeway_in_either_direction(
    leeway: int, moved: int, why: str | None, private: tuple[PrivateKey, ...]
) -> None:
    now = NOW.replace(microsecond=0) + timedelta(seconds=moved)
    verifier = verifier_of(FakeIssuer(publishes(*private)), leeway=leeway, clock=lambda: now)
    assert await refusal(verifier, sign(private[0])) == why


@pytest.mark.parametrize("token", ["prt1_" + "A" * 60, "a.b", "a.b.c.d.e", "zq7canary", "", "..", "é.é.é", "a.b.c\n"])
async def test_t15_another_kind_of_token_is_refused(token: str, private: tuple[PrivateKey, ...]) -> None:
    assert await refusal(verifier_of(FakeIssuer(publishes(*private))), token) is not None


@pytest.mark.parametrize("typ", ["JWT", "rt+jwt", "id+jwt", "logout+jwt", "application/at+jwt"])
async def test_t15_another_type_is_refused_though_the_issuer_signed_it(
    typ: str, private: tuple[PrivateKey, ...]
) -> None:
    signer = Signer.of(private[0])
    token = signer.sign(CLAIMS, {**signer.header, "typ": typ})
    assert await refusal(verifier_of(FakeIssuer(publishes(*private))), token) == "no signed access token"


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    "bomb",
    ["A" * 2**20, "." * 2**20, ("." * 8190) + "A", "eyJ" + "A" * 8000 + "." * 4, "A." * 4000, "A" * 8192 + ".A.A"],
)
async def test_t17_a_bomb_costs_nothing_and_asks_nobody(bomb: str, live: bool, private: tuple[PrivateKey, ...]) -> None:
    issuer = FakeIssuer(publishes(*private))
    credentials = {"live": True, "client_id": "shop", "client_secret": "zq7canary"} if live else {}
    verifier = verifier_of(issuer, **credentials)
    await refusal(verifier, "a")
    costs = []
    for _ in range(3):  # a machine that stands still counts as work
        started = thread_time()
        assert await refusal(verifier, bomb if not live else bomb[:1] * 8193) is not None
        costs.append(thread_time() - started)
    assert min(costs) < 0.05  # of a thousandth of a second or so
    tracemalloc.start()
    try:
        assert await refusal(verifier, bomb if not live else bomb[:1] * 8193) is not None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    assert issuer.asked == []


async def test_t17_a_refusal_does_not_hold_the_token(private: tuple[PrivateKey, ...]) -> None:
    verifier = verifier_of(FakeIssuer(publishes(*private)))
    for _, token in forgeries(sign(private[0]), private)[::9]:
        with pytest.raises(InvalidToken) as refused:
            await verifier.verify(token)
        assert len(str(refused.value)) < 60
        assert refused.value.__context__ is None or "zq7canary" not in repr(refused.value.__context__)


WATCHED = """
import asyncio, sys
from pathlib import Path
from propusk.verify import InvalidToken, Response, TokenVerifier

async def issuer(request):
    return Response(200, {}, Path(sys.argv[1]).read_bytes())

async def main():
    verifier = TokenVerifier(sys.argv[3], sys.argv[4], http=issuer)
    first, *rest = Path(sys.argv[2]).read_text().splitlines()
    await verifier.verify(first)
    seen = []
    sys.addaudithook(lambda event, _: seen.append(event))
    await verifier.verify(first)
    for token in rest:
        try:
            await verifier.verify(token)
        except InvalidToken:
            continue
        sys.exit("accepted")
    return seen

bad = [e for e in asyncio.run(main()) if e.startswith(("open", "socket.", "subprocess.", "os.", "urllib.", "ctypes."))]
sys.exit(", ".join(sorted(set(bad))) if bad else 0)
"""


def test_t13_verifying_opens_no_socket_and_no_file(private: tuple[PrivateKey, ...], tmp_path: Path) -> None:
    signer = Signer.of(private[0])
    now = int(datetime.now(UTC).timestamp())
    claims = {**CLAIMS, "iat": now, "exp": now + 600}
    good = signer.sign(claims)
    made = [good, *(token for _, token in [*forgeries(good, private), *misfits(signer, claims)])]
    keys, tokens = tmp_path / "keys", tmp_path / "tokens"
    keys.write_bytes(key_set(private))
    tokens.write_text("\n".join(token for token in made if "\n" not in token and token.isascii()))
    command = [sys.executable, "-c", WATCHED, str(keys), str(tokens), ISSUER, AUDIENCE]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_importing_it_imports_little_and_nothing_else_of_ours() -> None:
    script = (
        "import sys, joserfc.jws, joserfc.jwk; before = set(sys.modules)\n"
        "import propusk.verify; print(*set(sys.modules) - before)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    imported = ran.stdout.split()
    ours = {name for name in imported if name.split(".")[0] == "propusk"}
    assert {".".join(name.split(".")[:2]) for name in ours} == {"propusk", "propusk.verify", "propusk.strict_json"}
    others = {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names) - {"propusk"}
    assert others == set(), "only joserfc"
    assert not {"asyncio", "ssl", "http.client"} & set(imported), "that is most of the time"


def test_making_a_verifier_imports_no_framework_and_no_database() -> None:
    script = (
        "import sys, joserfc.jws, joserfc.jwk; before = set(sys.modules)\n"
        "from propusk.verify import TokenVerifier\n"
        "TokenVerifier('https://a.example', 'b', live=True, client_id='c', client_secret='zq7canary')\n"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert set(ran.stdout.split()) - set(sys.stdlib_module_names) == {"h11", "propusk"}


@pytest.mark.parametrize(
    "options",
    [
        *({"issuer": url} for url in ("http://auth.example.com", "auth.example.com", "", "ftp://auth.example.com")),
        *(
            {"issuer": url}
            for url in ("https://", "https://a:b@auth.example.com", "https://a.example?x", "https://a.example#x")
        ),
        *({"issuer": url} for url in ("https://a.example/\n", "https://é.example", "https://a.example:99999")),
        {"jwks_url": "http://auth.example.com/keys"},
        {"introspection_url": "http://auth.example.com/ask"},
        {"audience": ""},
        {"leeway": 31},
        {"leeway": -1},
        *({"algorithms": value} for value in ([], ["HS256"], ["none"], ["EdDSA", "HS256"], "HS256", [None])),
        {"live": True},
        {"live": True, "client_id": "shop"},
        {"live": True, "client_id": "shop", "client_secret": ""},
        {"timeout": 0},
        {"refresh_floor": 0},
        {"max_stale": -1},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        TokenVerifier(**({"issuer": ISSUER, "audience": AUDIENCE} | options))


@pytest.mark.parametrize(
    "issuer", ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000", ISSUER + "/auth"]
)
def test_an_issuer_on_this_machine_needs_no_tls(issuer: str) -> None:
    TokenVerifier(issuer, AUDIENCE)
    TokenVerifier("http://auth.internal", AUDIENCE, allow_http=True)


async def test_without_any_keys_nobody_is_let_in(private: tuple[PrivateKey, ...]) -> None:
    for answer in (OSError("away"), publishes(), publishes(cache="max-age=1")):
        with pytest.raises(IssuerUnavailable):
            await verifier_of(FakeIssuer(answer)).verify(sign(private[0]))


@pytest.mark.parametrize(
    "changes",
    [
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": ...},
        {"alg": ["EdDSA"]},
        {"kty": "oct", "k": "AAAA"},
        {"crv": "X25519"},
        {"crv": "Ed448"},
        {"use": "enc"},
        {"kid": ...},
        {"kid": 7},
        {"kid": ""},
        {"x": "AAAA"},
        {"x": 7},
        {"x": ...},
    ],
)
async def test_t12_a_published_key_is_good_for_what_it_says_or_for_nothing(
    private: tuple[PrivateKey, ...], changes: dict[str, Any]
) -> None:
    key = key_of(private, Algorithm.EDDSA)
    jwk = {name: value for name, value in {**key.public_jwk, **changes}.items() if value is not ...}
    other = key_of(private, Algorithm.ES256)
    answer = publishes()
    document = json.dumps({"keys": [jwk, None, [], other.public_jwk]}).encode()
    verifier = verifier_of(FakeIssuer(type(answer)(200, {}, document)))
    assert await refusal(verifier, sign(key)) == "unknown key"
    assert await refusal(verifier, sign(other)) is None
