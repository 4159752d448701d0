"""`private_registration`: nobody learns from registering who has an account, and nobody has one before the mail."""

import asyncio
from typing import Any

import httpx
import pytest

from propusk.mail import MailError
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, Person, limits, of_requests

ADA, EVE = "ada@example.com", "eve@example.com"


@pytest.fixture
async def private(make_house: MakeHouse) -> House:
    return await make_house(private_registration=True)


async def sign_up(house: House, email: str = ADA, password: str = PASSWORD, **fields: Any) -> httpx.Response:
    return await house.client.post("/auth/register", json={"email": email, "password": password, **fields})


async def verify(house: House, token: str) -> httpx.Response:
    return await house.client.post("/auth/verify", json={"token": token})


async def person(house: House, email: str = ADA, password: str = PASSWORD) -> Person:
    """Somebody who registered and confirmed."""
    assert (await sign_up(house, email, password)).status_code == 202
    answer = await verify(house, await house.last_token(email))
    assert answer.status_code == 200, answer.text
    return await house.log_in(email, password)


def refused(answer: httpx.Response, code: str, status: int = 400) -> bool:
    return (answer.status_code, answer.json().get("code")) == (status, code)


async def test_a_registration_becomes_a_user_when_its_mail_is_confirmed(private: House) -> None:
    answer = await sign_up(private, "Ada@Example.com", name="Ada", profile={"born": 1815})

    assert (answer.status_code, answer.json()) == (202, {})
    assert await private.rows("users") == []
    login = {"login": ADA, "password": PASSWORD}
    assert refused(await private.client.post("/auth/login", json=login), "invalid_credentials", 401)

    made = await verify(private, await private.last_token("Ada@Example.com"))

    assert made.status_code == 200
    user = made.json()
    assert (user["email"], user["name"], user["profile"]) == ("Ada@Example.com", "Ada", {"born": 1815})
    assert user["is_verified"] is True
    assert await (await private.log_in(ADA)).is_in()
    events = [row["kind"] for row in await private.rows("audit_events")]
    assert {"user_registered", "email_verified"} <= set(events)


async def test_a_confirmed_registration_gets_no_second_link(private: House) -> None:
    await person(private)

    assert len(await private.mails(ADA)) == 1
    assert await private.rows("mails", kind="verify") == []


async def test_a_registration_is_confirmed_once(private: House) -> None:
    await sign_up(private)
    token = await private.last_token(ADA)
    await verify(private, token)

    assert refused(await verify(private, token), "invalid_token")
    assert len(await private.rows("users")) == 1


async def test_a_registration_expires(private: House) -> None:
    await sign_up(private)
    token = await private.last_token(ADA)

    private.clock.tick(hours=24)

    assert refused(await verify(private, token), "expired_token")
    assert await private.rows("users") == []


async def test_who_has_an_account_is_told_and_it_stays_as_it_is(private: House) -> None:
    ada = await person(private)
    before = await private.rows("users"), await private.rows("passwords")

    answer = await sign_up(private, "ADA@example.com", "zq7canary another horse")

    assert (answer.status_code, answer.json()) == (202, {})
    mail = await private.last_mail(ADA)
    assert "already" in mail.subject
    assert "?token=" not in mail.text
    assert (await private.rows("users"), await private.rows("passwords")) == before
    assert await ada.is_in()


async def test_an_address_that_can_come_back_is_taken(private: House) -> None:
    ada = await person(private)
    private.clock.tick(seconds=1)
    await ada.post("/users/me/email", {"new_email": "new@example.org", "password": PASSWORD})
    body = {"token": await private.last_token("new@example.org")}
    assert (await private.client.post("/auth/confirm-email", json=body)).status_code == 200
    private.clock.tick(seconds=1)

    assert (await sign_up(private)).status_code == 202

    mail = await private.last_mail(ADA)
    assert "already" in mail.subject
    assert "?token=" not in mail.text


async def test_t02_registering_is_the_same_for_every_address(private: House) -> None:
    root = await private.superuser()
    await person(private)
    eve = await person(private, EVE)
    await root.patch(f"/users/{eve.id}", {"is_active": False})
    await sign_up(private, "waits@example.com")
    await private.mails()
    seen: list[Any] = []

    for email in ("nobody@example.com", ADA, EVE, "waits@example.com", "ADA@example.com"):
        hashes = private.auth.passwords.calls
        with private.statements() as statements:
            answer = await sign_up(private, email)
        headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        seen.append(
            (
                answer.status_code,
                answer.content,
                headers,
                of_requests(statements),
                private.auth.passwords.calls - hashes,
            )
        )

    assert (seen[0][0], seen[0][1], seen[0][-1]) == (202, b"{}", 1)
    assert all(one == seen[0] for one in seen)


async def test_t02_it_stays_the_same_however_often_somebody_registers(private: House) -> None:
    await person(private)
    seen: list[list[Any]] = []

    for email in (ADA, "nobody@example.com"):
        seen.append([])
        for _ in range(8):
            private.clock.tick(seconds=1)
            with private.statements() as statements:
                answer = await sign_up(private, email)
            await private.mails()
            seen[-1].append((answer.status_code, answer.content, of_requests(statements)))

    assert seen[0] == seen[1]


async def test_t02_a_mail_server_that_refuses_is_not_seen_in_the_answer(private: House) -> None:
    private.mailer.failing = MailError("550 no such mailbox", permanent=True)

    answer = await sign_up(private)
    await private.auth.worker.run_due()

    assert (answer.status_code, answer.json()) == (202, {})


