"""A message as bytes (RFC 5322): the same bytes each time it is tried."""

import hashlib
from dataclasses import dataclass, field
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, quote

from propusk.mail.models import Message
from propusk.setting_mail import Sender, ascii_address, parse_sender

# Not every server on the way speaks 8BITMIME (RFC 6152).
_POLICY = SMTP.clone(cte_type="7bit")
_LONGEST = 900  # of a line, 998 are allowed (RFC 5322, section 2.1.1)


@dataclass(frozen=True)
class Composed:
    """A mail for one recipient, with its envelope."""

    sender: str
    recipient: str
    content: bytes = field(repr=False)


def compose(message: Message) -> Composed:
    """A text part and an HTML part under headers that say a machine sent it (RFC 3834).

    Raises:
        ValueError: recipient or sender is not one address, or a header would have a line of its own in it.
    """
    sender, recipient = parse_sender(message.sender), ascii_address(message.to)
    headers = {
        "From": _mailbox(sender),
        "To": recipient,
        "Subject": _encoded(message.subject),
        "Date": format_datetime(message.sent_at),
        "Message-ID": _checked(message.message_id),
        "Auto-Submitted": "auto-generated",
        "Content-Language": _checked(message.language),
    }
    # By hand: EmailMessage reads what it is given, and finds encoded words even in addresses, line ends and all.
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return Composed(sender.address, recipient, head.encode("ascii") + _body(message))


def _body(message: Message) -> bytes:
    """Both parts, with the headers that say so."""
    mail = EmailMessage(policy=_POLICY)
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    mail.set_boundary("=_" + hashlib.sha256(message.message_id.encode()).hexdigest()[:32])
    return mail.as_bytes()


def _mailbox(sender: Sender) -> str:
    if not sender.name:
        return sender.address
    name = _encoded(sender.name)
    return f"{name} <{sender.address}>" if name != sender.name else f'"{quote(name)}" <{sender.address}>'


def _encoded(text: str) -> str:
    """As it is or, where that could not be read back, as encoded words (RFC 2047), folded."""
    if text.isascii() and "=?" not in text:
        return _checked(text)
    if not text.isprintable():
        raise ValueError("a header is one line")
    return Header(text, "utf-8", maxlinelen=75, header_name="Subject").encode(linesep="\r\n")


def _checked(text: str) -> str:
    if not (text.isascii() and text.isprintable() and len(text) <= _LONGEST):
        raise ValueError("a header is one line of ASCII")
    return text
