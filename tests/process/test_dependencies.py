"""A database that is away, stuck, busy or full: a clear answer in time, nothing acknowledged, and well again."""

import asyncio
import resource
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.process.people import (
    NEW_PASSWORD,
    PASSWORD,
    Login,
    Person,
    login,
    logout,
    me,
    new_address,
    new_password,
    new_person,
    refresh,
    register,
)
from tests.process.service import PATIENCE
from tests.process.town import Fragile, Town, fragile_on, town_on
from tests.process.wire import Answer, Ask, once, timed

pytestmark = pytest.mark.xdist_group("processes")
IN_TIME = 30.0
"""Seconds within which everything must have been answered: 10, and some for a connection to go and a busy machine."""
AT_ONCE = 8.0
"""Seconds that nothing takes which does not wait for the database: the shortest of such waits."""


@pytest.fixture(scope="module")
def fragile(server_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fragile]:
    """Its database can be cut off or frozen."""
    with fragile_on(server_database, tmp_path_factory.mktemp(f"fragile_{server_database}")) as fragile:
        yield fragile


async def is_unavailable(port: int, *requests: Ask) -> None:
    """Each of these is refused in time, and told when to come back; the process itself says that it lives."""
    answers = await asyncio.gather(*(timed(port, request) for request in requests), timed(port, Ask("GET", "/healthz")))
    (health, seconds) = answers.pop()
    assert health.status == 200
    assert seconds < AT_ONCE
    for request, (answer, seconds) in zip(requests, answers, strict=True):
        assert (answer.status, answer.code) == (503, "unavailable"), (request.path, answer.status, answer.body)
        assert int(answer.headers["retry-after"]) > 0
        assert seconds < IN_TIME, (request.path, seconds)


async def is_well(port: int, request: Ask, *, status: int = 200, within: float = PATIENCE) -> Answer:
    """Soon it answers as always; until then it says 503."""
    end = time.monotonic() + within
    while (answer := await once(port, request)).status == 503 and time.monotonic() < end:
        await asyncio.sleep(0.2)
    assert answer.status == status, answer.body
    return answer


@dataclass(frozen=True)
class Guests:
    """People whose requests meet the fault, a session for each kind of request."""

    person: Person
    stays: Login
    leaves: Login
    refreshes: Login
    changes: Login

    def requests(self) -> list[Ask]:
        """One of each kind that needs the database."""
        return [
            me(self.stays.access),
            Ask("GET", "/auth/sessions", token=self.stays.access),
            Ask("DELETE", f"/auth/sessions/{self.leaves.session_id}", token=self.stays.access),
            logout(self.leaves.access),
            Ask("POST", "/auth/logout", body={"refresh_token": self.leaves.refresh}),
            refresh(self.refreshes.refresh),
            login(self.person.email),
            login(new_address()),
            register(new_address()),
            new_password(self.changes.access, PASSWORD, NEW_PASSWORD),
            Ask("GET", "/readyz"),
        ]


async def invite(port: int) -> Guests:
    person = await new_person(port)
    return Guests(person, *[await person.log_in() for _ in range(4)])


async def test_t52_a_database_that_is_gone_is_a_503_and_nothing_happened(fragile: Fragile) -> None:
    guests, missing = await invite(fragile.port), new_address()
    with fragile.proxy.cut():
        await is_unavailable(fragile.port, *guests.requests(), register(missing))
        await is_unavailable(fragile.port, *guests.requests(), register(missing))
    await is_well(fragile.port, me(guests.leaves.access))
    for one in (guests.stays, guests.refreshes, guests.changes):
        assert (await once(fragile.port, me(one.access))).status == 200
    assert (await once(fragile.port, refresh(guests.refreshes.refresh))).status == 200
    assert (await once(fragile.port, login(guests.person.email))).status == 200
    users = fragile.records.tables.users
    assert await fragile.records.rows(users, users.c.email_key == missing) == []
    assert (await once(fragile.port, register(missing))).status == 201


async def test_t52_a_database_that_hangs_is_a_503_in_time_and_lets_nobody_in(fragile: Fragile) -> None:
    guests = await invite(fragile.port)
    with fragile.proxy.frozen():
        await is_unavailable(fragile.port, *guests.requests())
        await is_unavailable(fragile.port, me(guests.stays.access), logout(guests.stays.access))
    # What was on the wire may arrive now: whether it counted is open, but it was not acknowledged.
    await is_well(fragile.port, login(guests.person.email, PASSWORD))
    for one in (guests.stays, guests.refreshes, guests.changes):
        assert (await once(fragile.port, me(one.access))).status in (200, 401)


async def test_t52_an_end_of_which_the_database_does_not_tell_is_not_acknowledged(fresh: Fragile) -> None:
    # Fresh, as on a connection that ended a session before, the statement is known by a number.
    guests = await invite(fresh.port)
    with fresh.proxy.silent_after(b"UPDATE propusk_sessions", fresh.proxy.commit):
        await is_unavailable(fresh.port, logout(guests.leaves.access))
    assert (await is_well(fresh.port, me(guests.stays.access))).status == 200
    assert (await once(fresh.port, me(guests.leaves.access))).status == 401, "the commit had arrived"


async def test_t52_ends_for_more_requests_than_connections_while_the_database_hangs(fragile: Fragile) -> None:
    guests = await invite(fragile.port)
    with fragile.proxy.frozen():
        await is_unavailable(fragile.port, *[logout(guests.leaves.access), login(guests.person.email)] * 20)
    await is_well(fragile.port, me(guests.stays.access))


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, Path]]:
    """A service of one process on SQLite, and the file."""
    folder = tmp_path_factory.mktemp("one_file")
    with town_on("sqlite", folder, workers=1) as town:
        yield town, folder / "test.db"


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Somebody else writes, and does not end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


async def test_t52_a_locked_sqlite_file_is_a_503_in_time_and_reading_goes_on(one_file: tuple[Town, Path]) -> None:
    town, path = one_file
    guests = await invite(town.port)
    async with locked(path):
        writing = [request for request in guests.requests() if request.method != "GET"]
        await asyncio.gather(is_unavailable(town.port, *writing), _reads(town.port, guests.stays))
    assert (await once(town.port, me(guests.leaves.access))).status == 200, "no end was acknowledged, and none came"
    assert (await is_well(town.port, logout(guests.leaves.access), status=204)).status == 204
    assert (await once(town.port, refresh(guests.refreshes.refresh))).status == 200


async def _reads(port: int, one: Login) -> None:
    for _ in range(20):
        answer, seconds = await timed(port, me(one.access))
        assert answer.status == 200
        assert seconds < AT_ONCE
        await asyncio.sleep(0.1)


@asynccontextmanager
async def full_disk(pid: int) -> AsyncIterator[None]:
    """No file of the process may grow."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


async def test_t52_a_full_disk_is_a_503_and_nothing_happened(one_file: tuple[Town, Path]) -> None:
    town, _ = one_file
    guests, missing = await invite(town.port), new_address()
    async with full_disk(town.service.pid):
        for _ in range(3):
            await is_unavailable(town.port, register(missing), logout(guests.leaves.access), login(guests.person.email))
        assert (await once(town.port, me(guests.stays.access))).status == 200
    assert (await once(town.port, me(guests.leaves.access))).status == 200
    await is_well(town.port, register(missing), status=201)
    assert (await once(town.port, logout(guests.leaves.access))).status == 204
