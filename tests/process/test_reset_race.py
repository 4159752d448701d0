"""Links that reset a password, used by many at once on every worker, and what goes on beside them."""

import asyncio
import re
from email import message_from_bytes
from email.policy import default
from uuid import UUID

import pytest

from tests.process.people import Login, Person, login, me, new_person, refresh
from tests.process.service import PATIENCE
from tests.process.town import Town
from tests.process.wire import Ask, connect_to_all, once, together

pytestmark = pytest.mark.xdist_group("clusters")
PARALLEL = 32


def reset(token: str, password: str) -> Ask:
    return Ask("POST", "/auth/reset-password", body={"token": token, "password": password})


def tokens_sent_to(town: Town, email: str) -> set[str]:
    """The tokens of all links to set a password in the mailbox."""
    found = set()
    for path in (town.service.folder / "propusk-data" / "mail").glob("*.eml"):
        mail = message_from_bytes(path.read_bytes(), policy=default)
        body = mail.get_body(("plain",))
        if mail["To"] == email and body is not None:
            found.update(re.findall(r"/reset-password\?token=(\S+)", body.get_content()))
    return found


async def new_link(town: Town, email: str) -> str:
    """The token of a new link to this address, once its mail has come."""
    before = await asyncio.to_thread(tokens_sent_to, town, email)
    asked = await once(town.port, Ask("POST", "/auth/forgot-password", body={"email": email}))
    assert (asked.status, asked.body) == (202, b"")
    async with asyncio.timeout(PATIENCE):
        while not (new := await asyncio.to_thread(tokens_sent_to, town, email) - before):
            await asyncio.sleep(0.05)
    return new.pop()


async def epoch(town: Town, person: Person) -> int:
    users = town.records.tables.users
    (row,) = await town.records.rows(users, users.c.id == UUID(person.id))
    return int(row["session_epoch"])


async def test_t39_of_32_uses_of_one_link_on_all_workers_one_wins(town: Town) -> None:
    person = await new_person(town.port)
    for n in range(3):
        token = await new_link(town, person.email)
        passwords = [f"zq7canary horse {n} {rider}" for rider in range(PARALLEL)]
        async with await connect_to_all(town.port, PARALLEL, workers=town.service.workers) as wires:
            answers = await together(wires, [reset(token, password) for password in passwords])

        assert sorted(answer.status for answer in answers) == [204] + [400] * (PARALLEL - 1)
        assert {answer.code for answer in answers if answer.status == 400} == {"invalid_token"}
        winner = [answer.status for answer in answers].index(204)
        assert await epoch(town, person) == n + 1, "the losers wrote nothing"
        for rider in (winner, (winner + 1) % PARALLEL):
            answer = await once(town.port, login(person.email, passwords[rider]))
            assert answer.status == (200 if rider == winner else 401)


async def test_t25_no_refresh_and_no_login_beside_a_reset_outlives_it(town: Town) -> None:
    person, password = await new_person(town.port), None
    for n in range(5):
        given = (person.email, password) if password else (person.email,)
        first = [Login.of(await once(town.port, login(*given))) for _ in range(PARALLEL // 2)]
        token, password = await new_link(town, person.email), f"zq7canary horse number {n}"
        asked = [refresh(one.refresh) for one in first] + [login(*given)] * (PARALLEL // 2 - 1)
        asked.insert(n * 6, reset(token, password))
        async with await connect_to_all(town.port, PARALLEL, workers=town.service.workers) as wires:
            answers = await together(wires, asked)

        assert answers[n * 6].status == 204
        assert {answer.status for answer in answers} <= {200, 204, 401}
        later = [Login.of(answer) for answer in answers if answer.status == 200]
        for one in first + later:
            assert (await once(town.port, me(one.access))).status == 401
            assert (await once(town.port, refresh(one.refresh))).status == 401
    assert " 500 " not in town.service.logs()
