"""Settings about mail: the server that takes it, and who it is from."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

import idna
from pydantic import AfterValidator, SecretStr

Security = Literal["starttls", "tls", "none"]
_PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?|[0-9A-Fa-f:.]{2,45}")
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
# Some mail software decodes these (RFC 2047) in addresses, and so would read another address.
_ENCODED_WORD = re.compile(r"=\?[^?]+\?[BbQq]\?")
_UNREADABLE = (
    "write smtp://user:password@host:587?security=starttls, other characters than letters, digits, - . _ ~ in user and"
    " password as %40 and the like"
)


@dataclass(frozen=True)
class MailServer:
    """Where to hand mails in."""

    host: str
    port: int
    security: Security
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def masked(self) -> str:
        """The URL it was read from, in full but for the password."""
        user = f"{quote(self.username, safe='')}:********@" if self.username is not None else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"smtp://{user}{host}:{self.port}?security={self.security}"


@dataclass(frozen=True)
class Sender:
    """A name and an address, the domain as A-labels (RFC 5890)."""

    name: str
    address: str


def parse_mail_url(text: str) -> MailServer:
    """The server that a URL names. Its port is by default that of its kind of security (RFC 8314, section 3.3).

    Raises:
        ValueError: says what is wrong, without any part of the URL.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its text may have the password in it
        raise ValueError(_UNREADABLE) from None
    if parts.scheme != "smtp" or not parts.hostname or parts.path not in ("", "/") or parts.fragment:
        raise ValueError(_UNREADABLE)
    if port == 0:
        raise ValueError("the port is a number from 1 to 65535")
    security = _security(parts.query)
    username, password = _credentials(parts)
    return MailServer(_host(parts.hostname), port or _PORTS[security], security, username, password)


def _security(query: str) -> Security:
    options = parse_qsl(query, keep_blank_values=True, max_num_fields=10)
    if not options:
        return "starttls"
    for known in get_args(Security):
        if options == [("security", known)]:
            return known  # type: ignore[no-any-return]
    raise ValueError("after the ? only security=starttls, security=tls or security=none may stand")


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    if parts.username is None:
        return None, None
    if not parts.username or not parts.password:
        raise ValueError("user and password go together")
    try:
        username, password = (unquote(part, errors="strict") for part in (parts.username, parts.password))
    except UnicodeDecodeError:
        raise ValueError(_UNREADABLE) from None
    if not (username + password).isprintable():
        raise ValueError("user and password must be printable")
    return username, password


def _host(host: str) -> str:
    name = host if host.isascii() else _a_labels(host)
    if name is None or _HOST.fullmatch(name) is None:
        raise ValueError("the host is no domain name")
    return name


def parse_sender(text: str) -> Sender:
    """Who mails are from: `a@b.example`, `Name <a@b.example>` or `"Name" <a@b.example>`, one address alone.

    Raises:
        ValueError
    """
    match = re.fullmatch(r"(?:([^<>]*)<([^<>]*)>|([^<>]*))", text.strip())
    if match is None or len(text) > 500 or not text.isprintable():
        raise ValueError("an address is needed, or Name <address>")
    name = (match[1] or "").strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1]
    return Sender(name, ascii_address((match[2] or match[3] or "").strip()))


def ascii_address(text: str) -> str:
    """An address as an envelope takes it without SMTPUTF8 (RFC 6531): the domain as A-labels.

    Raises:
        ValueError: it is not one address whose local part is a dot-atom in ASCII (RFC 5322, section 3.2.3).
    """
    local, _, domain = text.rpartition("@")
    name = _a_labels(domain)
    if _LOCAL.fullmatch(local) is None or _ENCODED_WORD.search(local) or name is None or _HOST.fullmatch(name) is None:
        raise ValueError("this is not an e-mail address")
    return f"{local}@{name}"


def _a_labels(domain: str) -> str | None:
    try:
        return idna.encode(domain.lower(), strict=True).decode()
    except UnicodeError:
        return None


def _check_mail_url(value: SecretStr) -> SecretStr:
    parse_mail_url(value.get_secret_value())
    return value


def _check_sender(value: str) -> str:
    parse_sender(value)
    return value


MailUrl = Annotated[SecretStr, AfterValidator(_check_mail_url)]
SenderText = Annotated[str, AfterValidator(_check_sender)]
