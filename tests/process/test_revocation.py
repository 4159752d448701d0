"""Once an end of sessions is acknowledged, no worker accepts what it ended: not once, on no connection."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from tests.process.people import NEW_PASSWORD, Login, Person, logout, me, new_password, new_person, refresh
from tests.process.town import WORKERS, Town
from tests.process.wire import Answer, Ask, Wire, Wires, connect_to_all, once

pytestmark = pytest.mark.xdist_group("clusters")


@dataclass
class Scene:
    """A person with several sessions, and a superuser. What is done is done at `town`, and seen at all `nodes`."""

    town: Town
    nodes: Sequence[Town]
    owner: Person
    victims: list[Login]
    survivors: list[Login]
    admin: Login


@dataclass
class Hammer:
    """Requests without a pause, on every connection, each with the time at which it was begun."""

    wires: Wires
    tokens: list[str]
    seen: list[tuple[float, int]] = field(default_factory=list)
    _end: bool = False

    async def run(self) -> None:
        await asyncio.gather(*(self._strike(wire, n) for n, wire in enumerate(self.wires)))

    async def _strike(self, wire: Wire, n: int) -> None:
        while not self._end:
            begun = asyncio.get_running_loop().time()
            answer = await wire.ask(me(self.tokens[n % len(self.tokens)]))
            self.seen.append((begun, answer.status))
            n += 1

    def since(self, moment: float) -> list[int]:
        """The statuses of the requests that were begun after a moment."""
        return [status for begun, status in self.seen if begun > moment]

    async def wait_for(self, count: int, *, since: float = 0.0) -> None:
        while len(self.since(since)) < count:
            await asyncio.sleep(0.01)

    def stop(self) -> None:
        self._end = True


async def revoke_and_strike(scene: Scene, act: Callable[[Scene], Awaitable[Answer]], *, strikes: int) -> int:
    """Hammer before, during and after `act`: what was begun after the acknowledgement must be refused.

    Returns:
        how many requests were begun after it.
    """
    async with Wires() as wires:
        for node in scene.nodes:
            wires.extend(await connect_to_all(node.port, 20 // len(scene.nodes), workers=node.service.workers))
        hammer = Hammer(wires, [login.access for login in scene.victims])
        running = asyncio.create_task(hammer.run())
        await hammer.wait_for(60)
        assert {status for _, status in hammer.seen} == {200}, "accepted before"
        answer = await act(scene)
        acknowledged = asyncio.get_running_loop().time()
        assert answer.status in (200, 204) or answer.code == "refresh_token_reused", answer.body
        await hammer.wait_for(strikes, since=acknowledged)
        hammer.stop()
        await running
        after = hammer.since(acknowledged)
        assert set(after) == {401}, f"{after.count(200)} of {len(after)} accepted after the end"
        assert {status for _, status in hammer.seen} == {200, 401}
        await _refuse_refresh_everywhere(wires, scene)
        return len(after)


async def _refuse_refresh_everywhere(wires: Wires, scene: Scene) -> None:
    asked = [refresh(login.refresh) for login in scene.victims]

    async def ask(n: int, wire: Wire) -> None:
        answer = await wire.ask(asked[n % len(asked)])
        assert (answer.status, answer.code) == (401, "invalid_refresh_token")
        for survivor in scene.survivors:
            assert (await wire.ask(me(survivor.access))).status == 200

    # On all at once, for the service closes idle connections.
    await asyncio.gather(*(ask(n, wire) for n, wire in enumerate(wires)))


async def _by(scene: Scene, request: Ask) -> Answer:
    return await once(scene.town.port, request)


async def logout_by_bearer(scene: Scene) -> Answer:
    return await _by(scene, logout(scene.victims[0].access))


async def logout_by_cookie(scene: Scene) -> Answer:
    return await _by(scene, Ask("POST", "/auth/logout", headers={"Cookie": scene.victims[0].cookies}))


async def logout_by_refresh_token(scene: Scene) -> Answer:
    return await _by(scene, Ask("POST", "/auth/logout", body={"refresh_token": scene.victims[0].refresh}))


async def abort_one(scene: Scene) -> Answer:
    path = f"/auth/sessions/{scene.victims[0].session_id}"
    return await _by(scene, Ask("DELETE", path, token=scene.survivors[0].access))


async def abort_all_by_a_superuser(scene: Scene) -> Answer:
    return await _by(scene, Ask("DELETE", f"/users/{scene.owner.id}/sessions", token=scene.admin.access))


async def abort_all(scene: Scene) -> Answer:
    return await _by(scene, Ask("DELETE", "/auth/sessions", token=scene.victims[0].access))


async def abort_all_others(scene: Scene) -> Answer:
    return await _by(scene, Ask("DELETE", "/auth/sessions?keep_current=true", token=scene.survivors[0].access))


async def change_password(scene: Scene) -> Answer:
    return await _by(scene, new_password(scene.survivors[0].access, scene.owner.password, NEW_PASSWORD))


async def deactivate(scene: Scene) -> Answer:
    request = Ask("PATCH", f"/users/{scene.owner.id}", token=scene.admin.access, body={"is_active": False})
    return await _by(scene, request)


async def delete_oneself(scene: Scene) -> Answer:
    body = {"password": scene.owner.password}
    return await _by(scene, Ask("DELETE", "/users/me", token=scene.victims[0].access, body=body))


async def be_deleted(scene: Scene) -> Answer:
    return await _by(scene, Ask("DELETE", f"/users/{scene.owner.id}", token=scene.admin.access))


async def reuse(scene: Scene) -> Answer:
    """The grandparent of the current token comes back: stolen, whoever sends it."""
    first = scene.victims[0]
    token = first.refresh
    for _ in range(2):
        answer = await _by(scene, refresh(token))
        token = Login.of(answer).refresh
    return await _by(scene, refresh(first.refresh))


CAUSES: dict[str, tuple[Callable[[Scene], Awaitable[Answer]], int, int]] = {
    # how it is done, sessions that it ends, sessions of the same user that it spares
    "logout by bearer": (logout_by_bearer, 1, 1),
    "logout by cookie": (logout_by_cookie, 1, 1),
    "logout by refresh token": (logout_by_refresh_token, 1, 1),
    "abort one": (abort_one, 1, 1),
    "abort all": (abort_all, 3, 0),
    "abort all by a superuser": (abort_all_by_a_superuser, 3, 0),
    "abort all others": (abort_all_others, 3, 1),
    "password change": (change_password, 3, 1),
    "deactivation": (deactivate, 3, 0),
    "deletion by oneself": (delete_oneself, 3, 0),
    "deletion by a superuser": (be_deleted, 3, 0),
    "reuse of a refresh token": (reuse, 1, 1),
}


async def make_scene(town: Town, *others: Town, victims: int, survivors: int) -> Scene:
    """A person with that many sessions to end and to spare."""
    owner, admin = await new_person(town.port), await new_person(town.port)
    await town.records.make_superusers(admin.id)
    logins = [await owner.log_in() for _ in range(victims + survivors)]
    return Scene(town, (town, *others), owner, logins[:victims], logins[victims:], await admin.log_in())


@pytest.mark.parametrize("cause", CAUSES)
async def test_t23_nothing_is_accepted_once_the_end_is_acknowledged(town: Town, cause: str) -> None:
    act, victims, survivors = CAUSES[cause]
    scene = await make_scene(town, victims=victims, survivors=survivors)
    await revoke_and_strike(scene, act, strikes=300)


async def test_t24_a_demoted_superuser_administers_no_more_from_the_next_request_on(town: Town) -> None:
    chief, other = await new_person(town.port), await new_person(town.port)
    await town.records.make_superusers(chief.id, other.id)
    chiefs, others = await chief.log_in(), await other.log_in()
    async with await connect_to_all(town.port, 20, workers=WORKERS) as wires:
        asked = [Ask("GET", "/users?limit=1", token=others.access)] * len(wires)
        before = await asyncio.gather(*(wire.ask(request) for wire, request in zip(wires, asked, strict=True)))
        assert {answer.status for answer in before} == {200}
        demotion = Ask("PATCH", f"/users/{other.id}", token=chiefs.access, body={"is_superuser": False})
        assert (await once(town.port, demotion)).status == 200
        after = await asyncio.gather(*(wire.ask(request) for wire, request in zip(wires, asked, strict=True)))
        assert {(answer.status, answer.code) for answer in after} == {(403, "forbidden")}


async def test_t24_activation_does_not_revive_old_sessions(town: Town) -> None:
    scene = await make_scene(town, victims=2, survivors=0)
    assert (await deactivate(scene)).status == 200
    path = f"/users/{scene.owner.id}"
    revived = await once(town.port, Ask("PATCH", path, token=scene.admin.access, body={"is_active": True}))
    assert revived.json()["is_active"] is True
    async with await connect_to_all(town.port, 8, workers=WORKERS) as wires:
        for wire in wires:
            assert (await wire.ask(me(scene.victims[0].access))).status == 401
            assert (await wire.ask(refresh(scene.victims[1].refresh))).status == 401
    assert (await once(town.port, me((await scene.owner.log_in()).access))).status == 200
