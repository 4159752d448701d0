"""`POST /auth/request-verify-token`, `POST /auth/verify`, and what `require_verified_email` asks for."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import update

from propusk.context import Context
from propusk.db.dialect import changed
from propusk.mail import MailError
from propusk.one_time.issue import issue
from propusk.one_time.models import OneTimeToken, Purpose
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, SECRET_KEY, House, limits, of_requests

ADA = "ada@example.com"


async def sign_up(house: House, email: str = ADA) -> httpx.Response:
    answer = await house.client.post("/auth/register", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 201
    return answer


async def ask(house: House, email: str = ADA) -> httpx.Response:
    return await house.client.post("/auth/request-verify-token", json={"email": email})


async def verify(house: House, token: str) -> httpx.Response:
    return await house.client.post("/auth/verify", json={"token": token})


def refused(answer: httpx.Response, code: str, status: int = 400) -> bool:
    return (answer.status_code, answer.json().get("code")) == (status, code)


async def is_verified(house: House, email_key: str = ADA) -> bool:
    (row,) = await house.rows("users", email_key=email_key)
    return bool(row["is_verified"])


async def test_a_registration_sends_a_link_and_the_link_verifies(house: House) -> None:
    await sign_up(house)
    mail = await house.last_mail(ADA)
    assert "198.51.100.7" in mail.text
    assert "2026-11-21 09:30 UTC" in mail.text

    answer = await verify(house, await house.last_token(ADA))

    assert answer.status_code == 200
    assert answer.json()["is_verified"] is True
    assert await is_verified(house)
    kinds = [row["kind"] for row in await house.rows("audit_events")]
    assert sorted(kinds) == ["email_verified", "user_registered"]


async def test_a_link_verifies_once(house: House) -> None:
    await sign_up(house)
    token = await house.last_token(ADA)
    await verify(house, token)
    before = await house.rows("users")

    assert refused(await verify(house, token), "invalid_token")

    assert await house.rows("users") == before


async def test_sessions_and_password_outlive_the_verification(house: House) -> None:
    ada = await house.register()

    await verify(house, await house.last_token(ADA))

    assert await ada.is_in()
    assert (await ada.get("/users/me")).json()["is_verified"] is True
    assert await (await ada.log_in()).is_in()


async def test_the_first_link_that_is_used_kills_the_others(house: House) -> None:
    await sign_up(house)
    first = await house.last_token(ADA)
    house.clock.tick(seconds=1)
    await ask(house)
    second = await house.last_token(ADA)
    assert first != second

    assert (await verify(house, first)).status_code == 200

    assert refused(await verify(house, second), "invalid_token")


async def test_a_newer_link_does_not_void_an_older_one_that_nobody_used(house: House) -> None:
    await sign_up(house)
    first = await house.last_token(ADA)
    for _ in range(4):
        house.clock.tick(seconds=1)
        await ask(house)
        await house.mails()

    assert (await verify(house, first)).status_code == 200


async def test_the_sixth_live_link_kills_the_oldest(house: House) -> None:
    await sign_up(house)
    first = await house.last_token(ADA)
    for _ in range(5):
        house.clock.tick(seconds=1)
        await ask(house)
        await house.mails()

    assert refused(await verify(house, first), "invalid_token")
    assert (await verify(house, await house.last_token(ADA))).status_code == 200


async def test_a_link_lives_as_long_as_the_settings_say(make_house: MakeHouse) -> None:
    house = await make_house(verify_token_ttl="2h")
    await sign_up(house)
    token = await house.last_token(ADA)

    house.clock.tick(hours=2)
    assert refused(await verify(house, token), "expired_token")

    house.clock.tick(seconds=-1)
    assert (await verify(house, token)).status_code == 200


@pytest.mark.parametrize("token", ["", "pot1_", "x" * 48, "pot1_" + "A" * 43, "é" * 48, "pot1_" + "A" * 9000])
async def test_what_is_no_token_is_invalid(house: House, token: str) -> None:
    assert refused(await verify(house, token), "invalid_token")


async def test_a_token_of_another_purpose_does_not_verify(house: House) -> None:
    ada = await house.register()
    house.clock.tick(seconds=1)
    await ada.post("/users/me/email", {"new_email": "new@example.com", "password": PASSWORD})

    for email in ("new@example.com", ADA):
        assert refused(await verify(house, await house.last_token(email)), "invalid_token")
    assert not await is_verified(house)


async def test_a_link_that_was_asked_for_says_whence_the_account_came(house: House) -> None:
    await sign_up(house)
    house.clock.tick(hours=3)
    stranger = house.new_client("203.0.113.9")

    await stranger.post("/auth/request-verify-token", json={"email": ADA})

    mail = await house.last_mail(ADA)
    assert "198.51.100.7" in mail.text
    assert "2026-11-21 09:30 UTC" in mail.text
    assert "203.0.113.9" not in mail.text


async def test_t40_the_mail_goes_to_the_address_that_is_stored(house: House) -> None:
    await sign_up(house, "Ada@Example.com")

    await ask(house, "aDA@EXAMPLE.com")

    assert [mail.to for mail in await house.mails()] == ["Ada@Example.com"] * 2


@pytest.mark.parametrize(
    "email",
    [
        *("\u0130da@example.com", "ad\u212a@example.com", "ada\uff20example.com", "ada@ex\u0430mple..com"),
        *("ada@example.com,evil@example.net", "ada@example.com\r\nBcc: evil@example.net", '"e@evil"@example.com'),
        *("ada@example.com.", "ada@[127.0.0.1]", "ada@localhost", "Ada <ada@example.com>"),
    ],
)
async def test_t40_what_could_be_taken_for_another_address_is_refused(house: House, email: str) -> None:
    ada = await house.register()
    count = len(await house.rows("mails"))

    asked = await ask(house, email)
    changed = await ada.post("/users/me/email", {"new_email": email, "password": PASSWORD})

    assert [asked.status_code, changed.status_code] == [422, 422]
    assert len(await house.rows("mails")) == count


async def test_nothing_is_sent_to_who_is_verified_disabled_or_nobody(house: House) -> None:
    root = await house.superuser()
    eve = await house.register("eve@example.com")
    await root.patch(f"/users/{eve.id}", {"is_active": False})
    sent = len(await house.mails())

    for email in (root.email, eve.email, "nobody@example.com"):
        assert (await ask(house, email)).status_code == 202

    assert len(await house.mails()) == sent
    assert [row["state"] for row in await house.rows("mails", kind="verify", user_id=None)] == ["skipped"] * 3


async def test_t02_asking_for_a_link_is_the_same_for_everybody(house: House) -> None:
    root = await house.superuser()
    await sign_up(house)
    eve = await house.register("eve@example.com")
    await root.patch(f"/users/{eve.id}", {"is_active": False})
    await house.mails()
    seen: list[Any] = []

    for email in (ADA, root.email, eve.email, "nobody@example.com", "Ada@EXAMPLE.com"):
        with house.statements() as statements:
            answer = await ask(house, email)
        headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        seen.append((answer.status_code, answer.content, headers, of_requests(statements)))

    assert seen[0][:2] == (202, b"")
    assert [one == seen[0] for one in seen] == [True] * len(seen), seen


async def test_t02_a_mail_server_that_refuses_is_not_seen_in_the_answer(house: House) -> None:
    await sign_up(house)
    house.mailer.failing = MailError("550 no such mailbox", permanent=True)

    answers = [await ask(house, email) for email in (ADA, "nobody@example.com")]
    await house.auth.worker.run_due()

    assert [(answer.status_code, answer.content) for answer in answers] == [(202, b"")] * 2


async def test_strangers_may_ask_only_so_often(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(mail_network="3/1h"))

    answers = [await ask(house, f"nobody{n}@example.com") for n in range(4)]

    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert answers[-1].headers["retry-after"] == "3600"


@pytest.mark.parametrize("email", [ADA, "nobody@example.com"])
async def test_t02_an_address_gets_only_so_many_mails_and_nobody_is_told(make_house: MakeHouse, email: str) -> None:
    house = await make_house(limits=limits(mail_address="2/1h"))
    await sign_up(house)
    await house.mails()

    answers = [await ask(house, spelled) for spelled in (email, email.upper(), email, email)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(202, b"")] * 4
    assert len(await house.rows("mails", user_id=None)) == 2
    house.clock.tick(hours=1)
    await ask(house, email)
    assert len(await house.rows("mails", user_id=None)) == 3


async def test_who_goes_on_after_a_refusal_does_not_use_up_what_the_address_gets(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(mail_network="1/1h", mail_address="2/1h"))
    await sign_up(house)

    for _ in range(5):
        await ask(house)
    home = house.new_client("203.0.113.9")
    await home.post("/auth/request-verify-token", json={"email": ADA})

    assert len(await house.rows("mails", user_id=None)) == 2


async def test_the_body_is_checked_strictly(house: House) -> None:
    for path, body, fault in (
        ("request-verify-token", {}, ("email", "missing")),
        ("request-verify-token", {"email": "nobody"}, ("email", "not_an_email")),
        ("request-verify-token", {"email": ADA, "user": 1}, ("user", "extra_forbidden")),
        ("verify", {}, ("token", "missing")),
        ("verify", {"token": 1}, ("token", "wrong_type")),
    ):
        answer = await house.client.post(f"/auth/{path}", json=body)
        assert answer.status_code == 422
        assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [fault]


async def test_t24_the_links_of_who_was_disabled_refuse_also_after_they_are_back(house: House) -> None:
    root = await house.superuser()
    ada = await house.register()
    token = await house.last_token(ADA)

    await root.patch(f"/users/{ada.id}", {"is_active": False})
    assert refused(await verify(house, token), "invalid_token")

    await root.patch(f"/users/{ada.id}", {"is_active": True})
    assert refused(await verify(house, token), "invalid_token")
    assert not await is_verified(house)


async def test_t24_a_deleted_users_link_does_not_fit_a_new_user_of_the_same_address(house: House) -> None:
    ada = await house.register()
    token = await house.last_token(ADA)
    await ada.delete("/users/me", {"password": PASSWORD})
    await sign_up(house)

    assert refused(await verify(house, token), "invalid_token")

    assert not await is_verified(house)


async def test_a_link_dies_when_an_administrator_changes_the_address_also_when_it_is_changed_back(
    house: House,
) -> None:
    root = await house.superuser()
    ada = await house.register()
    token = await house.last_token(ADA)

    await root.patch(f"/users/{ada.id}", {"email": "other@example.com"})
    assert refused(await verify(house, token), "invalid_token")

    await root.patch(f"/users/{ada.id}", {"email": ADA})
    assert refused(await verify(house, token), "invalid_token")
    assert not await is_verified(house)


async def test_the_mail_of_a_registration_goes_to_its_address_or_nowhere(house: House) -> None:
    root = await house.superuser()
    ada = await house.register()
    await root.patch(f"/users/{ada.id}", {"email": "other@example.com"})

    mails = {mail.to: mail for mail in await house.mails() if mail.to != root.email}
    assert set(mails) == {ADA, "other@example.com"}
    assert "?token=" not in mails[ADA].text
    assert "registered" not in mails["other@example.com"].text


async def test_who_is_made_unverified_by_an_administrator_is_sent_a_link(make_house: MakeHouse) -> None:
    house = await make_house(require_verified_email=True)
    root = await house.superuser()

    await root.post("/users", {"email": ADA, "password": PASSWORD})
    assert refused(await login(house), "email_not_verified", 403)
    assert (await verify(house, await house.last_token(ADA))).status_code == 200
    assert (await login(house)).status_code == 200
    await root.post("/users", {"email": "eve@example.com", "password": PASSWORD, "is_verified": True})
    await root.post("/users", {"email": "bob@example.com"})

    assert [row["kind"] for row in await house.rows("mails") if row["kind"] == "verify"] == ["verify"]
    assert "reset-password" in (await house.last_mail("bob@example.com")).text


async def test_a_link_that_was_made_with_a_secret_key_that_is_gone_is_nothing(make_house: MakeHouse) -> None:
    old, new = SecretStr(SECRET_KEY), SecretStr("zq7canary-NEWKEY-9aT4mB1nW6yZ3cD5eF7gH0jPq")
    house = await make_house()
    await sign_up(house)
    token = await house.last_token(ADA)
    both = await make_house(secret_key=[new, old], clock=house.clock)
    alone = await make_house(secret_key=[new], clock=house.clock)

    assert refused(await verify(alone, token), "invalid_token")
    assert (await verify(both, token)).status_code == 200


async def test_a_token_that_could_not_be_made_is_an_error_and_not_a_link(house: House) -> None:
    async def make(ctx: Context, token_id: UUID) -> OneTimeToken:
        return await issue(ctx, Purpose.VERIFY, email_key=ADA, ttl=timedelta(hours=1), token_id=token_id)

    async def rename(ctx: Context) -> None:
        tokens = ctx.tables.one_time_tokens
        await changed(ctx.db, update(tokens).where(tokens.c.id == UUID(int=1)).values(id=UUID(int=2)))

    await house.do(lambda ctx: make(ctx, UUID(int=1)))
    await house.do(rename)

    with pytest.raises(LookupError):
        await house.do(lambda ctx: make(ctx, UUID(int=1)))


async def test_t24_a_link_is_written_with_its_user_locked(house: House) -> None:
    await sign_up(house)
    await house.mails()
    await ask(house)

    with house.statements() as statements:
        await house.mails()

    written = next(n for n, text in enumerate(statements) if text.startswith("INSERT") and "one_time_tokens" in text)
    assert [text for text in statements[:written] if text.startswith("UPDATE propusk_users")]


async def test_of_many_uses_of_one_link_at_once_one_wins(house: House) -> None:
    await sign_up(house)
    token = await house.last_token(ADA)

    answers = await asyncio.gather(*(verify(house, token) for _ in range(12)))

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 11
    assert len(await house.rows("audit_events", kind="email_verified")) == 1


async def test_a_mail_that_is_written_again_has_the_same_link(house: House) -> None:
    await sign_up(house)
    house.mailer.failing = MailError("421 later", permanent=False)
    await house.auth.worker.run_due()
    (row,) = await house.rows("one_time_tokens")
    house.mailer.failing = None
    house.clock.tick(minutes=5)

    token = await house.last_token(ADA)

    assert await house.rows("one_time_tokens") == [row]
    assert (await verify(house, token)).status_code == 200


async def login(house: House, password: str = PASSWORD) -> httpx.Response:
    return await house.client.post("/auth/login", json={"login": ADA, "password": password})


async def test_who_has_not_verified_cannot_log_in_if_so_chosen(make_house: MakeHouse) -> None:
    house = await make_house(require_verified_email=True)
    await sign_up(house)

    assert refused(await login(house), "email_not_verified", 403)
    assert await house.rows("sessions") == []
    assert [row["detail"] for row in await house.rows("audit_events", kind="login_failed")] == ["email_not_verified"]

    await verify(house, await house.last_token(ADA))
    assert (await login(house)).status_code == 200


async def test_t01_only_a_right_password_learns_that_the_address_is_not_verified(make_house: MakeHouse) -> None:
    house = await make_house(require_verified_email=True)
    await sign_up(house)

    answer = await login(house, "zq7canary wrong horse")

    assert refused(answer, "invalid_credentials", 401)


async def test_logins_of_the_unverified_count_as_failures(make_house: MakeHouse) -> None:
    house = await make_house(require_verified_email=True, limits=limits(login_pair="3/15m"))
    await sign_up(house)

    assert [(await login(house)).status_code for _ in range(4)] == [403, 403, 403, 429]


async def test_who_is_disabled_and_unverified_is_disabled(make_house: MakeHouse) -> None:
    house = await make_house(require_verified_email=True)
    root = await house.superuser()
    user = (await sign_up(house)).json()
    await root.patch(f"/users/{user['id']}", {"is_active": False})

    assert refused(await login(house), "account_disabled", 403)
