"""Hand mails to a mail server (RFC 5321), over TLS unless the operator says otherwise."""

import asyncio
import re
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPException, SMTPResponseException

from propusk.mail import MailError
from propusk.mail.compose import Composed, compose
from propusk.mail.models import Message
from propusk.setting_mail import MailServer

COMMAND = 15.0
"""Seconds for connecting, and for the answer to each command but the last."""
DATA = 300.0
"""Seconds for the answer to the mail itself: the server may look into it before it takes it, and who goes away before
it answers gets it taken twice (RFC 1047; RFC 5321, section 4.5.3.2.6, has ten minutes).
"""
IDLE = 10.0
"""Seconds that a connection is kept for the next mail."""
# About us and not about the mail: out of sequence, login needed, refused or too weak (RFC 5321, RFC 4954).
_ABOUT_US = frozenset({500, 501, 502, 503, 504, 530, 534, 535, 538})
_ENHANCED = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")


class SmtpMailer:
    """Hands in mails one by one. Certificates are verified against the system's authorities; OpenSSL's `SSL_CERT_FILE`
    names others.

    Args:
        server: where.
        timeout: seconds for each command, the answer to the mail itself excepted.
        idle: seconds that a connection is kept for the next mail.
    """

    def __init__(self, server: MailServer, *, timeout: float = COMMAND, idle: float = IDLE) -> None:
        self._server = server
        self._timeout = timeout
        self._idle = idle
        self._kept: SMTP | None = None
        self._end: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def send(self, message: Message) -> None:
        """Hand a mail in. It has been sent once the server answered its content with 250, whatever comes after.

        Raises:
            MailError
        """
        try:
            mail = compose(message)
        except ValueError:
            raise MailError("there is no mail to be made of this address and sender", permanent=True) from None
        async with self._turn:
            client = await self._connected()
            try:
                await _hand_over(client, mail)
            except BaseException:
                client.close()  # nobody knows what it would answer next
                raise
            self._keep(client)

    async def check(self) -> None:
        """See whether the server would let us in: connect, log in, part. No mail is sent.

        Raises:
            MailError
        """
        client = await self._connect()
        try:
            await _step("NOOP", client.noop())
        finally:
            await _part(client)

    async def close(self) -> None:
        """Part from the server."""
        if client := self._take():
            await _part(client)
        self._turn = asyncio.Lock()  # the old one belongs to this event loop

    def _keep(self, client: SMTP) -> None:
        self._kept = client
        self._end = asyncio.create_task(self._part_when_idle(client))

    def _take(self) -> SMTP | None:
        client, self._kept = self._kept, None
        if client is not None and self._end is not None:
            self._end.cancel()
        return client

    async def _part_when_idle(self, client: SMTP) -> None:
        await asyncio.sleep(self._idle)
        self._kept = None
        await _part(client)

    async def _connected(self) -> SMTP:
        """The connection of the mail before if the server still answers on it, else a new one."""
        if client := self._take():
            try:
                await client.rset(timeout=min(self._timeout, 5))
            except BaseException as error:
                client.close()
                if not isinstance(error, Exception):
                    raise
            else:
                return client
        return await self._connect()

    async def _connect(self) -> SMTP:
        server = self._server
        client = SMTP(
            hostname=server.host,
            port=server.port,
            timeout=self._timeout,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
        )
        await _step(f"{server.host}:{server.port}", client.connect())
        if server.username is not None and server.password is not None:
            try:
                await _step("login", client.login(server.username, server.password), quote=False)
            except BaseException:
                client.close()
                raise
        return client


async def _hand_over(client: SMTP, mail: Composed) -> None:
    await _step("MAIL", client.mail(mail.sender))
    await _step("RCPT", client.rcpt(mail.recipient), final=True)
    await _step("DATA", client.data(mail.content, timeout=DATA), final=True)


async def _part(client: SMTP) -> None:
    with suppress(Exception):
        await client.quit(timeout=2)
    client.close()


async def _step(name: str, doing: Awaitable[Any], *, final: bool = False, quote: bool = True) -> None:
    """One exchange with the server.

    Args:
        name: of the step, for the operator.
        final: a refusal for good is about this mail, not about us.
        quote: whether the server's words may be repeated.
    Raises:
        MailError
    """
    try:
        await doing
    except SMTPResponseException as answer:
        permanent = final and 500 <= answer.code < 600 and answer.code not in _ABOUT_US
        raise MailError(f"{name}: {_shown(answer, quote=quote)}", permanent=permanent) from None
    except (SMTPException, OSError) as error:  # the library's time-outs are both
        raise MailError(f"{name}: {_plain(str(error)) if quote else type(error).__name__}", permanent=False) from None
    except (ValueError, RuntimeError) as error:  # what the library makes of answers that are none
        raise MailError(f"{name}: {type(error).__name__}", permanent=False) from None


def _shown(answer: SMTPResponseException, *, quote: bool) -> str:
    if quote:
        return f"{answer.code} {_plain(answer.message)}".strip()
    enhanced = _ENHANCED.search(answer.message)
    return f"{answer.code} {enhanced[0] if enhanced else ''}".strip()


def _plain(text: str) -> str:
    """A server's words, without those that could be ours: servers quote the addresses and links they refuse."""
    words = (word if len(word) <= 30 and not re.search(r"[@=]|//", word) else "…" for word in text[:1000].split())
    shown = " ".join(words)[:200]
    return "".join(c if c.isprintable() else "?" for c in shown)
