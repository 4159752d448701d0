"""Mails against a real mail server that takes them, refuses them, hangs, hangs up, or is away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import insert

from propusk.assemble import assemble
from propusk.auth import Auth
from propusk.context import Context
from propusk.errors import InvalidInput, Overloaded
from propusk.feature import Feature
from propusk.mail import Mailer, MailError
from propusk.mail.deliver import CLAIM, RENEW, Delivery
from propusk.mail.links import page_link
from propusk.mail.memory import MemoryMailer
from propusk.mail.models import Letter, Mail, Message
from propusk.mail.outbox import ROOM, check_room, enqueue, send_again
from propusk.mail.queries import find_mail, look_into_outbox
from propusk.mail.render import Texts, shown_time
from propusk.mail.smtp import SmtpMailer
from propusk.one_time.issue import issue, token_of
from propusk.one_time.models import Purpose
from propusk.setting_mail import MailServer, parse_mail_url
from propusk.users.email_address import normalise_email
from tests.kit import House, SeededEntropy, in_some_round, until
from tests.post import LOGIN, PostOffice, make_certificate, post_office, tls_of

ADA = "ada@example.com"
PATIENT = 60.0


def server_at(office: PostOffice, security: str = "none", login: tuple[str, str] | None = None) -> MailServer:
    user = f"{quote(login[0], safe='')}:{quote(login[1], safe='')}@" if login else ""
    return parse_mail_url(f"smtp://{user}localhost:{office.port}?security={security}")


def message(**changes: Any) -> Message:
    values: dict[str, Any] = {
        "message_id": "<01a1fd17-d0e0-7987-ba27-c603d83ecdcf@id.example.com>",
        "to": ADA,
        "sender": "Пропуск <no-reply@id.example.com>",
        "subject": "Новый пароль",
        "text": "Откройте\n\nhttps://id.example.com/reset?token=zq7canary\n.\n",
        "html": '<p>Откройте</p><a href="https://id.example.com/reset?token=zq7canary">здесь</a>',
        "language": "ru",
        "sent_at": datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    }
    return Message(**values | changes)


@asynccontextmanager
async def mailer_to(server: MailServer, **options: Any) -> AsyncIterator[SmtpMailer]:
    mailer = SmtpMailer(server, **{"timeout": PATIENT} | options)
    try:
        yield mailer
    finally:
        await mailer.close()


async def refusal(office: PostOffice, **changes: Any) -> MailError:
    async with mailer_to(server_at(office)) as mailer:
        with pytest.raises(MailError) as refused:
            await mailer.send(message(**changes))
    assert "zq7canary" not in str(refused.value)
    return refused.value


# --- one mail, one server


async def test_a_mail_arrives_as_it_was_written_with_exactly_one_recipient() -> None:
    async with post_office() as office, mailer_to(server_at(office)) as mailer:
        await mailer.send(message())

    (parcel,) = office.parcels
    assert (parcel.sender, parcel.recipients) == ("no-reply@id.example.com", [ADA])
    assert parcel.content.isascii()
    mail = parcel.mail
    assert (mail["From"], mail["To"]) == ("Пропуск <no-reply@id.example.com>", ADA)
    assert (mail["Subject"], mail["Content-Language"], mail["Auto-Submitted"]) == (
        "Новый пароль",
        "ru",
        "auto-generated",
    )
    assert mail["Message-ID"] == "<01a1fd17-d0e0-7987-ba27-c603d83ecdcf@id.example.com>"
    assert mail["Date"] == "Sat, 21 Nov 2026 09:30:00 +0000"
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert parcel.text.replace("\r\n", "\n") == message().text


async def test_the_same_mail_is_the_same_bytes_each_time() -> None:
    async with post_office() as office, mailer_to(server_at(office)) as mailer:
        await mailer.send(message())
        await mailer.send(message())

    assert office.parcels[0].content == office.parcels[1].content


async def test_an_international_domain_goes_as_a_labels() -> None:
    async with post_office() as office, mailer_to(server_at(office)) as mailer:
        await mailer.send(message(to="ada@Пример.example", sender="no-reply@почта.example"))

    (parcel,) = office.parcels
    assert parcel.recipients == ["ada@xn--e1afmkfd.example"]
    assert parcel.sender == "no-reply@xn--80a1acny.example"
    assert parcel.mail["To"] == "ada@xn--e1afmkfd.example"


@pytest.mark.parametrize(
    "to",
    [
        "ada@example.com,eve@example.com",
        "ada@example.com\r\nRCPT TO:<eve@example.com>",
        "ada@example.com\nBcc: eve@example.com",
        "<ada@example.com>",
        '"ada b"@example.com',
        "ada@example.com eve@example.com",
        "Ada: ada@example.com, eve@example.com;",
        "@example.com",
        "ada@",
        "",
    ],
)
async def test_t40_what_is_not_exactly_one_address_gets_nothing(to: str) -> None:
    async with post_office() as office:
        refused = await refusal(office, to=to)

    assert refused.permanent
    assert (office.parcels, office.commands) == ([], [])


@pytest.mark.parametrize(
    "change",
    [{"subject": "Hello\r\nBcc: eve@example.com"}, {"message_id": "<a@b>\nBcc: eve@example.com"}],
)
async def test_t40_no_header_can_have_another_one_in_it(change: dict[str, str]) -> None:
    async with post_office() as office:
        assert (await refusal(office, **change)).permanent

    assert office.parcels == []


@pytest.mark.parametrize("encoded", ["=?utf-8?q?=0D=0ABcc:eve=40example.com?=", "=?utf-8?b?DQpCY2M6YUBiLmNj?="])
async def test_t40_an_encoded_line_end_stays_encoded(encoded: str) -> None:
    """Python's own headers decode such words before they write them, line ends and all; its servers, in addresses."""
    async with post_office() as office, mailer_to(server_at(office)) as mailer:
        await mailer.send(message(subject=encoded, sender=f"{encoded} <no-reply@id.example.com>"))
    (parcel,) = office.parcels
    head = parcel.content.split(b"\r\n\r\n")[0]
    names = [line.split(b":")[0] for line in head.split(b"\r\n") if not line.startswith(b" ")]
    assert len(names) == len(set(names)) == 9
    assert b"Bcc" not in names

    async with post_office() as office:
        assert (await refusal(office, to=f"{encoded.replace(':', '=3A')}@example.com")).permanent
    assert office.commands == []


