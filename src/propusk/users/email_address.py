"""E-mail addresses: what one may look like, when two are the same, and what a login field holds."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

import idna

from propusk.errors import InvalidInput, invalid
from propusk.users.username import normalise_username

MAX_LENGTH = 254  # RFC 5321, section 4.5.3.1.3, without the angle brackets
MAX_LOCAL_LENGTH = 64
_MAX_TYPED = 1024
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
"""Names that IDNA leaves as they are: nearly all, and asking it takes long."""
# Some mail software decodes these (RFC 2047) in addresses, and so would read another address.
_ENCODED_WORD = re.compile(r"=\?[^?]+\?[BbQq]\?")


@dataclass(frozen=True)
class EmailAddress:
    """An address as typed, to send mail to, and the key by which it is unique and found."""

    address: str
    key: str


def normalise_email(text: str, *, field: str = "email") -> EmailAddress:
    """The address in `text`: `local@domain`, with spaces around it taken off.

    The local part is a dot-atom of printable ASCII (RFC 5322, section 3.2.3) without encoded words; the domain is a
    name of two labels or more under IDNA 2008 (RFC 5891), so no `localhost`, no address literal, no dot at the end.
    Nothing is mapped but case and canonical equivalence: a full-width letter or dot is refused, not translated.
    Own lines over `idna`, because email-validator maps such characters (UTS 46), refuses names like `.test` and
    `.local` that people use inside, and brings a DNS library.

    Raises:
        InvalidInput: `too_long` (local part over 64, whole over 254 characters), `not_an_email`.
    """
    if len(text) > _MAX_TYPED:
        raise _too_long(field)
    local, at, typed_domain = text.strip(" \t").partition("@")
    domain = unicodedata.normalize("NFC", typed_domain)
    if not at:
        raise _not_an_email(field)
    if len(local) > MAX_LOCAL_LENGTH or len(local) + 1 + len(domain) > MAX_LENGTH:
        raise _too_long(field)
    name = _ascii_domain(domain)
    if name is None or _LOCAL.fullmatch(local) is None or _ENCODED_WORD.search(local):
        raise _not_an_email(field)
    key = f"{local.lower()}@{name}"
    if len(key) > MAX_LENGTH:
        raise _too_long(field)
    return EmailAddress(f"{local}@{domain}", key)


def login_key(text: str) -> tuple[Literal["email", "username"], str] | None:
    """What a login field names: an e-mail's or a username's key, however it is spelled; None if it can be neither."""
    if len(text) > _MAX_TYPED:
        return None
    try:
        if "@" in text:
            return "email", normalise_email(text).key
        return "username", normalise_username(text.strip(" \t")).key
    except InvalidInput:
        return None


def _ascii_domain(domain: str) -> str | None:
    """The domain as A-labels in lower case; None if it is not one."""
    lowered = domain.lower()
    name = lowered if _PLAIN_DOMAIN.fullmatch(lowered) else _encoded(lowered)
    labels = name.split(".") if name is not None else []
    # A last label of digits would make it an IPv4 address (RFC 3696, section 2).
    return name if len(labels) > 1 and labels[-1] and not labels[-1].isdigit() else None


def _encoded(domain: str) -> str | None:
    """The domain as IDNA 2008 writes it for the DNS."""
    try:
        name = idna.encode(domain, strict=True).decode()
        # Older versions of idna let through A-labels that stand for nothing, or are another spelling of one.
        return name if idna.encode(idna.decode(name, strict=True), strict=True).decode() == name else None
    except UnicodeError:
        return None


def _not_an_email(field: str) -> InvalidInput:
    return invalid(field, "not_an_email", "This is not an e-mail address that mail can be sent to.")


def _too_long(field: str) -> InvalidInput:
    return invalid(field, "too_long", "Use at most 64 characters before the @ and 254 in all.")
