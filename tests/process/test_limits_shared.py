"""Limits are counted once for all workers and nodes, before any hashing: a burst cannot outrun them."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.process.people import Login, login, new_address, refresh, register
from tests.process.town import WORKERS, Town, town_on
from tests.process.wire import Answer, Wires, connect_to_all, once, together

pytestmark = pytest.mark.xdist_group("clusters")
PAIR, REFRESH, REGISTER = 10, 60, 20
WRONG = "zq7canary wrong horse"
LIMITED = {
    "PROPUSK_LIMITS__LOGIN_PAIR": f"{PAIR}/15m",
    "PROPUSK_LIMITS__REFRESH": f"{REFRESH}/1d",
    "PROPUSK_LIMITS__REGISTER": f"{REGISTER}/1d",
}


@pytest.fixture(scope="module")
def limited(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Four workers with the usual limits for one account, one session and registrations from one network."""
    with town_on(database, tmp_path_factory.mktemp(f"limited_{database}"), settings=LIMITED) as town:
        yield town


def evaluated(answers: list[Answer]) -> int:
    """How many were checked against the password; the others were refused for their number, and told to wait."""
    for answer in answers:
        assert answer.status in (401, 429), answer.body
        assert answer.status == 401 or int(answer.headers["retry-after"]) > 0
    return [answer.status for answer in answers].count(401)


async def burst(wires: Wires, email: str) -> int:
    """Wrong logins for one account on every connection at once; returns how many were evaluated."""
    return evaluated(await together(wires, [login(email, WRONG)] * len(wires)))


async def test_t04_a_burst_of_logins_is_evaluated_no_more_often_than_the_limit(limited: Town) -> None:
    person = await new_person_within_limits(limited)
    async with await connect_to_all(limited.port, 100, workers=WORKERS) as wires:
        assert await burst(wires, person) == PAIR
    right = await once(limited.port, login(person))
    assert (right.status, right.code) == (429, "too_many_requests"), "the right one came last"


async def new_person_within_limits(town: Town) -> str:
    """Registered by the command line: the limit of registrations has a test of its own."""
    address = new_address()
    command = ("users", "create", "--email", address)
    done = await asyncio.to_thread(town.service.run, *command, stdin="zq7canary old horse\n")
    assert done.returncode == 0, done.stderr
    return address


async def test_t04_registrations_from_one_network_are_counted_over_all_workers(limited: Town) -> None:
    async with await connect_to_all(limited.port, 40, workers=WORKERS) as wires:
        answers = await together(wires, [register(new_address()) for _ in wires])
    assert sorted(answer.status for answer in answers) == [201] * REGISTER + [429] * (len(wires) - REGISTER)


async def test_t04_refreshes_of_one_session_are_counted_over_all_workers(limited: Town) -> None:
    one = Login.of(await once(limited.port, login(await new_person_within_limits(limited))))
    async with await connect_to_all(limited.port, 80, workers=WORKERS) as wires:
        answers = await together(wires, [refresh(one.refresh)] * len(wires))
    assert sorted(answer.status for answer in answers) == [200] * REFRESH + [429] * (len(wires) - REFRESH)
