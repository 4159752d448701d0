"""Mails kept in memory, for tests: ours and our users'."""

import re

from propusk.mail import MailError
from propusk.mail.models import Message


class MemoryMailer:
    """Keeps what it is given. `failing` is raised instead, as long as it is set."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.failing: MailError | None = None

    async def send(self, message: Message) -> None:
        if self.failing is not None:
            raise self.failing
        self.messages.append(message)

    async def close(self) -> None:
        """Nothing is open."""


def first_link(message: Message) -> str:
    """The first link of a mail's text."""
    found = re.search(r"https?://\S+", message.text)
    if found is None:
        raise LookupError("no link in this mail")
    return found[0]
