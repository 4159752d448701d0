"""The verifier's cache of keys: rarely asked for, never lost to a bad answer, not kept for ever."""

import asyncio
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from propusk.crypto.keyfiles import read_keys
from propusk.crypto.keyring import JWKS_MAX_AGE, STALE, PrivateKey, generate_key
from propusk.settings import Algorithm
from propusk.verify import InvalidToken, IssuerUnavailable, Request, Response, TokenVerifier
from tests.forgeries import Signer, b64
from tests.verifying import CLAIMS, FakeIssuer, Timer, key_set, publishes, sign, verifier_of


@pytest.fixture(scope="module")
def private(signing_key_file: Path) -> tuple[PrivateKey, ...]:
    return read_keys(signing_key_file)


NEW = generate_key(Algorithm.EDDSA)


def unknown(number: int, like: PrivateKey) -> str:
    """A token of a key that nobody has published."""
    return Signer(f"random-{number}", like.algorithm, Signer.of(like).key).sign(CLAIMS)


async def settle() -> None:
    """Let requests that nobody waits for come to their end."""
    for _ in range(5):
        await asyncio.sleep(0)


async def accepts(verifier: TokenVerifier, token: str) -> bool:
    """Whether it does; refusals for other causes than the token are errors."""
    try:
        await verifier.verify(token)
    except InvalidToken:
        return False
    return True


async def test_t14_a_thousand_unknown_keys_are_asked_about_once(private: tuple[PrivateKey, ...]) -> None:
    issuer, timer = FakeIssuer(publishes(*private)), Timer()
    verifier = verifier_of(issuer, timer=timer)
    assert await accepts(verifier, sign(private[0]))
    for moved, asked in ((0.0, 1), (9.9, 1), (0.1, 2), (0.0, 2)):
        timer.now += moved
        made = [unknown(number, private[0]) for number in range(1000)]
        assert not any(await asyncio.gather(*(accepts(verifier, token) for token in made)))
        assert len(issuer.asked) == asked
    assert await accepts(verifier, sign(private[0]))


async def test_t14_unknown_keys_ask_no_more_often_while_the_issuer_is_away(private: tuple[PrivateKey, ...]) -> None:
    issuer, timer = FakeIssuer(publishes(*private)), Timer()
    verifier = verifier_of(issuer, timer=timer)
    assert await accepts(verifier, sign(private[0]))
    issuer.answer = OSError("away")
    timer.now += 10
    for number in range(1000):
        with pytest.raises(IssuerUnavailable):  # it may be a new key: nobody can know
            await verifier.verify(unknown(number, private[0]))
    assert len(issuer.asked) == 2
    assert await accepts(verifier, sign(private[0]))


async def test_t14_a_new_key_is_asked_for_when_its_first_token_comes(private: tuple[PrivateKey, ...]) -> None:
    issuer, timer = FakeIssuer(publishes(private[0])), Timer()
    verifier = verifier_of(issuer, timer=timer)
    assert await accepts(verifier, sign(private[0]))
    issuer.answer = publishes(NEW, private[0])
    assert not await accepts(verifier, sign(NEW)), "the floor between two requests"
    timer.now += 10
    assert await accepts(verifier, sign(NEW))
    assert await accepts(verifier, sign(private[0]))