locals_ = st.text("abcXYZ019!#$%&'*+/=?^_`{|}~-.", min_size=1, max_size=64)
domains = st.sampled_from(["example.com", "пример.example", "xn--e1afmkfd.example", "Straße.example", "a.b-c.test"])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(local=locals_, domain=domains)
async def test_t40_every_address_that_is_accepted_gets_its_mail_and_nobody_else(local: str, domain: str) -> None:
    try:
        accepted = normalise_email(f"{local}@{domain}")
    except InvalidInput:
        assume(False)
    async with post_office() as office, mailer_to(server_at(office)) as mailer:
        await mailer.send(message(to=accepted.address))

    (parcel,) = office.parcels
    (recipient,) = parcel.recipients
    assert recipient.lower() == accepted.key
    assert recipient.startswith(f"{local}@")


@pytest.mark.parametrize(
    ("step", "answer", "permanent"),
    [
        ("MAIL", "421 closing", False),
        ("MAIL", "451 later", False),
        ("MAIL", "550 5.7.1 sender refused", False),
        ("RCPT", "421 closing", False),
        ("RCPT", "451 4.7.1 greylisted", False),
        ("RCPT", "452 4.2.2 full", False),
        ("RCPT", "530 5.7.0 log in first", False),
        ("RCPT", "550 5.1.1 no such user", True),
        ("RCPT", "554 5.7.1 refused", True),
        ("DATA", "421 closing", False),
        ("DATA", "451 4.3.0 later", False),
        ("DATA", "550 5.7.1 spam", True),
        ("DATA", "554 5.6.0 not wanted", True),
    ],
)
async def test_what_the_server_refuses_is_for_good_only_if_it_is_about_this_mail(
    step: str, answer: str, permanent: bool
) -> None:
    async with post_office(PostOffice(answers={step: answer})) as office:
        refused = await refusal(office)

    assert refused.permanent is permanent
    assert str(refused).startswith(f"{step}: {answer[:3]}")
    assert office.parcels == []


