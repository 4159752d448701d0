"""Send what is in the outbox: at least once, and once unless the other side's answer was lost."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from propusk.context import Context, Transaction, brief
from propusk.mail import Mailer, MailError, queries
from propusk.mail.models import Letter, Mail, MailState, Message
from propusk.mail.render import Texts

log = logging.getLogger(__name__)
CLAIM = timedelta(seconds=90)
"""How long after its last sign of life another takes over a worker's mail."""
RENEW = 30.0
"""Seconds between signs of life."""
WRITING = 10.0
"""Seconds to write a mail."""
SENDING = 360.0
"""Seconds for the conversation with the mail server, which may think for minutes about a mail that it has already."""
GIVE_UP = timedelta(days=1)
_MARGIN = timedelta(hours=3)
GRACE = 5.0
"""Seconds that a conversation is let go on when the process is to end: cut short, the mail might go twice."""
_NOTE_AGAIN = (0.5, 1.0, 2.0, 4.0, 8.0)
_NO_END = "no attempt came to an end"
_UNKNOWN = "no version that runs here writes mails of this kind"


class Delivery:
    """Sends mails one by one. Each is claimed in one transaction, written in a second, and noted as sent in a third;
    the network is used between them. A worker that dies leaves the mail to be claimed again.

    Args:
        sending: seconds for the conversation with the mail server.
        writing: seconds to write a mail.
        renew: seconds between signs of life.
    """

    def __init__(
        self,
        transaction: Transaction,
        mailer: Mailer,
        texts: Texts,
        *,
        sending: float = SENDING,
        writing: float = WRITING,
        renew: float = RENEW,
    ) -> None:
        self._transaction = brief(transaction)
        self._writing = writing
        self._renew = renew
        self._mailer = mailer
        self._texts = texts
        self._sending = sending

    async def deliver_next(self) -> bool:
        """Send the mail that has been due for longest; False when none is.

        Cancelled in the middle of it, it ends within `GRACE`.
        """
        async with self._transaction() as ctx:
            mail = await _claim(ctx)
        if mail is None:
            return False
        work = asyncio.create_task(self._deliver(mail))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work], timeout=GRACE)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            raise
        return True

    async def _deliver(self, mail: Mail) -> None:
        try:
            letter, message = await self._write(mail)
        except Exception as error:
            # A writer or a template that is wrong, or newer than we are. The mail must not be lost for it.
            log.exception("mail %s (%s) could not be written", mail.id, mail.kind)
            await self._retry_later(mail, None, f"could not be written: {type(error).__name__}")
            return
        if letter is None:
            await self._finish(mail, MailState.SKIPPED)
        elif message is None:
            await self._finish(mail, MailState.FAILED, letter, "its link expired before it could be sent")
        else:
            await self._send(mail, letter, message)

    async def _write(self, mail: Mail) -> tuple[Letter | None, Message | None]:
        """What the mail has to say, if anything; no message when it would be of no use any more."""
        async with asyncio.timeout(self._writing), self._transaction() as ctx:
            letter = await ctx.registry.mails[mail.kind](ctx, mail)
            if mail.user_id is None and letter is not None and letter.user_id is not None:
                await queries.own_mail(ctx, mail.id, letter.user_id)
            expired = letter is not None and letter.use_by is not None and letter.use_by <= ctx.now
        return letter, None if letter is None or expired else self._texts.message(mail, letter)

    async def _send(self, mail: Mail, letter: Letter, message: Message) -> None:
        try:
            async with self._kept(mail), asyncio.timeout(self._sending):
                await self._mailer.send(message)
        except MailError as error:
            await self._refused(mail, letter, str(error), permanent=error.permanent)
        except TimeoutError:
            await self._refused(mail, letter, "the mail server took too long", permanent=False)
        except Exception as error:
            log.exception("mail %s (%s) could not be handed over", mail.id, mail.kind)
            await self._refused(mail, letter, f"could not be handed over: {type(error).__name__}", permanent=False)
        else:
            await self._note_sent(mail, letter)

    @asynccontextmanager
    async def _kept(self, mail: Mail) -> AsyncIterator[None]:
        """The mail stays ours as long as we show signs of life: sent by two, it would arrive twice."""
        task = asyncio.create_task(self._keep(mail))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _keep(self, mail: Mail) -> None:
        kept = True
        while kept:
            await asyncio.sleep(self._renew)
            try:
                async with self._transaction() as ctx:
                    kept = await queries.renew_claim(ctx, mail, until=ctx.now + CLAIM)
            except Exception:
                log.warning("the claim of mail %s (%s) could not be renewed", mail.id, mail.kind, exc_info=True)

    async def _refused(self, mail: Mail, letter: Letter, reason: str, *, permanent: bool) -> None:
        log.warning("mail %s (%s) was not taken: %s", mail.id, mail.kind, reason)
        if permanent:
            await self._finish(mail, MailState.FAILED, letter, reason)
        else:
            await self._retry_later(mail, letter, reason)

    async def _note_sent(self, mail: Mail, letter: Letter) -> None:
        """Noted it must be, or it goes again when the claim runs out: a database that is away is asked some times."""
        for pause in _NOTE_AGAIN:
            try:
                await self._finish(mail, MailState.SENT, letter)
            except Exception:
                log.warning("mail %s (%s) was sent, which is not noted yet", mail.id, mail.kind, exc_info=True)
                await asyncio.sleep(pause)
            else:
                return
        await self._finish(mail, MailState.SENT, letter)

    async def _retry_later(self, mail: Mail, letter: Letter | None, reason: str) -> None:
        async with self._transaction() as ctx:
            due = ctx.now + _pause(ctx, mail.attempts)
            if due < _last_try(mail, letter):
                await queries.delay_mail(ctx, mail, due_at=due, error=reason)
                return
        await self._finish(mail, MailState.FAILED, letter, reason)

    async def _finish(
        self, mail: Mail, state: MailState, letter: Letter | None = None, error: str | None = None
    ) -> None:
        async with self._transaction() as ctx:
            await queries.finish_mail(ctx, mail, state=state, recipient=letter.to if letter else None, error=error)


async def _claim(ctx: Context) -> Mail | None:
    """The next mail for us alone; another worker may be faster with the first, or the first few.

    A kind that we do not know is for a newer version, while nodes of both run. After a day there is none. Nor is there
    any use in a mail that was tried for a day, and whose attempts do not even come to an end.
    """
    kinds = ctx.registry.mails.keys()
    for mail in await queries.list_due(ctx, kinds=kinds, any_before=ctx.now - GIVE_UP, limit=10):
        if await queries.claim_mail(ctx, mail, until=ctx.now + CLAIM):
            tried = mail.attempts > 0 and mail.created_at + GIVE_UP + _MARGIN < ctx.now
            if mail.kind in kinds and not tried:
                return await queries.find_mail(ctx, mail.id)
            reason = (mail.error or _NO_END) if mail.kind in kinds else _UNKNOWN
            claimed = replace(mail, attempts=mail.attempts + 1)
            await queries.finish_mail(ctx, claimed, state=MailState.FAILED, recipient=None, error=reason)
    return None


def _pause(ctx: Context, attempts: int) -> timedelta:
    """Half a minute, twice as long each time up to two hours, less up to a half by chance."""
    longest = min(timedelta(seconds=30 * 2.0 ** min(attempts - 1, 20)), timedelta(hours=2))
    return longest * (1 - ctx.entropy(1)[0] / 512)


def _last_try(mail: Mail, letter: Letter | None) -> datetime:
    last = mail.created_at + GIVE_UP
    return min(last, letter.use_by) if letter is not None and letter.use_by is not None else last
