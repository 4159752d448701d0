"""What was on its way while a password changed is dead afterwards; two who depose each other at once leave one."""

import asyncio
from collections.abc import Callable

import pytest

from tests.process.people import (
    PASSWORD,
    Login,
    Person,
    Records,
    login,
    me,
    new_address,
    new_password,
    new_person,
    refresh,
    register,
)
from tests.process.town import Town
from tests.process.wire import Answer, Ask, at_once, once

pytestmark = pytest.mark.xdist_group("clusters")


async def race_password_change(town: Town, *, rounds: int) -> None:
    """Logins with the old password and refreshes of older sessions, while another session changes the password."""
    person = await new_person(town.port)
    for number in range(rounds):
        person.password = await _one_change(town, person, f"zq7canary horse {number}")
    assert " 500 " not in town.service.logs()


async def _one_change(town: Town, person: Person, password: str) -> str:
    keeper, other = await person.log_in(), await person.log_in()
    requests = [
        new_password(keeper.access, person.password, password),
        refresh(keeper.refresh),
        *[refresh(other.refresh)] * 4,
        *[login(person.email, person.password)] * 6,
    ]
    changed, kept, *others = await at_once(town.port, requests)
    assert changed.status == 204, changed.body
    assert kept.status == 200, kept.body
    for answer in others:
        assert answer.status in (200, 401), answer.body
    older = [other, *(Login.of(answer) for answer in others if answer.status == 200)]
    await _assert_dead(town, older)
    for access in (keeper.access, Login.of(kept).access):
        assert (await once(town.port, me(access))).status == 200, "the session that changed it goes on"
    assert (await once(town.port, refresh(Login.of(kept).refresh))).status == 200
    assert (await once(town.port, login(person.email, person.password))).status == 401
    assert (await once(town.port, login(person.email, password))).status == 200
    return password


async def _assert_dead(town: Town, logins: list[Login]) -> None:
    answers = await asyncio.gather(*(once(town.port, me(login.access)) for login in logins))
    assert [answer.status for answer in answers] == [401] * len(logins), "an older session works"
    answers = await asyncio.gather(*(once(town.port, refresh(login.refresh)) for login in logins))
    assert [answer.status for answer in answers] == [401] * len(logins), "an older refresh token works"


async def test_t25_what_is_in_flight_while_the_password_changes_is_dead_afterwards(town: Town) -> None:
    await race_password_change(town, rounds=20)


async def race_password_changes(town: Town, *, rounds: int) -> None:
    """Two sessions change the password at once: one wins, and the other's session is dead."""
    for _ in range(rounds):
        person = await new_person(town.port)
        pair = [await person.log_in(), await person.log_in()]
        wanted = ["zq7canary first horse", "zq7canary second horse"]
        requests = [new_password(one.access, PASSWORD, new) for one, new in zip(pair, wanted, strict=True)]
        answers = await at_once(town.port, requests)
        statuses = [answer.status for answer in answers]
        assert sorted(statuses) in ([204, 401], [204, 403]), [answer.body for answer in answers]
        won = statuses.index(204)
        assert (await once(town.port, me(pair[won].access))).status == 200
        assert (await once(town.port, me(pair[1 - won].access))).status == 401
        assert (await once(town.port, login(person.email, wanted[won]))).status == 200
        assert (await once(town.port, login(person.email, wanted[1 - won]))).status == 401


async def test_t25_of_two_password_changes_at_once_one_wins(town: Town) -> None:
    await race_password_changes(town, rounds=5)


def demotion(who: str, token: str) -> Ask:
    return Ask("PATCH", f"/users/{who}", token=token, body={"is_superuser": False})


def deactivation(who: str, token: str) -> Ask:
    return Ask("PATCH", f"/users/{who}", token=token, body={"is_active": False})


def deletion(who: str, token: str) -> Ask:
    return Ask("DELETE", f"/users/{who}", token=token)


DEPOSITIONS: dict[str, Callable[[str, str], Ask]] = {
    "demotion": demotion,
    "deactivation": deactivation,
    "deletion": deletion,
}


async def race_depositions(town: Town, depose: Callable[[str, str], Ask], *, rounds: int) -> None:
    """Two superusers, the only ones, depose each other at once: one is left, and administers."""
    for _ in range(rounds):
        people = [await new_person(town.port), await new_person(town.port)]
        await town.records.make_superusers(*(person.id for person in people))
        logins = [await person.log_in() for person in people]
        requests = [depose(people[1 - n].id, logins[n].access) for n in range(2)]
        answers = await at_once(town.port, requests)
        _check_verdicts(answers)
        (left,) = await active_superusers(town.records)
        winner = [str(person.id) for person in people].index(left)
        assert (await once(town.port, Ask("GET", "/users?limit=1", token=logins[winner].access))).status == 200
        refused = await once(town.port, Ask("GET", "/users?limit=1", token=logins[1 - winner].access))
        assert refused.status in (401, 403)


def _check_verdicts(answers: list[Answer]) -> None:
    """One was done. The other came too late: nobody would be left, or who asked had been deposed already."""
    done = [answer for answer in answers if answer.status in (200, 204)]
    refused = [answer for answer in answers if answer.status not in (200, 204)]
    assert len(done) == 1, [answer.body for answer in answers]
    assert refused[0].code in ("last_superuser", "forbidden", "invalid_access_token"), refused[0].body


async def active_superusers(records: Records) -> list[str]:
    users = records.tables.users
    return [str(row["id"]) for row in await records.rows(users, users.c.is_superuser, users.c.is_active)]


@pytest.mark.parametrize("how", DEPOSITIONS)
async def test_t11_two_superusers_who_depose_each_other_leave_one(town: Town, how: str) -> None:
    await race_depositions(town, DEPOSITIONS[how], rounds=7)


async def test_t24_a_login_in_flight_while_its_user_is_deactivated_is_dead(town: Town) -> None:
    for _ in range(5):
        admin, person = await new_person(town.port), await new_person(town.port)
        await town.records.make_superusers(admin.id)
        chief = await admin.log_in()
        requests = [deactivation(person.id, chief.access), *[login(person.email)] * 5]
        done, *answers = await at_once(town.port, requests)
        assert done.status == 200
        assert {answer.status for answer in answers} <= {200, 403}
        await _assert_dead(town, [Login.of(answer) for answer in answers if answer.status == 200])


async def test_a_registration_after_a_deletion_gets_nothing_of_the_old_account(town: Town) -> None:
    person = await new_person(town.port)
    old = await person.log_in()
    gone = Ask("DELETE", "/users/me", token=old.access, body={"password": PASSWORD})
    logins = [login(person.email)] * 4
    deleted, *answers = await at_once(town.port, [gone, *logins])
    assert deleted.status == 204, deleted.body
    assert {answer.status for answer in answers} <= {200, 401}, [answer.body for answer in answers]
    assert (await once(town.port, register(person.email))).status == 201
    await _assert_dead(town, [old, *(Login.of(answer) for answer in answers if answer.status == 200)])
    assert (await once(town.port, register(new_address()))).status == 201
