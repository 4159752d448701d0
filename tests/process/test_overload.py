"""More logins than there is hashing: the flood is turned away at once, and everybody else goes on."""

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from propusk.crypto.passwords import hashing_threads
from tests.kit import in_some_round
from tests.process.people import login, me, new_person
from tests.process.service import NO_LIMITS, Service
from tests.process.wire import Answer, Ask, Wire, connect, once, timed

pytestmark = pytest.mark.xdist_group("processes")
MEMORY_MIB = 19
COSTLY = {"PROPUSK_PASSWORD__MEMORY_KIB": str(MEMORY_MIB * 1024), "PROPUSK_PASSWORD__ITERATIONS": "2"}
FLOOD = 400
SLACK_MIB = 40
"""For the buffers of so many connections."""


@pytest.fixture
def costly(tmp_path: Path) -> Iterator[Service]:
    """One worker that hashes at full cost."""
    with Service(tmp_path, env={**NO_LIMITS, **COSTLY}) as service:
        yield service


def peak_mib(pid: int) -> float:
    """The most memory that the process ever held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


async def flood(port: int, email: str, *, source: str, count: int) -> list[tuple[float, Answer]]:
    """That many wrong logins at once from one address; when each was answered, in seconds from the start."""
    async with await connect(port, count, sources=[source]) as wires:
        begun = time.monotonic()

        async def one(wire: Wire) -> tuple[float, Answer]:
            answer = await wire.ask(login(email, "zq7canary wrong horse"))
            return time.monotonic() - begun, answer

        return list(await asyncio.gather(*(one(wire) for wire in wires)))


async def ping(port: int, request: Ask, stop: asyncio.Event) -> list[float]:
    """Ask again and again on one connection; the seconds that each answer took."""
    wire, times = await Wire.open(port), []
    while not stop.is_set():
        begun = time.monotonic()
        answer = await wire.ask(request)
        times.append(time.monotonic() - begun)
        assert answer.status == 200
        await asyncio.sleep(0.02)
    await wire.close()
    return times


async def test_t09_a_flood_of_logins_is_turned_away_and_the_rest_goes_on(costly: Service) -> None:
    person = await new_person(costly.port)
    one = await person.log_in()
    base, stop = peak_mib(costly.pid), asyncio.Event()
    pings = [
        asyncio.create_task(ping(costly.port, request, stop)) for request in (Ask("GET", "/healthz"), me(one.access))
    ]
    flooding = asyncio.create_task(flood(costly.port, person.email, source="127.0.0.2", count=FLOOD))
    await asyncio.sleep(0.5)
    owner = asyncio.create_task(once(costly.port, login(person.email), source="127.0.0.3"))
    answers = await flooding
    stop.set()
    turned_away = [(at, answer) for at, answer in answers if answer.code == "overloaded"]
    evaluated = [(at, answer) for at, answer in answers if answer.status == 401]
    # On a busy machine the queue takes longer than any request may.
    given_up = [(at, answer) for at, answer in answers if answer.code == "unavailable"]
    assert len(turned_away) + len(evaluated) + len(given_up) == FLOOD
    # Half of the queue of 256 is all that one network may have.
    assert 100 <= len(evaluated) + len(given_up) <= FLOOD * 3 // 4
    assert {(answer.status, answer.headers["retry-after"]) for _, answer in turned_away} == {(503, "1")}
    duration = max(at for at, _ in evaluated + given_up)
    assert max(at for at, _ in turned_away) < duration, "at once, not after the queue"
    found = await owner
    assert found.status == 200 or (given_up and found.code == "unavailable"), "nobody fills the queue for everybody"
    # Measured by the flood itself, which a busy machine slows down as much.
    for times in await asyncio.gather(*pings):
        assert len(times) > 10
        assert statistics.median(times) < duration / 5, "nobody waits in the queue who wants nothing hashed"
    assert peak_mib(costly.pid) < base + hashing_threads(1) * MEMORY_MIB + SLACK_MIB

    async def is_well() -> bool:
        answer, seconds = await timed(costly.port, login(person.email))
        assert answer.status == 200
        return seconds < duration / 2

    assert await in_some_round(is_well), "right after"


async def test_t09_nothing_is_hashed_for_who_has_hung_up(costly: Service) -> None:
    person = await new_person(costly.port)
    async with await connect(costly.port, 100, sources=["127.0.0.2"]) as wires:
        for wire in wires:
            wire.send(login(person.email, "zq7canary wrong horse").encode())
        while events(costly, "login_failed") == 0:
            await asyncio.sleep(0.02)
    assert (await once(costly.port, login(person.email), source="127.0.0.3")).status == 200
    # The owner's login waited behind all of them; what was hashed before may still be on its way to the disk.
    seen = -1
    while seen != (seen := events(costly, "login_failed")):
        await asyncio.sleep(2)
    assert seen < 90


def events(service: Service, kind: str) -> int:
    """How many such events were recorded."""
    with closing(sqlite3.connect(service.folder / "propusk-data" / "propusk.db")) as database:
        [[count]] = database.execute("SELECT count(*) FROM propusk_audit_events WHERE kind = ?", [kind])
    return int(count)
