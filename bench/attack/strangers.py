"""Does time tell a stranger who has an account? What anybody may ask for with an address, known and unknown."""

import asyncio
from collections.abc import Iterator
from functools import partial

from bench.attack.row import Attack
from bench.attack.timing import SAMPLES, of_its_answer, tells
from tests.process.people import new_address, new_person, register
from tests.process.test_worker import worker
from tests.process.town import Town
from tests.process.wire import Ask, Wire, once

PAUSE = 0.02
"""Seconds of rest before the next request: without it, the mails of the last ones would drown what this one costs."""


def strangers(town: Town, scale: float) -> Iterator[Attack]:
    """Against one worker that hashes at full cost, with the limits off: first it sends the mails itself, then
    `propusk worker` does so beside it, and registration is private.
    """
    known, unknown = asyncio.run(new_person(town.port)).email, new_address()
    forgot = _forgot(known), _forgot(unknown)
    verify = _verify(known), _verify(unknown)
    samples = max(20, round(SAMPLES * scale))
    against = f"{town.backend.name}, 1 worker, full hashing"
    for what, (one, other) in (("forgot-password", forgot), ("request-verify-token", verify)):
        held = partial(tells, town.port, one, other, time_of=_rested, samples=samples)
        yield Attack("T02", f"by time: {what}, known address or unknown", f"{against}, jobs_inline", held)
    held = partial(tells, town.port, *forgot, time_of=_of_the_next, samples=samples)
    what_next = "by time of the request right after forgot-password, known address or unknown"
    yield Attack("T02", what_next, f"{against}, jobs_inline", held)

    town.service.stop()
    town.service.env |= {"PROPUSK_JOBS_INLINE": "false", "PROPUSK_PRIVATE_REGISTRATION": "true"}
    town.service.start()
    with worker(town.service):
        against += ", propusk worker beside it"
        pairs = {
            "private registration, taken address or free": (register(known), register(unknown)),
            "forgot-password, known address or unknown": forgot,
            "request-verify-token, known address or unknown": verify,
        }
        asyncio.run(_all_are_accepted(town.port, *(request for pair in pairs.values() for request in pair)))
        for what, (one, other) in pairs.items():
            held = partial(tells, town.port, one, other, time_of=_rested, samples=samples)
            yield Attack("T02", f"by time: {what}", against, held)
        held = partial(tells, town.port, *forgot, time_of=_of_the_next, samples=samples)
        yield Attack("T02", what_next, against, held)


def _forgot(email: str) -> Ask:
    return Ask("POST", "/auth/forgot-password", body={"email": email})


def _verify(email: str) -> Ask:
    return Ask("POST", "/auth/request-verify-token", body={"email": email})


async def _rested(wire: Wire, request: Ask) -> float:
    found = await of_its_answer(wire, request)
    await asyncio.sleep(PAUSE)
    return found


async def _of_the_next(wire: Wire, request: Ask) -> float:
    """Times what is asked right behind a request, while its mail is written, if it is."""
    await wire.ask(request)
    return await _rested(wire, _forgot("stranger@example.com"))


async def _all_are_accepted(port: int, *requests: Ask) -> None:
    """What is refused would compare well, too."""
    for request in requests:
        answer = await once(port, request)
        assert answer.status == 202, (request.path, answer.status, answer.body)