@pytest.mark.parametrize("email", [ADA, "nobody@example.com"])
async def test_t02_an_address_gets_only_so_many_mails_and_nobody_is_told(make_house: MakeHouse, email: str) -> None:
    house = await make_house(private_registration=True, limits=limits(mail_address="2/1h"))
    await person(house)
    house.clock.tick(hours=2)
    before, hashes = len(await house.rows("mails")), house.auth.passwords.calls

    answers = [await sign_up(house, email) for _ in range(4)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(202, b"{}")] * 4
    assert len(await house.rows("mails")) == before + 2
    assert house.auth.passwords.calls == hashes + 4


async def test_a_username_is_refused_because_it_would_tell_who_has_it(private: House) -> None:
    for username in ("ada", "free", "x"):
        answer = await sign_up(private, username=username)
        assert answer.status_code == 422
        assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [("username", "extra_forbidden")]
    assert (await sign_up(private, username=None)).status_code == 202


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"password": "zq7cana"}, "password"),
        ({"name": "a" * 201}, "name"),
        ({"profile": {"a": "x" * 5000}}, "profile"),
    ],
)
async def test_what_may_not_be_is_told_at_once(private: House, fields: dict[str, Any], field: str) -> None:
    answer = await sign_up(private, **fields)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert await private.rows("one_time_tokens") == []


async def test_the_limits_of_registration_hold_here_too(make_house: MakeHouse) -> None:
    house = await make_house(private_registration=True, limits=limits(register="2/1h"))

    answers = [await sign_up(house, f"person{n}@example.com") for n in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]


async def test_closed_registration_stays_closed(make_house: MakeHouse) -> None:
    house = await make_house(private_registration=True, registration="closed")

    assert refused(await sign_up(house), "registration_closed", 403)


async def test_the_password_is_nowhere_but_as_a_hash_in_the_row_of_the_token(private: House) -> None:
    await sign_up(private)

    assert "argon2" not in str(await private.rows("mails"))
    (token,) = await private.rows("one_time_tokens")
    assert token["payload"]["hash"].startswith("$argon2id$")
    assert PASSWORD not in str(token)
    mail = await private.last_mail(ADA)
    assert "argon2" not in mail.text + mail.html


async def payloads(house: House) -> list[Any]:
    return [row["payload"] for row in await house.rows("one_time_tokens", purpose="register")]


async def test_nothing_of_a_registration_is_kept_in_its_token_once_that_is_over(private: House) -> None:
    for n in range(7):
        private.clock.tick(seconds=1)
        await sign_up(private, name=f"Ada {n}")
    assert sorted(map(bool, await payloads(private))) == [False] * 2 + [True] * 5, "two were displaced"

    await verify(private, await private.last_token(ADA))

    assert await payloads(private) == [{}] * 7
    assert (await private.rows("users"))[0]["name"] == "Ada 6"


async def test_nothing_of_a_registration_is_kept_once_it_has_expired(private: House) -> None:
    await sign_up(private)
    token = await private.last_token(ADA)
    private.clock.tick(hours=23, minutes=59)
    await private.auth.worker.run_due()
    assert [payload["email"] for payload in await payloads(private)] == [ADA]

    private.clock.tick(hours=1)
    await private.auth.worker.run_due()

    assert await payloads(private) == [{}]
    assert refused(await verify(private, token), "expired_token")


async def test_what_waits_for_the_address_of_who_is_deleted_goes_too(private: House) -> None:
    ada = await person(private)
    await sign_up(private)
    await sign_up(private, EVE)

    assert (await ada.delete("/users/me", {"password": PASSWORD})).status_code == 204

    assert [row["email_key"] for row in await private.rows("one_time_tokens")] == [EVE]


async def test_t41_of_several_that_wait_for_one_address_the_first_confirmed_wins_and_the_others_die(
    private: House,
) -> None:
    await sign_up(private, password="zq7canary of a thief")
    thiefs = await private.last_token(ADA)
    private.clock.tick(seconds=1)
    await sign_up(private)
    owners = await private.last_token(ADA)

    assert (await verify(private, owners)).status_code == 200

    assert refused(await verify(private, thiefs), "invalid_token")
    login = {"login": ADA, "password": "zq7canary of a thief"}
    assert refused(await private.client.post("/auth/login", json=login), "invalid_credentials", 401)


async def test_an_address_that_was_taken_meanwhile_is_taken(private: House) -> None:
    root = await private.superuser()
    await sign_up(private)
    token = await private.last_token(ADA)
    await root.post("/users", {"email": ADA, "password": "zq7canary other horse"})

    assert refused(await verify(private, token), "email_taken", 409)


async def test_of_many_uses_of_one_link_at_once_one_wins(private: House) -> None:
    await sign_up(private)
    token = await private.last_token(ADA)

    answers = await asyncio.gather(*(verify(private, token) for _ in range(12)))

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 11
    assert len(await private.rows("users")) == 1


async def test_of_several_registrations_of_one_address_at_once_one_wins(private: House) -> None:
    tokens = []
    for n in range(4):
        private.clock.tick(seconds=1)
        await sign_up(private, password=f"zq7canary horse number {n}")
        tokens.append(await private.last_token(ADA))

    answers = await asyncio.gather(*(verify(private, token) for token in tokens))

    assert [answer.status_code for answer in answers].count(200) == 1
    assert {answer.status_code for answer in answers} <= {200, 400, 409}
    assert len(await private.rows("users")) == 1


async def test_asking_for_a_link_brings_none_for_what_waits(private: House) -> None:
    await sign_up(private)
    await private.mails()

    answer = await private.client.post("/auth/request-verify-token", json={"email": ADA})

    assert answer.status_code == 202
    assert len(await private.mails(ADA)) == 1
