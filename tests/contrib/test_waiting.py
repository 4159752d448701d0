"""What waits for a hash while its right is taken away acts on it no more, at the routes of FastAPI Users either."""

import asyncio
from typing import Any, cast
from uuid import UUID

import pytest

from propusk.domain import change_user
from tests.api.test_waiting_requests import held
from tests.contrib.test_fastapi_users import ADA, OTHER_PASSWORD, id_of, is_in, log_in, register, stand_of, superuser
from tests.host.stand import MakeStand


@pytest.mark.parametrize(("change", "status"), [({"is_superuser": False}, 403), ({"is_active": False}, 401)])
async def test_t24_a_superuser_demoted_while_waiting_sets_nobodys_password(
    make_stand: MakeStand, change: dict[str, bool], status: int
) -> None:
    here, there = await stand_of(make_stand), await stand_of(make_stand)
    await register(here)
    ada, root, mallory = await log_in(here), await superuser(here), await superuser(here, "mallory@example.com")
    path, hers = f"/users/{await id_of(here, ADA)}", f"/users/{await id_of(here, 'mallory@example.com')}"

    request = here.client.patch(path, json={"password": OTHER_PASSWORD}, headers=mallory)
    async with held(cast(Any, here), request) as waiting:
        assert (await there.client.patch(hers, json=change, headers=root)).status_code == 200
    assert (await waiting).status_code == status
    assert await is_in(here, ada)


@pytest.mark.parametrize(("change", "status"), [("is_superuser", 403), ("is_active", 401)])
@pytest.mark.parametrize(("method", "body"), [("PATCH", {"is_superuser": True}), ("DELETE", None)])
async def test_t24_a_superuser_demoted_while_waiting_changes_nobody(
    make_stand: MakeStand, method: str, body: Any, change: str, status: int
) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    ada, _, mallory = await log_in(stand), await superuser(stand), await superuser(stand, "mallory@example.com")
    path, hers = f"/users/{await id_of(stand, ADA)}", UUID(await id_of(stand, "mallory@example.com"))

    async with stand.auth.transaction() as ctx:
        await change_user(ctx, user_id=hers, changes={change: False}, actor_id=None)
        waiting = asyncio.create_task(stand.client.request(method, path, json=body, headers=mallory))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    assert (await waiting).status_code == status

    me = await stand.client.get("/users/me", headers=ada)
    assert (me.status_code, me.json()["is_superuser"]) == (200, False)


async def test_a_superuser_sets_their_own_password_and_flags_in_one_request(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    _, root = await superuser(stand, "other@example.com"), await superuser(stand)
    path = f"/users/{await id_of(stand, 'root@example.com')}"

    both = {"password": OTHER_PASSWORD, "is_superuser": False}
    answer = await stand.client.patch(path, json=both, headers=root)
    assert (answer.status_code, answer.json()["is_superuser"]) == (200, False)
    await log_in(stand, "root@example.com", OTHER_PASSWORD)


@pytest.mark.parametrize(("change", "status"), [({"is_superuser": False}, 403), ({"is_active": False}, 401)])
async def test_t24_a_superuser_demoted_while_waiting_sets_not_even_their_own(
    make_stand: MakeStand, change: dict[str, bool], status: int
) -> None:
    here, there = await stand_of(make_stand), await stand_of(make_stand)
    root, mallory = await superuser(here), await superuser(here, "mallory@example.com")
    hers = f"/users/{await id_of(here, 'mallory@example.com')}"

    both = {"password": OTHER_PASSWORD, "is_superuser": True}
    async with held(cast(Any, here), here.client.patch(hers, json=both, headers=mallory)) as waiting:
        assert (await there.client.patch(hers, json=change, headers=root)).status_code == 200
    assert (await waiting).status_code == status
    answer = await there.client.get(hers, headers=root)
    assert answer.json()["is_superuser"] is ("is_active" in change)


async def test_t25_a_password_change_that_waited_through_a_logout_changes_nothing(make_stand: MakeStand) -> None:
    here, there = await stand_of(make_stand), await stand_of(make_stand)
    await register(here)
    thief, owner = await log_in(here), await log_in(here)

    request = here.client.patch("/users/me", json={"password": OTHER_PASSWORD}, headers=thief)
    async with held(cast(Any, here), request) as waiting:
        assert (await there.client.post("/auth/jwt/logout", headers=thief)).status_code == 204
    answer = await waiting
    assert (answer.status_code, answer.json()) == (401, {"detail": "Unauthorized"})
    assert await is_in(here, owner)
    await log_in(here)
