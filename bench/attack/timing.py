"""Does the time of an answer tell? Two samples, interleaved, compared by their medians and by the Mann-Whitney test."""

import asyncio
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from bench.attack.row import Attack
from tests.process.people import login, new_address, new_person
from tests.process.town import Town
from tests.process.wire import Ask, Wire, once

WARM_UP, SAMPLES, RUNS = 50, 300, 3
DIFFERENCE, REJECTS = 0.05, 0.01
"""Medians may differ by so much of the smaller; the test rejects below this p."""


def p_value(one: Sequence[float], other: Sequence[float]) -> float:
    """Of the two-sided Mann-Whitney U test, by the normal approximation; times hardly ever tie."""
    ranked = sorted((value, n) for n, sample in enumerate((one, other)) for value in sample)
    ranks = sum(rank for rank, (_, n) in enumerate(ranked, 1) if n == 0)
    a, b = len(one), len(other)
    u = ranks - a * (a + 1) / 2
    z = (u - a * b / 2) / math.sqrt(a * b * (a + b + 1) / 12)
    return math.erfc(abs(z) / math.sqrt(2))


@dataclass(frozen=True)
class Comparison:
    """How two samples compare."""

    medians: tuple[float, float]
    p: float

    @property
    def is_telling(self) -> bool:
        """Whether an attacker learns something."""
        return self.difference >= DIFFERENCE or self.p < REJECTS

    @property
    def difference(self) -> float:
        return abs(self.medians[0] - self.medians[1]) / min(self.medians)


async def of_its_answer(wire: Wire, request: Ask) -> float:
    """Seconds until a request is answered."""
    begun = time.perf_counter()
    await wire.ask(request)
    return time.perf_counter() - begun


Stopwatch = Callable[[Wire, Ask], Awaitable[float]]


async def compare(port: int, one: Ask, other: Ask, *, time_of: Stopwatch, samples: int) -> Comparison:
    """Ask both in turn on one connection: A B B A, so that neither always comes first."""
    wire = await Wire.open(port)
    times: tuple[list[float], list[float]] = ([], [])
    try:
        for n in range(WARM_UP + samples):
            pair = list(zip((one, other), times, strict=True))
            for request, found in pair if n % 2 else reversed(pair):
                value = await time_of(wire, request)
                if n >= WARM_UP:
                    found.append(value)
    finally:
        await wire.close()
    return Comparison((statistics.median(times[0]), statistics.median(times[1])), p_value(*times))


def measure(
    port: int, one: Ask, other: Ask, *, time_of: Stopwatch = of_its_answer, samples: int = SAMPLES
) -> tuple[bool, str]:
    """Three runs: whether two of them tell, and their numbers."""

    async def run() -> list[Comparison]:
        return [await compare(port, one, other, time_of=time_of, samples=samples) for _ in range(RUNS)]

    runs = asyncio.run(run())
    text = "; ".join(
        f"{1000 * r.medians[0]:.2f} and {1000 * r.medians[1]:.2f} ms ({100 * r.difference:.1f} %, p = {r.p:.2f})"
        for r in runs
    )
    return sum(run.is_telling for run in runs) > RUNS // 2, text


def tells(port: int, one: Ask, other: Ask, *, time_of: Stopwatch = of_its_answer, samples: int = SAMPLES) -> str:
    """The numbers of three runs, two of which must not tell."""
    told, text = measure(port, one, other, time_of=time_of, samples=samples)
    assert not told, f"time tells: {text}"
    return text


def timings(town: Town) -> Iterator[Attack]:
    """Against one worker that hashes at full cost, with the limits off."""
    port, against = town.port, f"{town.backend.name}, 1 worker, full hashing"
    known, passwordless, disabled, foreign, own = asyncio.run(_cast(town))
    wrong = login(known, "zq7canary wrong horse")
    pairs = {
        "unknown address or wrong password": login(new_address()),
        "account without a password or wrong password": login(passwordless, "zq7canary wrong horse"),
        "disabled account or wrong password": login(disabled, "zq7canary wrong horse"),
        "over-long password or wrong password": login(known, "zq7canary " * 1000),
    }
    for what, other in pairs.items():
        yield Attack("T01", f"by time: {what}", against, partial(tells, port, other, wrong))
    unknown = Ask("DELETE", f"/auth/sessions/{uuid4()}", token=own)
    theirs = Ask("DELETE", f"/auth/sessions/{foreign}", token=own)
    yield Attack("T28", "by time: another's session or none", against, partial(tells, port, theirs, unknown))


async def _cast(town: Town) -> tuple[str, str, str, str, str]:
    """A known address, one without a password, a disabled one, a session of somebody's, a token of somebody else's."""
    people = [await new_person(town.port) for _ in range(4)]
    await town.records.make_superusers(people[3].id)
    admin = await people[3].log_in()
    created = await once(town.port, Ask("POST", "/users", token=admin.access, body={"email": new_address()}))
    assert created.status == 201, created.body
    path = f"/users/{people[1].id}"
    assert (await once(town.port, Ask("PATCH", path, token=admin.access, body={"is_active": False}))).status == 200
    theirs, own = await people[0].log_in(), await people[2].log_in()
    return people[0].email, created.json()["email"], people[1].email, theirs.session_id, own.access