async def test_the_reason_has_nothing_of_the_mail_though_the_server_quotes_it() -> None:
    quoted = f"550 5.7.1 <{ADA}>: https://id.example.com/reset?token=zq7canary is on a list of pot1_{'x' * 43}"
    async with post_office(PostOffice(answers={"DATA": quoted})) as office:
        refused = await refusal(office)

    assert str(refused) == "DATA: 550 5.7.1 … … is on a list of …"


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_a_server_that_hangs_is_not_waited_for(step: str) -> None:
    async with post_office(PostOffice(hangs_at=step)) as office, mailer_to(server_at(office), timeout=0.2) as mailer:
        with pytest.raises((MailError, TimeoutError)) as refused:
            async with asyncio.timeout(2):  # as a delivery has it: the end of DATA has a longer one of its own
                await mailer.send(message())
    if isinstance(refused.value, MailError):
        assert not refused.value.permanent


async def test_a_server_that_never_greets_is_not_waited_for() -> None:
    left = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with mailer_to(MailServer("127.0.0.1", port, "none"), timeout=0.2) as mailer:
        with pytest.raises(MailError) as refused:
            await mailer.send(message())
    await left.wait()
    server.close()
    assert not refused.value.permanent


@pytest.mark.parametrize("drops", ["in data", "after data"])
async def test_a_connection_that_breaks_around_the_mail_is_no_answer(drops: str) -> None:
    async with post_office(PostOffice(drops=drops)) as office:
        refused = await refusal(office)

    assert not refused.permanent


async def test_a_server_that_is_away_is_no_answer() -> None:
    async with post_office() as office:
        pass
    refused = await refusal(office)

    assert not refused.permanent


async def test_a_connection_serves_the_next_mail_and_ends_politely_when_idle() -> None:
    async def one_serves_three() -> bool:
        async with post_office() as office, mailer_to(server_at(office), idle=60) as mailer:
            for _ in range(3):
                await mailer.send(message())
            assert len(office.parcels) == 3
            assert office.commands[-1] == "DATA"
            return office.connections == 1

    assert await in_some_round(one_serves_three)
    async with post_office() as office, mailer_to(server_at(office), idle=0.2) as mailer:
        await mailer.send(message())
        await until(lambda: office.commands[-1] == "QUIT")
        await mailer.send(message())
    assert (len(office.parcels), office.connections) == (2, 2)


async def test_a_connection_that_died_meanwhile_is_made_anew() -> None:
    async with post_office() as office:
        mailer = SmtpMailer(server_at(office), timeout=PATIENT)
        office.drops = "after data"
        with pytest.raises(MailError):
            await mailer.send(message())
        office.drops = None
        await mailer.send(message())
        assert mailer._kept is not None and mailer._kept.transport is not None
        mailer._kept.transport.abort()  # type: ignore[attr-defined]
        await mailer.send(message())
        await mailer.close()

    assert len(office.parcels) == 3


