"""Mail: what is to be sent, the outbox it waits in, and who carries it."""

from typing import Protocol

from propusk.mail.models import Message


class MailError(Exception):
    """A mail was not taken. The text is for the operator and holds nothing of the mail itself.

    Args:
        permanent: no use in trying again: the address is refused, say.
    """

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.permanent = permanent


class Mailer(Protocol):
    """Carries mails. Used by one worker at a time."""

    async def send(self, message: Message) -> None:
        """Hand one message over; returns once the other side has taken responsibility for it.

        Raises:
            MailError
        """
        ...

    async def close(self) -> None:
        """End what is open."""
        ...
