"""A request that waits for a hash while its right is taken away must not act on it (T24, T25)."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from propusk.domain import change_user
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, in_some_round, until


@asynccontextmanager
async def held(
    house: House, request: Coroutine[Any, Any, httpx.Response]
) -> AsyncIterator["asyncio.Task[httpx.Response]"]:
    """Send a request to a house whose hashing threads are all busy, until the block ends."""
    let_go = threading.Event()
    pool = house.auth.passwords._pool
    started = pool.started
    busy = [asyncio.create_task(pool.run("busy", let_go.wait)) for _ in range(64)]
    await until(lambda: pool.started > started and pool._free.locked())
    queued = pool._waiting.total()
    task = asyncio.create_task(request)
    await until(lambda: task.done() or pool._waiting.total() > queued)
    assert not task.done()
    try:
        yield task
    finally:
        let_go.set()
        await asyncio.gather(*busy)


async def test_t25_a_deletion_that_waited_through_a_password_change_deletes_nothing(make_house: MakeHouse) -> None:
    here, there = await make_house(), await make_house()
    thief = await here.register()
    owner = await there.log_in("ada@example.com")

    async with held(here, thief.post("/users/me/delete", json={"password": PASSWORD})) as waiting:
        new = {"current_password": PASSWORD, "new_password": "zq7canary new horse"}
        assert (await owner.post("/users/me/password", json=new)).status_code == 204
    assert (await waiting).json()["code"] == "invalid_access_token"

    assert await owner.is_in()
    await there.log_in("ada@example.com", "zq7canary new horse")


async def test_t24_a_superuser_demoted_while_waiting_makes_nobody(make_house: MakeHouse) -> None:
    here, there = await make_house(), await make_house()
    root = await here.superuser()
    mallory = await here.superuser("mallory@example.com")
    body = {"email": "puppet@example.com", "password": PASSWORD, "is_superuser": True}
    for change, code in (({"is_superuser": False}, "forbidden"), ({"is_active": False}, "invalid_access_token")):
        async with held(here, mallory.post("/users", json=body)) as waiting:
            answer = await there.client.patch(f"/users/{mallory.id}", json=change, headers=root.bearer)
            assert answer.status_code == 200, answer.text
        assert (await waiting).json()["code"] == code
        again = {"is_superuser": True, "is_active": True}
        assert (await there.client.patch(f"/users/{mallory.id}", json=again, headers=root.bearer)).status_code == 200
        mallory = await here.log_in("mallory@example.com")
    assert await here.rows("users", email_key="puppet@example.com") == []


@pytest.mark.parametrize(("change", "code"), [("is_superuser", "forbidden"), ("is_active", "invalid_access_token")])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PATCH", "", {"is_superuser": True}), ("DELETE", "", None), ("DELETE", "/sessions", None)],
)
async def test_t24_a_superuser_demoted_while_waiting_changes_nobody(
    make_house: MakeHouse, method: str, path: str, body: Any, change: str, code: str
) -> None:
    """They were let in, and wait for whoever demotes them."""
    house = await make_house()
    ada, _, mallory = await house.register(), await house.superuser(), await house.superuser("mallory@example.com")

    async with house.auth.transaction() as ctx:
        await change_user(ctx, user_id=UUID(mallory.id), changes={change: False}, actor_id=None)
        waiting = asyncio.create_task(mallory.call(method, f"/users/{ada.id}{path}", json=body))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    assert (await waiting).json()["code"] == code

    assert await ada.is_in()
    assert [row["is_superuser"] for row in await house.rows("users", id=UUID(ada.id))] == [False]


async def test_a_login_that_waits_for_the_floor_keeps_no_writer_waiting(make_house: MakeHouse) -> None:
    house = await make_house(login_floor="4s")
    ada = await house.register()

    async def failed() -> int:
        return len(await house.rows("audit_events", kind="login_failed"))

    async def is_refreshed_while_they_wait() -> bool:
        calls, before = house.auth.passwords.calls, await failed()
        bodies = [{"login": "ada@example.com", "password": f"no {n}"} for n in range(4)]
        wrong = [asyncio.create_task(house.client.post("/auth/login", json=body)) for body in bodies]
        await until(lambda: house.auth.passwords.calls == calls + len(wrong))
        assert (await ada.refresh()).status_code == 200
        wait_still = not any(task.done() for task in wrong)
        assert {answer.status_code for answer in await asyncio.gather(*wrong)} == {401}
        assert await failed() == before + len(wrong)
        return wait_still

    assert await in_some_round(is_refreshed_while_they_wait)


async def test_a_new_session_is_never_the_one_that_the_cap_ends(make_house: MakeHouse) -> None:
    house = await make_house(max_sessions_per_user=1)
    await house.register()
    here = await house.log_in("ada@example.com")
    house.clock.tick(seconds=-5)

    later = await house.log_in("ada@example.com")

    assert await later.is_in()
    assert not await here.is_in()
