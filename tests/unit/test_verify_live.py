"""Live verification: the issuer is asked for each request, after it arrived, and nothing else counts."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from propusk.verify import InvalidToken, IssuerUnavailable, Request, Response, TokenVerifier
from tests.verifying import AUDIENCE, CLAIMS, ISSUER, SID, SUB, FakeIssuer, Timer, verifier_of

SECRET = "zq7canary:secret +ж"
TOKEN = "aaa.bbb.ccc"


def answers(**changes: Any) -> Response:
    """What the issuer says of a live token."""
    body = {"active": True, "token_type": "access_token", **CLAIMS, **changes}
    return Response(200, {}, json.dumps({name: value for name, value in body.items() if value is not ...}).encode())


INACTIVE = Response(200, {}, b'{"active": false}')


def live(http: Any, **options: Any) -> TokenVerifier:
    return verifier_of(http, live=True, client_id="shop", client_secret=SECRET, **{"timeout": 60, **options})


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_issuer_is_asked_each_time_as_rfc_7662_says() -> None:
    issuer = FakeIssuer(answers())
    verifier = live(issuer)
    for _ in range(2):
        token = await verifier.verify(TOKEN)
        assert (token.subject, token.session_id, token.audience) == (SUB, SID, AUDIENCE)
    assert len(issuer.asked) == 2
    asked = issuer.asked[0]
    assert (asked.method, asked.url) == ("POST", f"{ISSUER}/auth/introspect")
    assert parse_qs(asked.body.decode()) == {"token": [TOKEN]}
    scheme, _, pair = asked.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"shop:zq7canary%3Asecret+%2B%D0%B6")
    assert "zq7canary" not in repr(asked)


async def test_an_encrypted_token_is_asked_about_as_well() -> None:
    assert (await live(FakeIssuer(answers())).verify("aaa..bbb.ccc.ddd")).subject == SUB


@pytest.mark.parametrize(
    "answer",
    [
        INACTIVE,
        answers(active=False),
        *(answers(token_type=kind) for kind in ("refresh_token", "Bearer", ..., None)),
        *(answers(iss=value) for value in (ISSUER + "/", ..., [ISSUER])),
        *(answers(aud=value) for value in ("other", ..., [AUDIENCE])),
        *(answers(**{name: ...}) for name in ("sub", "sid", "jti", "iat", "exp", "client_id")),
        answers(exp=CLAIMS["iat"] - 31),
    ],
)
async def test_t15_what_is_no_live_access_token_for_us_is_refused(answer: Response) -> None:
    with pytest.raises(InvalidToken):
        await live(FakeIssuer(answer)).verify(TOKEN)


@pytest.mark.parametrize("token", ["prt1_" + "A" * 60, "a", "a.b", "", "a.b.c d", "a" * 8193, "a.b.c\n", "é.b.c"])
async def test_what_cannot_be_an_access_token_is_not_asked_about(token: str) -> None:
    issuer = FakeIssuer(answers())
    with pytest.raises(InvalidToken):
        await live(issuer).verify(token)
    assert issuer.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        *(OSError("away"), TimeoutError(), RuntimeError("of the host's own client")),
        *(Response(status, {}, answers().body) for status in (201, 302, 400, 401, 403, 429, 500, 503)),
        *(Response(200, {}, body) for body in (b"", b"{}", b"[]", b"true", b"<html>", b'{"active": "true"}')),
        *(
            Response(200, {}, body)
            for body in (b'{"active": 1}', b'{"active": null}', b'{"active":true,"active":false}')
        ),
        Response(200, {}, b'{"active": true, "x": "' + b"x" * 65536 + b'"}'),
    ],
)
async def test_whatever_else_the_issuer_says_lets_nobody_in(answer: Response | Exception) -> None:
    with pytest.raises(IssuerUnavailable) as refused:
        await live(FakeIssuer(answer)).verify(TOKEN)
    assert refused.value.__context__ is None


async def test_an_issuer_that_does_not_answer_is_given_up_in_time() -> None:
    issuer = FakeIssuer(answers())
    issuer.gate.clear()
    verifier = live(issuer, timeout=1)
    started = asyncio.get_running_loop().time()
    outcomes = await asyncio.gather(*(verifier.verify(TOKEN) for _ in range(100)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {IssuerUnavailable}
    assert 0.95 < asyncio.get_running_loop().time() - started < 50, "all of them at the same time"
    issuer.gate.set()
    await settle()
    assert (await verifier.verify(TOKEN)).subject == SUB


async def test_t23_who_comes_while_a_question_is_on_its_way_gets_a_later_answer() -> None:
    issuer = FakeIssuer(answers())
    issuer.gate.clear()
    verifier = live(issuer)
    early = asyncio.create_task(verifier.verify(TOKEN))
    await settle()
    assert len(issuer.asked) == 1
    issuer.answer = INACTIVE  # the session ends now; the answer on its way does not know
    late = [asyncio.create_task(verifier.verify(TOKEN)) for _ in range(50)]
    await settle()
    assert len(issuer.asked) == 1
    issuer.gate.set()
    assert (await early).subject == SUB
    outcomes = await asyncio.gather(*late, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {InvalidToken}
    assert len(issuer.asked) == 2, "fifty share one question"


async def test_t23_no_answer_is_older_than_the_request_that_it_serves() -> None:
    """At random: the issuer's state changes all the time; each request must see a state from after its arrival."""
    states: list[int] = [0]

    async def issuer(_: Request) -> Response:
        state = states[-1]
        await asyncio.sleep(0.001)
        return answers(state=state)

    verifier = live(issuer)

    async def request(number: int) -> None:
        await asyncio.sleep(number % 17 / 2000)
        at = len(states) - 1
        assert (await verifier.verify(TOKEN)).claims["state"] >= at

    async def change() -> None:
        for number in range(1, 200):
            states.append(number)
            await asyncio.sleep(0.0005)

    await asyncio.gather(change(), *(request(number) for number in range(300)))


async def test_questions_about_other_tokens_are_not_held_up_and_not_without_bound() -> None:
    issuer = FakeIssuer(answers())
    issuer.gate.clear()
    verifier = live(issuer)
    tasks = [asyncio.create_task(verifier.verify(f"aaa.bbb.c{number}")) for number in range(100)]
    await settle()
    assert len(issuer.asked) == 32
    issuer.gate.set()
    assert len({token.subject for token in await asyncio.gather(*tasks)}) == 1
    assert len(issuer.asked) == 100


async def test_a_client_that_goes_away_takes_the_question_of_others_not_along() -> None:
    issuer = FakeIssuer(answers())
    issuer.gate.clear()
    verifier = live(issuer)
    first, second = (asyncio.create_task(verifier.verify(TOKEN)) for _ in range(2))
    await settle()
    assert len(issuer.asked) == 1
    first.cancel()
    await settle()
    issuer.gate.set()
    assert (await second).subject == SUB
    await settle()


def test_a_live_verifier_serves_one_event_loop_after_another() -> None:
    issuer = FakeIssuer(answers())
    verifier = live(issuer, timer=Timer(), timeout=20)

    async def left_on_its_way() -> None:
        issuer.gate.clear()
        task = asyncio.create_task(verifier.verify(TOKEN))
        await settle()
        task.cancel()

    asyncio.run(left_on_its_way())
    issuer.gate = asyncio.Event()
    issuer.gate.set()
    for _ in range(2):
        assert asyncio.run(verifier.verify(TOKEN)).subject == SUB