async def test_t14_requests_at_once_share_one_question(private: tuple[PrivateKey, ...]) -> None:
    issuer = FakeIssuer(publishes(*private))
    issuer.gate.clear()
    verifier = verifier_of(issuer)
    many = [asyncio.create_task(verifier.verify(sign(private[0]))) for _ in range(50)]
    await settle()
    many[0].cancel()  # a client that goes away takes the question of the others not along
    await settle()
    issuer.gate.set()
    results = await asyncio.gather(*many, return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["CancelledError", *["AccessToken"] * 49]
    assert len(issuer.asked) == 1


async def test_t14_a_rotation_behind_caches_refuses_no_token(private: tuple[PrivateKey, ...]) -> None:
    """The issuer's times: published for the caches' age and more before it signs; caches in between add their own."""
    timer, published_at = Timer(), 1200.0
    signs_from = published_at + (JWKS_MAX_AGE + STALE).total_seconds()

    def answer(_: Request) -> Response:
        # A shared cache in between, which holds an answer for as long as it may.
        made_at = 1000.0 + (timer.now - 1000.0) // 300 * 300
        keys = (NEW, private[0]) if made_at >= published_at else (private[0],)
        return publishes(*keys, age=str(int(timer.now - made_at)))

    issuer = FakeIssuer(answer)
    verifiers = [verifier_of(issuer, timer=timer) for _ in range(7)]
    for second in range(0, 1500, 5):
        timer.now = 1000.0 + second
        token = sign(NEW if timer.now >= signs_from else private[0])
        for number, verifier in enumerate(verifiers):
            if second % (5 * (number + 1)) == 0:
                assert await accepts(verifier, token), (second, number)
    assert len(issuer.asked) < 7 * 60


@pytest.mark.parametrize(
    ("cache", "age", "kept"),
    [
        *[("public, max-age=300", "0", 300), ("max-age=60", "", 60), ("MAX-AGE=60,public", "x", 60), ("", "", 300)],
        *[("max-age=300", "100", 200), ("max-age=300", "290", 30), ("max-age=5", "", 30), ("no-store", "", 30)],
        *[
            ("no-cache, max-age=900", "", 30),
            ("max-age=86400", "", 3600),
            ("s-maxage=600", "", 300),
            ("max-age=x", "", 300),
        ],
    ],
)
async def test_keys_are_kept_as_long_as_the_issuer_says_within_bounds(
    cache: str, age: str, kept: int, private: tuple[PrivateKey, ...]
) -> None:
    issuer, timer = FakeIssuer(publishes(*private, cache=cache, age=age)), Timer()
    verifier = verifier_of(issuer, timer=timer)
    token = sign(private[0])
    for moved, asked in ((0.0, 1), (kept * 0.8 - 0.1, 1), (0.2, 2)):
        timer.now += moved
        assert await accepts(verifier, token)
        await settle()
        assert len(issuer.asked) == asked, (moved, timer.now)


async def test_a_revoked_key_is_good_no_longer_than_the_cache(private: tuple[PrivateKey, ...]) -> None:
    issuer, timer = FakeIssuer(publishes(NEW, private[0])), Timer()
    verifier = verifier_of(issuer, timer=timer)
    assert await accepts(verifier, sign(NEW))
    issuer.answer = publishes(private[0])
    timer.now += 239
    assert await accepts(verifier, sign(NEW))
    timer.now += 61
    assert not await accepts(verifier, sign(NEW)), "lapsed keys are waited for, not used once more"


BAD: dict[str, Response | Exception] = {
    "empty": Response(200, {}, b'{"keys": []}'),
    "no body": Response(200, {}, b""),
    "huge": Response(200, {}, b'{"keys": [' + b" " * 65536 + b"]}"),
    "not JSON": Response(200, {}, b"<html>"),
    "two meanings": Response(200, {}, b'{"keys": [], "keys": []}'),
    "a list": Response(200, {}, b"[]"),
    "deep": Response(200, {}, b'{"keys":' + b"[" * 30000),
    "no list": Response(200, {}, b'{"keys": {}}'),
    "many": Response(200, {}, b'{"keys": [' + b"{}," * 100 + b"{}]}"),
    "no keys": Response(
        200, {}, b'{"keys": [1, "a", null, {}, {"kty": "oct", "k": "AAAA", "kid": "a", "alg": "HS256"}]}'
    ),
    "redirect": Response(302, {"location": "https://203.0.113.9/"}, b""),
    "not found": Response(404, {}, b""),
    "error": Response(500, {}, b""),
    "away": OSError("away"),
    "slow": TimeoutError(),
    "a fault": RuntimeError("of the host's own client"),
}


@pytest.mark.parametrize("kind", BAD)
async def test_t14_a_bad_answer_keeps_the_old_keys_for_a_bounded_time(
    kind: str, private: tuple[PrivateKey, ...]
) -> None:
    issuer, timer = FakeIssuer(publishes(*private)), Timer()
    verifier = verifier_of(issuer, timer=timer, max_stale=1000)
    token = sign(private[0])
    assert await accepts(verifier, token)
    issuer.answer = BAD[kind]
    for _ in range(99):
        timer.now += 10
        assert await accepts(verifier, token)
        await settle()
    assert 70 < len(issuer.asked) < 100, "asked again and again, no more than each 10 s"
    timer.now += 11
    with pytest.raises(IssuerUnavailable):
        await verifier.verify(token)
    issuer.answer = publishes(*private)
    timer.now += 10
    assert await accepts(verifier, token)


GOOD = key_set([NEW])


@pytest.mark.parametrize(
    "answer",
    [
        *(
            Response(status, {"location": "https://203.0.113.9/"}, GOOD)
            for status in (201, 206, 301, 302, 401, 404, 500)
        ),
        Response(200, {}, GOOD[:-1] + b" " * 65536 + b"}"),
        Response(200, {}, key_set([NEW, NEW])),
        Response(200, {}, key_set([NEW] * 101)),
    ],
)
async def test_t14_keys_in_a_bad_answer_are_not_used(answer: Response, private: tuple[PrivateKey, ...]) -> None:
    issuer, timer = FakeIssuer(publishes(*private)), Timer()
    verifier = verifier_of(issuer, timer=timer)
    assert await accepts(verifier, sign(private[0]))
    issuer.answer = answer
    timer.now += 10
    with pytest.raises(IssuerUnavailable):
        await verifier.verify(sign(NEW))
    assert await accepts(verifier, sign(private[0]))
    issuer.answer = Response(200, {}, GOOD)
    timer.now += 10
    assert await accepts(verifier, sign(NEW))


async def test_an_rsa_key_that_can_be_broken_is_not_used(private: tuple[PrivateKey, ...]) -> None:
    weak = Signer("weak", Algorithm.RS256, rsa.generate_private_key(65537, 1024))
    numbers = weak.key.public_key().public_numbers()
    jwk = {"kty": "RSA", "n": b64(numbers.n.to_bytes(128)), "e": "AQAB", "kid": "weak", "use": "sig", "alg": "RS256"}
    document = json.dumps({"keys": [jwk, private[0].public_jwk]}).encode()
    verifier = verifier_of(FakeIssuer(Response(200, {}, document)))
    assert not await accepts(verifier, weak.sign(CLAIMS))
    assert await accepts(verifier, sign(private[0]))


async def test_nobody_waits_for_an_issuer_that_is_known_to_be_away(private: tuple[PrivateKey, ...]) -> None:
    issuer, timer = FakeIssuer(publishes(*private)), Timer()
    verifier = verifier_of(issuer, timer=timer, timeout=1)
    token = sign(private[0])
    assert await accepts(verifier, token)
    issuer.gate.clear()
    timer.now += 300
    started = asyncio.get_running_loop().time()
    assert await accepts(verifier, token), "the first one waits until the time is out, once"
    assert asyncio.get_running_loop().time() - started > 0.95
    timer.now += 10
    at_once = [asyncio.create_task(accepts(verifier, token)) for _ in range(20)]
    await settle()
    assert [task.done() and task.result() for task in at_once] == [True] * 20
    assert len(issuer.asked) == 3
    issuer.gate.set()
    await settle()


async def test_the_first_keys_are_asked_for_each_second_until_they_are_there(private: tuple[PrivateKey, ...]) -> None:
    issuer, timer = FakeIssuer(OSError("away")), Timer()
    verifier = verifier_of(issuer, timer=timer)
    for moved, asked in ((0.0, 1), (0.5, 1), (0.5, 2)):
        timer.now += moved
        with pytest.raises(IssuerUnavailable):
            await verifier.verify(sign(private[0]))
        assert len(issuer.asked) == asked
    issuer.answer = publishes(*private)
    timer.now += 1
    assert await accepts(verifier, sign(private[0]))


def test_a_verifier_serves_one_event_loop_after_another(private: tuple[PrivateKey, ...]) -> None:
    timer = Timer()
    issuer = FakeIssuer(publishes(*private))
    verifier = verifier_of(issuer, timer=timer)

    async def left_on_its_way() -> None:
        issuer.gate.clear()
        task = asyncio.create_task(verifier.verify(sign(private[0])))
        await settle()
        task.cancel()

    asyncio.run(left_on_its_way())
    issuer.gate = asyncio.Event()
    issuer.gate.set()
    for _ in range(3):
        timer.now += 10
        assert asyncio.run(accepts(verifier, sign(private[0])))
