"""The local mailbox: where there is no mail server, mails are files to be looked at."""

import asyncio
import os
import re
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from propusk.mail import MailError
from propusk.mail.compose import compose
from propusk.mail.models import Message
from propusk.settings import Settings

FOLDER = "mail"
KEEP = 1000
"""So many mails are kept, the newest."""
_NAME = re.compile(r"[0-9]{8}T[0-9]{12}-[0-9A-Za-z-]{1,64}")


def has_pages(settings: Settings) -> bool:
    """Whether this installation shows its mails as pages: in development, without a mail server, for this machine
    alone. One whose address is another name's is reached through a proxy, and a proxy need not say that it is one.
    """
    is_alone = settings.environment == "development" and settings.mail_url is None
    return is_alone and is_loopback(urlsplit(settings.public_url).hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's for itself: localhost, 127.0.0.0/8 or ::1."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return ((address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address).is_loopback


def where_mails_are(settings: Settings) -> str:
    """Where people find the mails of an installation without a mail server."""
    files = f"files in {settings.data_dir.absolute() / FOLDER}"
    return f"{settings.public_url}/mailbox; {files}" if has_pages(settings) else files


@dataclass(frozen=True)
class StoredMail:
    """A mail of the mailbox, as its file has it."""

    name: str
    sender: str
    to: str
    subject: str
    date: str
    text: str = field(repr=False)


class Mailbox:
    """Mails as files `TIME-ID.eml`, for their owner alone. A mail that comes again takes the same file.

    Args:
        data_dir: the folder `mail` is made in it.
        keep: how many mails, at most.
    """

    def __init__(self, data_dir: Path, *, keep: int = KEEP) -> None:
        self.folder = data_dir.absolute() / FOLDER
        self._keep = keep

    async def send(self, message: Message) -> None:
        """Write a mail down.

        Raises:
            MailError: the folder cannot be written to, say.
        """
        try:
            await asyncio.to_thread(self._write, message)
        except OSError as error:
            raise MailError(f"{self.folder}: {error.strerror}", permanent=False) from None
        except ValueError:
            raise MailError("there is no mail to be made of this address and sender", permanent=True) from None

    async def close(self) -> None:
        """Nothing is open."""

    async def newest(self, limit: int = 100) -> list[StoredMail]:
        """The newest mails, newest first."""
        return await asyncio.to_thread(lambda: [mail for name in self._names()[:limit] if (mail := self._read(name))])

    async def find(self, name: str) -> StoredMail | None:
        """The mail of this name; None for what is no name of one, too."""
        return await asyncio.to_thread(self._read, name) if _NAME.fullmatch(name) else None

    def _write(self, message: Message) -> None:
        content = compose(message).content
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{message.sent_at:%Y%m%dT%H%M%S%f}-{_id(message)}"
        draft = self.folder / f".{name}.{os.getpid()}"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
            file.write(content)
        draft.replace(self.folder / f"{name}.eml")
        for old in self._names()[self._keep :]:
            (self.folder / f"{old}.eml").unlink(missing_ok=True)

    def _names(self) -> list[str]:
        """Of all mails, newest first."""
        if not self.folder.is_dir():
            return []
        names = (path.stem for path in self.folder.glob("*.eml"))
        return sorted((name for name in names if _NAME.fullmatch(name)), reverse=True)

    def _read(self, name: str) -> StoredMail | None:
        try:
            content = (self.folder / f"{name}.eml").read_bytes()
        except FileNotFoundError:
            return None
        mail = message_from_bytes(content, policy=default)
        sender, to, subject, date = (str(mail.get(header, "")) for header in ("From", "To", "Subject", "Date"))
        body = mail.get_body(("plain",))
        text = str(body.get_content()) if body is not None else ""
        return StoredMail(name, sender, to, subject, date, text.replace("\r\n", "\n"))


def _id(message: Message) -> str:
    return re.sub(r"[^0-9A-Za-z-]", "", message.message_id.partition("@")[0])[:64]
