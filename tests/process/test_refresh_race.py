"""Refreshes that race for one session leave one lineage; registrations that race for one name leave one user."""

import asyncio

import pytest

from tests.process.people import Login, login, me, new_address, new_login, new_person, refresh, register
from tests.process.town import Town
from tests.process.wire import Wires, at_once, connect_to_all, once, together

pytestmark = pytest.mark.xdist_group("clusters")
PARALLEL = 32


async def race_refreshes(*nodes: Town, rounds: int) -> None:
    """Again and again, 32 refreshes with one token at once, on every worker of every node."""
    town = nodes[0]
    person = await new_person(town.port)
    login = await person.log_in()
    for counter in range(1, rounds + 1):
        async with Wires() as wires:
            for node in nodes:
                wires.extend(await connect_to_all(node.port, PARALLEL // len(nodes), workers=node.service.workers))
            answers = await together(wires, [refresh(login.refresh)] * PARALLEL)
            assert [answer.status for answer in answers] == [200] * PARALLEL, {answer.code for answer in answers}
            logins = [Login.of(answer) for answer in answers]
            assert len({found.refresh for found in logins}) == 1, "the lineage forked"
            assert {found.session_id for found in logins} == {login.session_id}
            assert (await town.records.session(login.session_id))["refresh_counter"] == counter
            accepted = await asyncio.gather(
                *(wire.ask(me(found.access)) for wire, found in zip(wires, logins, strict=True))
            )
            assert {answer.status for answer in accepted} == {200}
        login = logins[-1]
    for node in nodes:
        assert "database is locked" not in node.service.logs()
        assert " 500 " not in node.service.logs()


async def test_t20_refreshes_that_race_get_one_successor(town: Town) -> None:
    await race_refreshes(town, rounds=4)


async def test_t20_the_loser_of_a_race_goes_on_with_the_common_successor(town: Town) -> None:
    login = await new_login(town.port)
    answers = await at_once(town.port, [refresh(login.refresh)] * 8)
    next_answers = [await once(town.port, refresh(Login.of(answer).refresh)) for answer in answers]
    assert {answer.status for answer in next_answers} == {200}
    assert len({Login.of(answer).refresh for answer in next_answers}) == 1
    # Only the direct parent is forgiven: the first token is a grandparent by now.
    reused = await once(town.port, refresh(login.refresh))
    assert (reused.status, reused.code) == (401, "refresh_token_reused")
    assert (await once(town.port, me(login.access))).status == 401


async def test_t21_thieves_that_race_end_the_session_once(town: Town) -> None:
    login = await new_login(town.port)
    token = login.refresh
    for _ in range(2):
        token = Login.of(await once(town.port, refresh(token))).refresh
    answers = await at_once(town.port, [refresh(login.refresh)] * PARALLEL)
    codes = sorted(str(answer.code) for answer in answers)
    assert codes == ["invalid_refresh_token"] * (PARALLEL - 1) + ["refresh_token_reused"]
    events = town.records.tables.audit_events.c
    session_id = (await town.records.session(login.session_id))["id"]
    kinds = [row["kind"] for row in await town.records.rows(events.id.table, events.session_id == session_id)]
    assert sorted(kinds) == ["logged_in", "refresh_token_reuse_detected"]


async def race_registrations(town: Town, *, rounds: int) -> None:
    """Again and again, 32 registrations of one address at once, in different spellings."""
    for _ in range(rounds):
        address = new_address()
        name, _, domain = address.partition("@")
        spellings = [address, address.upper(), f"{name.title()}@{domain}", f"{name}@{domain.upper()}"]
        answers = await at_once(town.port, [register(spellings[n % 4]) for n in range(PARALLEL)])
        assert sorted(answer.status for answer in answers) == [201] + [409] * (PARALLEL - 1)
        assert {answer.code for answer in answers} == {None, "email_taken"}
        users = town.records.tables.users
        assert len(await town.records.rows(users, users.c.email_key == address)) == 1


async def test_t58_of_registrations_that_race_for_an_address_one_wins(town: Town) -> None:
    await race_registrations(town, rounds=3)


async def test_logins_of_one_user_at_once_all_succeed(town: Town) -> None:
    person = await new_person(town.port)
    answers = await at_once(town.port, [login(person.email)] * PARALLEL)
    assert [answer.status for answer in answers] == [200] * PARALLEL, {answer.code for answer in answers}
    assert len({Login.of(answer).session_id for answer in answers}) == PARALLEL
