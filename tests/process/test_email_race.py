"""Links that are used by many at once, on every worker; and what the log says of links."""

import asyncio
from uuid import UUID

import pytest

from tests.process.links import link, use
from tests.process.people import PASSWORD, Login, Person, login, me, new_address, new_person
from tests.process.service import PATIENCE
from tests.process.town import Town
from tests.process.wire import Answer, Ask, connect_to_all, once, together

pytestmark = pytest.mark.xdist_group("clusters")
PARALLEL = 32


def change(login: Login, email: str) -> Ask:
    return Ask("POST", "/users/me/email", token=login.access, body={"new_email": email, "password": PASSWORD})


async def race(town: Town, requests: list[Ask]) -> list[Answer]:
    async with await connect_to_all(town.port, len(requests), workers=town.service.workers) as wires:
        return await together(wires, requests)


async def stored(town: Town, person: Person) -> str:
    users = town.records.tables.users
    (row,) = await town.records.rows(users, users.c.id == UUID(person.id))
    return str(row["email"])


async def test_of_32_uses_of_one_verification_link_one_wins(town: Town) -> None:
    person = await new_person(town.port)
    token = await link(town, person.email, "verify-email")

    answers = await race(town, [use("verify", token)] * PARALLEL)

    assert sorted(answer.status for answer in answers) == [200] + [400] * (PARALLEL - 1)
    assert {answer.code for answer in answers} == {None, "invalid_token"}


async def test_t42_32_changes_and_confirmations_at_once_leave_an_address_that_was_proven(town: Town) -> None:
    for _ in range(3):
        person = await new_person(town.port)
        session = await person.log_in()
        first, second = new_address(), new_address()
        assert (await once(town.port, change(session, first))).status == 202
        tokens = [await link(town, first, "confirm-email")]
        assert (await once(town.port, change(session, second))).status == 202
        tokens.append(await link(town, second, "confirm-email"))
        requests = [use("confirm-email", token) for token in tokens for _ in range(13)]
        requests += [change(session, new_address()) for _ in range(6)]

        answers = await race(town, requests)

        confirmed = [answer.json()["email"] for answer in answers if answer.status == 200]
        assert len(confirmed) <= 1
        assert set(confirmed) <= {second}, "the first change was overtaken"
        # The guesses of one session are counted before they are hashed, and the undos are bounded.
        assert {answer.status for answer in answers} <= {200, 202, 400, 422, 429, 503}
        assert await stored(town, person) == (confirmed or [person.email])[0]
    assert " 500 " not in town.service.logs()


async def test_t42_32_undos_at_once_restore_the_address_once_and_no_session_lives(town: Town) -> None:
    person = await new_person(town.port)
    session = await person.log_in()
    target = new_address()
    await once(town.port, change(session, target))
    undo = await link(town, person.email, "undo-email")
    confirm = await link(town, target, "confirm-email")

    answers = await race(town, [use("undo-email", undo)] * 24 + [use("confirm-email", confirm)] * 8)

    undone, confirmed = answers[:24], answers[24:]
    assert sorted(answer.status for answer in undone) == [204] + [400] * 23
    assert [answer.status for answer in confirmed].count(200) <= 1
    assert await stored(town, person) == person.email
    assert (await once(town.port, me(session.access))).status == 401
    assert (await once(town.port, login(person.email))).status == 401


async def test_t34_the_log_has_no_token_of_a_link(town: Town) -> None:
    person = await new_person(town.port)
    token = await link(town, person.email, "verify-email")

    before = town.service.logs().count("/verify-email")
    seen = await once(town.port, Ask("GET", f"/verify-email?token={token}"))
    await once(town.port, use("verify", token))
    await once(town.port, Ask("GET", f"/verify-email?token={token}"))
    async with asyncio.timeout(PATIENCE):
        while town.service.logs().count("/verify-email") < before + 2:
            await asyncio.sleep(0.05)

    assert seen.status == 200
    assert token not in town.service.logs()
    assert "pot1_" not in town.service.logs()
