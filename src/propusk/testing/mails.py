"""The mails that an installation sent, for a test to read."""

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qs, urlsplit

from propusk.mail.memory import MemoryMailer, first_link
from propusk.mail.models import Message


class CapturedMail(Message):
    """A mail that was sent: `to`, `subject`, `text`, `html`, and what is usually wanted of them."""

    @property
    def link(self) -> str:
        """The first link.

        Raises:
            LookupError: there is none.
        """
        return first_link(self)

    @property
    def token(self) -> str:
        """The token in the first link, as an app's own page would hand it on.

        Raises:
            LookupError: there is none.
        """
        tokens = parse_qs(urlsplit(self.link).query).get("token")
        if tokens is None:
            raise LookupError("no token in the link of this mail")
        return tokens[0]


class Mails:
    """What a `MemoryMailer` was given. Whatever is due is sent before you get to see them.

    Args:
        mailer: who keeps them.
        send_due: sends what waits in the outbox.
    """

    def __init__(self, mailer: MemoryMailer, send_due: Callable[[], Awaitable[None]]) -> None:
        self._mailer = mailer
        self._send_due = send_due

    async def all(self, *, to: str | None = None) -> Sequence[CapturedMail]:
        """Every mail so far, oldest first.

        Args:
            to: only those to this address, as the user has it.
        """
        await self._send_due()
        return [CapturedMail(**vars(message)) for message in self._mailer.messages if to in (None, message.to)]

    async def last(self, *, to: str | None = None) -> CapturedMail:
        """The newest mail.

        Args:
            to: of those to this address, as the user has it.
        Raises:
            LookupError: there is none; the text names those there are.
        """
        if found := await self.all(to=to):
            return found[-1]
        others = ", ".join(f"{mail.subject!r} to {mail.to}" for mail in await self.all())
        raise LookupError(f"no mail{f' to {to}' if to else ''} was sent; sent: {others or 'none'}")

    async def clear(self) -> None:
        """Send what is due, and forget every mail so far."""
        await self._send_due()
        self._mailer.messages.clear()
