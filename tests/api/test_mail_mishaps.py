"""Mails when something is slow, hangs, was wrong for a while, or is done by a thief."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import pytest
from sqlalchemy import insert, update

from propusk.context import Context, brief
from propusk.errors import Overloaded
from propusk.mail import MailError
from propusk.mail.deliver import CLAIM, Delivery
from propusk.mail.models import Letter, Mail, MailState, Message
from propusk.mail.outbox import HALF, check_room, enqueue, send_again
from propusk.mail.queries import list_mails
from propusk.mail.render import Texts
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, limits, until

NEW = "zq7canary new horse"
ADA = "ada@example.com"


async def write_never(ctx: Context, mail: Mail) -> Letter | None:
    await asyncio.sleep(3600)
    return None


async def write_cancelled(ctx: Context, mail: Mail) -> Letter | None:
    raise asyncio.CancelledError


ODD = {"never": write_never, "cancelled": write_cancelled}


class Slow:
    """A mail server that takes a mail, and its time."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.thought_enough = asyncio.Event()

    async def send(self, message: Message) -> None:
        self.taken.append(message.message_id)
        await self.thought_enough.wait()

    async def close(self) -> None: ...


def delivery(house: House, mailer: Slow | None = None, **seconds: float) -> Delivery:
    return Delivery(house.auth.transaction, mailer or house.mailer, Texts(house.auth.settings), **seconds)


async def test_t53_asking_for_one_kind_of_mail_keeps_nobody_from_another(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(mail_address="2/1h"))
    await house.register()
    evil = house.new_client("203.0.113.9")
    for _ in range(3):
        await evil.post("/auth/request-verify-token", json={"email": ADA})
    before = len(await house.mails(ADA))

    await house.client.post("/auth/forgot-password", json={"email": ADA})

    assert len(await house.mails(ADA)) == before + 1


async def test_a_mail_that_is_sent_again_tells_of_the_time_when_it_happened(house: House) -> None:
    ada = await house.register()
    await house.mails()
    house.mailer.failing = MailError("550 no", permanent=True)
    await ada.post("/users/me/password", {"current_password": PASSWORD, "new_password": NEW})
    await house.mails()
    for _ in range(2):
        house.clock.tick(days=5)

        async def again(ctx: Context) -> None:
            for mail in await list_mails(ctx, state=MailState.FAILED, limit=10):
                await send_again(ctx, mail)

        await house.do(again)
        await house.mails()
        house.mailer.failing = None

    assert "2026-11-21 09:30 UTC" in (await house.last_mail(ADA)).text


async def test_a_writer_that_hangs_does_not_stop_the_others(house: House) -> None:
    cast("dict[str, object]", house.auth.registry.mails).update(ODD)
    await house.do(lambda ctx: enqueue(ctx, "never"))
    house.clock.tick(seconds=1)
    await house.register()

    assert await delivery(house, writing=0.5).deliver_next(), "it has been due for longest"
    deliver = delivery(house)
    while await deliver.deliver_next():
        pass

    assert len(house.mailer.messages) == 1
    (row,) = await house.rows("mails", kind="never")
    assert (row["state"], row["error"]) == ("queued", "could not be written: TimeoutError")


async def test_a_mail_whose_attempts_never_end_is_given_up(house: House) -> None:
    cast("dict[str, object]", house.auth.registry.mails).update(ODD)
    await house.do(lambda ctx: enqueue(ctx, "cancelled"))
    deliver = delivery(house)
    for _ in range(40):
        with suppress(asyncio.CancelledError):
            await deliver.deliver_next()
        house.clock.tick(hours=1)

    (row,) = await house.rows("mails", kind="cancelled")
    assert (row["state"], row["error"]) == ("failed", "no attempt came to an end")


async def test_a_mail_is_ours_for_as_long_as_its_server_thinks(house: House) -> None:
    await house.register()
    slow = Slow()
    work = asyncio.create_task(delivery(house, slow, renew=0.1).deliver_next())
    await until(lambda: slow.taken)
    for _ in range(2):
        house.clock.tick(seconds=80)
        await until(lambda: claimed_until(house, house.clock() + CLAIM))

    assert not await delivery(house, slow).deliver_next()
    slow.thought_enough.set()
    await work
    assert len(slow.taken) == 1
    assert (await house.rows("mails"))[0]["state"] == "sent"


async def claimed_until(house: House, then: datetime) -> bool:
    return [row["due_at"] for row in await house.rows("mails")] == [then]


async def test_a_notice_goes_to_the_address_of_then(house: House) -> None:
    ada = await house.register()
    await house.mails()
    await ada.post("/users/me/password", {"current_password": PASSWORD, "new_password": NEW})

    async def steal(ctx: Context) -> None:
        users = ctx.tables.users
        thief = {"email": "thief@example.com", "email_key": "thief@example.com"}
        await ctx.db.execute(update(users).where(users.c.id == UUID(ada.id)).values(**thief))

    await house.do(steal)

    assert (await house.mails())[-1].to == ADA
    assert await house.mails("thief@example.com") == []


async def test_a_thief_does_not_choose_the_language_of_notices(house: House) -> None:
    await house.register()
    await house.mails()
    thief = house.new_client("203.0.113.9", headers={"User-Agent": "odd", "Accept-Language": "ru"})
    answer = (await thief.post("/auth/login", json={"login": ADA, "password": PASSWORD})).json()
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    await thief.post("/users/me/email", json={"new_email": "thief@example.com", "password": PASSWORD}, headers=bearer)

    told = (await house.mails(ADA))[1:]
    assert [mail.language for mail in told] == ["en", "en"]


async def test_a_mail_of_a_clock_that_was_ahead_is_due(house: House) -> None:
    await house.register()
    await house.mails()
    house.clock.tick(days=30)
    await house.client.post("/auth/forgot-password", json={"email": ADA})
    house.clock.tick(days=-30)

    assert len(await house.mails(ADA)) == 2


async def test_registrations_leave_room_for_who_forgot_their_password(house: House) -> None:
    await house.register()

    async def fill(ctx: Context) -> None:
        (mail,) = await list_mails(ctx, state=None, limit=1)
        values = {name: getattr(mail, name) for name in Mail.__slots__} | {"state": MailState.QUEUED}
        await ctx.db.execute(insert(ctx.tables.mails), [values | {"id": UUID(int=n + 1)} for n in range(HALF + 1)])

    await house.do(fill)
    with pytest.raises(Overloaded):
        await house.do(lambda ctx: check_room(ctx, room=HALF))
    body = {"email": "eve@example.com", "password": PASSWORD}
    assert (await house.client.post("/auth/register", json=body)).status_code == 503
    assert (await house.client.post("/auth/forgot-password", json={"email": ADA})).status_code == 202
    assert len(await house.rows("users")) == 1


async def test_a_mail_that_a_stranger_asked_for_goes_with_its_user(house: House) -> None:
    ada = await house.register()
    for path in ("forgot-password", "request-verify-token"):
        await house.client.post(f"/auth/{path}", json={"email": ADA})
    await house.mails()

    assert {row["user_id"] for row in await house.rows("mails")} == {UUID(ada.id)}
    await ada.delete("/users/me", {"password": PASSWORD})
    assert await house.rows("mails") == []


async def test_a_transaction_on_a_silent_connection_is_broken_off(house: House) -> None:
    with pytest.raises(TimeoutError):
        async with brief(house.auth.transaction, 0.5)() as ctx:
            await list_mails(ctx, state=None, limit=1)
            await asyncio.sleep(timedelta(hours=1).total_seconds())
    await house.do(lambda ctx: list_mails(ctx, state=None, limit=1))
