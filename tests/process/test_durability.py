"""Killed in the middle of everything: what was acknowledged is there after the restart, and nothing is half there."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.process.people import (
    PASSWORD,
    Login,
    Records,
    login,
    logout,
    me,
    new_address,
    new_login,
    new_password,
    refresh,
    register,
)
from tests.process.service import PATIENCE
from tests.process.town import Fragile, Town, town_on
from tests.process.wire import Answer, Ask, Wire, once

pytestmark = pytest.mark.xdist_group("processes")
# A restart of several processes on a busy machine takes longer than the usual grace.
PATIENT = {"PROPUSK_REFRESH_GRACE": "10m"}


@dataclass
class Life:
    """What somebody did, as far as it was acknowledged; a password change on its way leaves two candidates."""

    email: str = field(default_factory=new_address)
    registered: bool = False
    passwords: list[str] = field(default_factory=lambda: [PASSWORD], repr=False)
    refresh: str | None = field(default=None, repr=False)
    ended: list[Login] = field(default_factory=list, repr=False)
    done: int = 0

    async def live(self, port: int) -> None:
        """Register, log in, and go on until the connection breaks."""
        wire = await Wire.open(port)
        try:
            await self._live(wire)
        except ConnectionError:
            pass
        finally:
            await wire.close()

    async def _live(self, wire: Wire) -> None:
        await self._do(wire, register(self.email), 201)
        self.registered = True
        current = Login.of(await self._do(wire, login(self.email), 200))
        self.refresh = current.refresh
        for number in range(1000):
            current = Login.of(await self._do(wire, refresh(current.refresh), 200))
            self.refresh = current.refresh
            other = Login.of(await self._do(wire, login(self.email, self.passwords[0]), 200))
            await self._do(wire, logout(other.access), 204)
            self.ended.append(other)
            self.passwords.append(f"zq7canary horse {number}")
            await self._do(wire, new_password(current.access, *self.passwords), 204)
            del self.passwords[0]

    async def _do(self, wire: Wire, request: Ask, status: int) -> Answer:
        answer = await wire.ask(request)
        assert answer.status == status, (request.path, answer.body)
        self.done += 1
        return answer

    async def check(self, port: int) -> None:
        """All of it is true of the service."""
        if not self.registered:
            return
        tried = [await once(port, login(self.email, password)) for password in self.passwords]
        assert sorted(answer.status for answer in tried) == [200, 401][: len(tried)], self.email
        for ended in self.ended[-3:]:
            assert (await once(port, me(ended.access))).status == 401
            assert (await once(port, refresh(ended.refresh))).status == 401
        if self.refresh is not None:
            answer = await once(port, refresh(self.refresh))
            assert answer.status == 200, answer.body
            assert (await once(port, me(Login.of(answer).access))).status == 200


async def assert_nothing_is_half(records: Records) -> None:
    """Every row has what belongs to it, and every change its one event."""
    t = records.tables
    users = {row["id"]: row for row in await records.rows(t.users)}
    sessions = {row["id"]: row for row in await records.rows(t.sessions)}
    events = await records.rows(t.audit_events)
    assert {row["user_id"] for row in await records.rows(t.passwords)} == set(users)
    assert {row["user_id"] for row in sessions.values()} <= set(users)

    def of(kind: str, key: str) -> Counter[object]:
        return Counter(event[key] for event in events if event["kind"] == kind)

    assert of("user_registered", "user_id") == Counter(list(users))
    assert of("logged_in", "session_id") == Counter(list(sessions))
    assert of("logged_out", "session_id") == Counter(key for key, row in sessions.items() if row["ended_at"])
    epochs = Counter({key: row["session_epoch"] for key, row in users.items() if row["session_epoch"]})
    assert of("password_changed", "user_id") == of("sessions_ended", "user_id") == epochs


async def kill_and_check(town: Town, *, kills: int, people: int = 6, seed: int = 7) -> int:
    """Kill the whole group in the middle of several lives, after a random number of acknowledgements and a moment;
    restart, check; returns what was acknowledged.
    """
    chance = random.Random(seed)
    done = 0
    for _ in range(kills):
        lives = [Life() for _ in range(people)]
        running = [asyncio.create_task(life.live(town.port)) for life in lives]
        await _until_acknowledged(chance.randint(2 * people, 20 * people), lives, running)
        await asyncio.sleep(chance.uniform(0, 0.2))
        town.service.kill_group()
        await asyncio.gather(*running)
        town.service.start()
        for life in lives:
            await life.check(town.port)
        done += sum(life.done for life in lives)
    await assert_nothing_is_half(town.records)
    return done


async def _until_acknowledged(number: int, lives: list[Life], running: list[asyncio.Task[None]]) -> None:
    """Return once they have done so much, or one of them has failed, which is for the caller to find."""
    async with asyncio.timeout(PATIENCE):
        while sum(life.done for life in lives) < number and not any(task.done() for task in running):
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def mortal(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A service that a test may kill."""
    with town_on(database, tmp_path_factory.mktemp(f"mortal_{database}"), workers=2, settings=PATIENT) as town:
        yield town


async def test_t59_killed_in_the_middle_it_keeps_what_was_acknowledged_and_nothing_by_halves(mortal: Town) -> None:
    assert await kill_and_check(mortal, kills=3) > 20
    assert " 500 " not in mortal.service.logs()


async def lose_an_answer(town: Town) -> None:
    """Kill the group as soon as the database shows the advance; the retry gets the successor."""
    one = await new_login(town.port)
    wire = await Wire.open(town.port)
    wire.send(refresh(one.refresh).encode())
    while (await town.records.session(one.session_id))["refresh_counter"] == 0:
        pass
    town.service.kill_group()
    try:
        received = [Login.of(await wire.receive())]
    except ConnectionError:
        received = []
    await wire.close()
    town.service.start()
    retried = Login.of(await once(town.port, refresh(one.refresh)))
    assert (await town.records.session(one.session_id))["refresh_counter"] == 1
    assert [login.refresh for login in received] in ([], [retried.refresh])
    assert retried.session_id == one.session_id
    assert (await once(town.port, refresh(retried.refresh))).status == 200


async def test_t22_killed_after_the_advance_it_answers_the_retry_with_the_successor(mortal: Town) -> None:
    await lose_an_answer(mortal)


async def test_t22_killed_between_commit_and_answer_it_answers_the_retry_with_the_successor(fresh: Fragile) -> None:
    one = await new_login(fresh.port)
    # The commit arrives; that it did is never told.
    with fresh.proxy.silent_after(b"UPDATE propusk_sessions", fresh.proxy.commit):
        wire = await Wire.open(fresh.port)
        wire.send(refresh(one.refresh).encode())
        async with asyncio.timeout(PATIENCE):
            while (await fresh.records.session(one.session_id))["refresh_counter"] == 0:
                await asyncio.sleep(0.05)
        assert (await fresh.records.session(one.session_id))["refresh_counter"] == 1
        fresh.service.kill_group()
        with pytest.raises(ConnectionError):
            await wire.receive()
        await wire.close()
    fresh.service.start()
    retried = Login.of(await once(fresh.port, refresh(one.refresh)))
    assert (await fresh.records.session(one.session_id))["refresh_counter"] == 1
    assert (await once(fresh.port, refresh(retried.refresh))).status == 200