async def test_a_refused_mail_is_not_in_the_way_of_the_next() -> None:
    async with post_office(PostOffice(answers={"RCPT": "550 no"})) as office, mailer_to(server_at(office)) as mailer:
        with pytest.raises(MailError):
            await mailer.send(message())
        office.answers.clear()
        await mailer.send(message())

    assert len(office.parcels) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(security: str, tmp_path: Path) -> None:
    tls = tls_of(make_certificate(tmp_path))
    async with (
        post_office(tls=tls, implicit=security == "tls") as office,
        mailer_to(server_at(office, security)) as mailer,
    ):
        with pytest.raises(MailError, match="CERTIFICATE_VERIFY_FAILED") as refused:
            await mailer.send(message())

    assert not refused.value.permanent
    assert office.parcels == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_the_operator_trusts_is_taken(
    security: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with (
        post_office(PostOffice(login=LOGIN), tls=tls_of(certificate), implicit=security == "tls") as office,
        mailer_to(server_at(office, security, LOGIN)) as mailer,
    ):
        await mailer.send(message())
        await mailer.check()

    assert (len(office.parcels), office.logins) == (1, 2)


async def test_without_tls_on_the_other_side_nothing_is_sent() -> None:
    async with post_office() as office, mailer_to(server_at(office, "starttls", LOGIN)) as mailer:
        with pytest.raises(MailError, match="STARTTLS") as refused:
            await mailer.send(message())

    assert not refused.value.permanent
    assert office.commands == []


async def test_a_wrong_password_is_our_fault_and_not_the_mails_and_is_not_told() -> None:
    async with (
        post_office(PostOffice(login=LOGIN)) as office,
        mailer_to(server_at(office, login=("propusk", "zq7canary wrong"))) as mailer,
    ):
        with pytest.raises(MailError) as refused:
            await mailer.send(message())
        with pytest.raises(MailError):
            await mailer.check()

    assert str(refused.value) == "login: 535 5.7.8"
    assert not refused.value.permanent
    assert "zq7canary" not in repr(mailer._server)


# --- the outbox and its delivery


async def write_hello(ctx: Context, mail: Mail) -> Letter | None:
    """A mail with a link, made as ours are."""
    token = await issue(ctx, Purpose.RESET, email_key=ADA, ttl=timedelta(hours=2), token_id=mail.id)
    link = page_link(ctx.settings, "reset-password", token_of(ctx, token))
    values = {"link": link, "use_by": shown_time(token.expires_at)}
    return Letter(to=ADA, template="reset_password", values=values, use_by=token.expires_at)


async def write_nothing(_ctx: Context, _mail: Mail) -> Letter | None:
    return None


async def write_badly(_ctx: Context, _mail: Mail) -> Letter | None:
    raise LookupError("zq7canary")


async def write_untold(_ctx: Context, _mail: Mail) -> Letter | None:
    return Letter(to=ADA, template="no_such_template")


MAILS = {"hello": write_hello, "nothing": write_nothing, "bad": write_badly, "untold": write_untold}
MakeNode = Callable[..., Auth]


@pytest.fixture
async def make_node(house: House) -> AsyncIterator[MakeNode]:
    """Nodes of one installation on the database of `house`: `make_node(mailer, mails=…)`."""
    made: list[Auth] = []

    def make(mailer: Mailer, mails: Any = None) -> Auth:
        feature = Feature("tests", mails=MAILS if mails is None else mails)
        entropy = SeededEntropy(f"zq7canary node {len(made)}")
        chosen = house.auth.settings.model_copy(
            update={"mail_url": SecretStr("smtp://localhost"), "mail_from": "Propusk <no-reply@id.example.com>"}
        )
        made.append(assemble(chosen, [feature], clock=house.clock, entropy=entropy, mailer=mailer))
        return made[-1]

    yield make
    for node in made:
        await node.close()


async def queue(node: Auth, kind: str = "hello", **args: Any) -> UUID:
    async with node.transaction() as ctx:
        await enqueue(ctx, kind, **args)
    async with node.transaction() as ctx:
        return max((mail["id"] for mail in await rows(ctx)), default=UUID(int=0))


async def rows(ctx: Context) -> list[Any]:
    from sqlalchemy import select

    return [row._mapping for row in await ctx.db.execute(select(ctx.tables.mails))]


async def found(node: Auth, mail_id: UUID) -> Mail:
    async with node.transaction() as ctx:
        mail = await find_mail(ctx, mail_id)
    assert mail is not None
    return mail


def delivery(node: Auth, **options: Any) -> Delivery:
    return Delivery(node.transaction, node.mailer, Texts(node.settings), **options)


async def test_a_mail_is_sent_once_and_its_row_says_so(make_node: MakeNode, house: House) -> None:
    async with post_office() as office, mailer_to(server_at(office)) as mailer:
        node = make_node(mailer)
        mail_id = await queue(node, secret="not kept")
        deliver = delivery(node)
        assert await deliver.deliver_next()
        assert not await deliver.deliver_next()

    mail = await found(node, mail_id)
    assert (mail.state, mail.attempts, mail.recipient, mail.error) == ("sent", 1, ADA, None)
    assert mail.args == {}
    assert mail.finished_at == house.clock.now
    (parcel,) = office.parcels
    assert parcel.recipients == [ADA]
    assert parcel.mail["Message-ID"] == f"<{mail_id}@127.0.0.1>"


async def test_a_mail_is_tried_until_it_is_taken_with_the_same_link_and_the_same_id(
    make_node: MakeNode, house: House
) -> None:
    async with post_office(PostOffice(drops="after data")) as office, mailer_to(server_at(office)) as mailer:
        node = make_node(mailer)
        mail_id = await queue(node)
        deliver = delivery(node)
        await deliver.deliver_next()
        waiting = await found(node, mail_id)
        assert (waiting.state, waiting.attempts) == ("queued", 1)
        assert waiting.error
        assert timedelta(seconds=15) <= waiting.due_at - house.clock.now <= timedelta(seconds=30)
        assert not await deliver.deliver_next()
        office.drops = None
        house.clock.tick(seconds=30)
        assert await deliver.deliver_next()

    # The server had it the first time, but its answer was lost: this is the one case of two.
    first, second = office.parcels
    assert first.content == second.content
    assert (await found(node, mail_id)).state == "sent"


@pytest.mark.parametrize("answer", ["421 closing", "451 later"])
async def test_a_server_that_asks_for_patience_gets_it_for_as_long_as_the_link_is_good(
    answer: str, make_node: MakeNode, house: House
) -> None:
    async with post_office(PostOffice(answers={"RCPT": answer})) as office, mailer_to(server_at(office)) as mailer:
        node = make_node(mailer)
        mail_id = await queue(node)
        deliver = delivery(node)
        pauses = []
        while (waiting := await found(node, mail_id)).state == "queued":
            pauses.append(waiting.due_at - house.clock.now)
            house.clock.now = waiting.due_at
            assert await deliver.deliver_next()

    assert (waiting.state, waiting.recipient) == ("failed", ADA)
    assert waiting.error == f"RCPT: {answer}"
    assert house.clock.now - waiting.created_at < timedelta(hours=2)
    assert 5 <= len(pauses) <= 10
    assert pauses == sorted(pauses)


async def test_a_mail_that_is_refused_for_good_is_not_tried_again(make_node: MakeNode) -> None:
    async with (
        post_office(PostOffice(answers={"RCPT": "550 5.1.1 no"})) as office,
        mailer_to(server_at(office)) as mailer,
    ):
        node = make_node(mailer)
        mail_id = await queue(node, kept="for a retry")
        await delivery(node).deliver_next()

    mail = await found(node, mail_id)
    assert (mail.state, mail.attempts, mail.error) == ("failed", 1, "RCPT: 550 5.1.1 no")
    assert mail.args == {"kept": "for a retry"}
    async with node.transaction() as ctx:
        outbox = await look_into_outbox(ctx.db, ctx.tables.mails)
    assert (outbox.queued, outbox.failed, outbox.oldest) == (0, 1, None)


async def test_what_failed_can_be_sent_again_with_a_fresh_link(make_node: MakeNode, house: House) -> None:
    mailer = MemoryMailer()
    node = make_node(mailer)
    mailer.failing = MailError("RCPT: 550 no", permanent=True)
    mail_id = await queue(node)
    deliver = delivery(node)
    await deliver.deliver_next()
    mailer.failing = None
    house.clock.tick(days=3)

    failed = await found(node, mail_id)
    async with node.transaction() as ctx:
        again = await send_again(ctx, failed)
        assert await send_again(ctx, failed) is None
    assert again is not None
    await deliver.deliver_next()

    (sent,) = mailer.messages
    assert sent.message_id == f"<{again.id}@127.0.0.1>" != f"<{mail_id}@127.0.0.1>"
    assert (await found(node, again.id)).state == "sent"
    assert "2026-11-24" in sent.text  # until when the link works


async def test_of_two_workers_one_sends(make_node: MakeNode) -> None:
    async with post_office() as office:
        mailers = [SmtpMailer(server_at(office), timeout=PATIENT) for _ in range(4)]
        nodes = [make_node(mailer) for mailer in mailers]
        for _ in range(12):
            await queue(nodes[0])

        async def work(node: Auth) -> None:
            deliver = delivery(node)
            for _ in range(50):
                if not await deliver.deliver_next():
                    await asyncio.sleep(0.02)
                if len(office.parcels) == 12:
                    return

        await asyncio.gather(*(work(node) for node in nodes))
        for mailer in mailers:
            await mailer.close()

    ids = [parcel.mail["Message-ID"] for parcel in office.parcels]
    assert len(ids) == len(set(ids)) == 12
    async with nodes[0].transaction() as ctx:
        assert {(row["state"], row["attempts"]) for row in await rows(ctx)} == {("sent", 1)}


async def test_a_worker_that_died_leaves_the_mail_to_another(make_node: MakeNode, house: House) -> None:
    """Its claim runs out, not before; and what it finds out afterwards counts no more."""
    stuck, free = _Stuck(), MemoryMailer()
    dying, other = make_node(stuck), make_node(free)
    mail_id = await queue(dying)
    slow = asyncio.create_task(delivery(dying).deliver_next())
    await stuck.reached.wait()

    assert not await delivery(other).deliver_next()
    house.clock.now += CLAIM
    assert await delivery(other).deliver_next()
    assert len(free.messages) == 1
    stuck.go_on.set()
    await slow

    mail = await found(other, mail_id)
    assert (mail.state, mail.attempts) == ("sent", 2)
    assert timedelta(seconds=2 * RENEW) < CLAIM


class _Stuck:
    """A mailer that waits to be told."""

    def __init__(self) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def send(self, _message: Message) -> None:
        self.reached.set()
        await self.go_on.wait()

    async def close(self) -> None:
        self.go_on.set()


async def test_a_worker_that_is_to_end_finishes_the_mail_it_is_at(make_node: MakeNode) -> None:
    stuck = _Stuck()
    node = make_node(stuck)
    mail_id = await queue(node)
    work = asyncio.create_task(delivery(node).deliver_next())
    await stuck.reached.wait()

    work.cancel()
    await asyncio.sleep(0.05)
    assert not work.done()
    stuck.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await work

    assert (await found(node, mail_id)).state == "sent"


async def test_a_server_that_hangs_costs_a_bounded_time_and_the_mail_waits(make_node: MakeNode) -> None:
    async with post_office(PostOffice(hangs_at="DATA")) as office, mailer_to(server_at(office)) as mailer:
        node = make_node(mailer)
        mail_id = await queue(node)
        await delivery(node, sending=0.5).deliver_next()

    mail = await found(node, mail_id)
    assert (mail.state, mail.error) == ("queued", "the mail server took too long")


async def test_a_kind_of_a_newer_version_is_left_to_it(make_node: MakeNode, house: House) -> None:
    mailer = MemoryMailer()
    newer, older = make_node(mailer), make_node(mailer, mails={"nothing": write_nothing})
    mail_id = await queue(newer)

    assert not await delivery(older).deliver_next()
    assert (await found(newer, mail_id)).attempts == 0
    assert await delivery(newer).deliver_next()
    assert len(mailer.messages) == 1

    nobodys = await queue(newer)
    house.clock.tick(days=1, seconds=1)
    assert not await delivery(older).deliver_next()
    mail = await found(newer, nobodys)
    assert (mail.state, mail.error) == ("failed", "no version that runs here writes mails of this kind")


@pytest.mark.parametrize(("kind", "error"), [("bad", "LookupError"), ("untold", "TemplateNotFound")])
async def test_a_mail_that_cannot_be_written_waits_and_the_next_one_goes(
    kind: str, error: str, make_node: MakeNode, house: House
) -> None:
    mailer = MemoryMailer()
    node = make_node(mailer)
    mail_id = await queue(node, kind)
    deliver = delivery(node)
    assert await deliver.deliver_next()
    house.clock.tick(seconds=1)
    await queue(node, "hello")
    assert await deliver.deliver_next()

    waiting = await found(node, mail_id)
    assert (waiting.state, waiting.error) == ("queued", f"could not be written: {error}")
    assert len(mailer.messages) == 1
    house.clock.tick(days=1)
    assert await deliver.deliver_next()
    assert (await found(node, mail_id)).state == "failed"


async def test_a_mail_that_has_nothing_to_say_any_more_is_skipped(make_node: MakeNode) -> None:
    mailer = MemoryMailer()
    node = make_node(mailer)
    mail_id = await queue(node, "nothing")
    assert await delivery(node).deliver_next()

    mail = await found(node, mail_id)
    assert (mail.state, mail.recipient, mailer.messages) == ("skipped", None, [])


async def test_a_mail_of_somebody_who_is_deleted_disappears_with_them(make_node: MakeNode, house: House) -> None:
    stuck = _Stuck()
    ada = await house.register("grace@example.com")
    node = make_node(stuck)
    async with node.transaction() as ctx:
        await enqueue(ctx, "hello", user_id=UUID(ada.id))
    work = asyncio.create_task(delivery(node).deliver_next())
    await stuck.reached.wait()

    assert (await ada.delete("/users/me", {"password": ada.password})).status_code == 204
    stuck.go_on.set()
    await work
    assert await house.rows("mails", user_id=UUID(ada.id)) == []


async def test_a_link_that_expired_while_nothing_ran_is_not_sent(make_node: MakeNode, house: House) -> None:
    mailer = MemoryMailer()
    node = make_node(mailer)
    mailer.failing = MailError("451 later", permanent=False)
    mail_id = await queue(node)
    deliver = delivery(node)
    await deliver.deliver_next()
    mailer.failing = None
    house.clock.tick(hours=3)
    await deliver.deliver_next()

    mail = await found(node, mail_id)
    assert (mail.state, mail.error) == ("failed", "its link expired before it could be sent")
    assert mailer.messages == []


async def test_a_database_that_is_away_when_the_mail_is_sent_is_asked_again(make_node: MakeNode) -> None:
    """Else the mail would go twice."""
    mailer = MemoryMailer()
    node = make_node(mailer)
    mail_id = await queue(node)
    opened = 0

    @asynccontextmanager
    async def flaky() -> AsyncIterator[Context]:
        nonlocal opened
        opened += 1
        if opened in (3, 4):  # claim, write, and then the end
            raise ConnectionError("away")
        async with node.transaction() as ctx:
            yield ctx

    deliver = Delivery(flaky, mailer, Texts(node.settings))
    assert await deliver.deliver_next()

    assert opened == 5
    assert (await found(node, mail_id)).state == "sent"
    assert not await deliver.deliver_next()
    assert len(mailer.messages) == 1


async def test_no_token_is_in_the_outbox_the_logs_or_the_errors(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        post_office(PostOffice(answers={"DATA": "451 4.7.1 later"})) as office,
        mailer_to(server_at(office)) as mailer,
    ):
        node = make_node(mailer)
        await queue(node)
        await queue(node, "bad")
        deliver = delivery(node)
        await deliver.deliver_next()
        await deliver.deliver_next()
        async with node.transaction() as ctx:
            kept = str(await rows(ctx))

    logged = "\n".join(
        record.getMessage() for record in caplog.records if record.name != "mail.log"
    )  # the server's own
    assert "451 4.7.1 later" in kept
    assert "451 4.7.1 later" in logged
    assert "pot1_" not in kept + logged
    assert "zq7canary" not in kept


async def test_t53_strangers_cannot_fill_the_queue(make_node: MakeNode, house: House) -> None:
    node = make_node(MemoryMailer())
    async with node.transaction() as ctx:
        await enqueue(ctx, "hello")
    async with node.transaction() as ctx:
        (one,) = await rows(ctx)
        await check_room(ctx)
        await _fill(ctx, Mail(**one), ROOM - 1)
        await check_room(ctx)
    async with node.transaction() as ctx:
        await enqueue(ctx, "hello")
    async with node.transaction() as ctx:
        with pytest.raises(Overloaded):
            await check_room(ctx)


async def _fill(ctx: Context, like: Mail, count: int) -> None:
    values = {name: getattr(like, name) for name in Mail.__slots__}
    await ctx.db.execute(insert(ctx.tables.mails), [values | {"id": UUID(int=n + 1)} for n in range(count)])
