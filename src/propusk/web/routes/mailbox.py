"""The local mailbox as pages, for who develops: the mails that would have been sent, and their links to follow.

Whoever reads these mails can take any account. So the pages are there in development alone, without a mail server, and
for this machine alone: by the socket's address, and not through a proxy, which would make everybody local; as not every
proxy says that it is one, our own address must be of this machine, too. So must be the name in `Host`: a page elsewhere
could have its own name point here (DNS rebinding).
"""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from propusk.errors import NotFound
from propusk.mail.mailbox import Mailbox, StoredMail, has_pages, is_loopback
from propusk.settings import Settings
from propusk.web.context import auth_of
from propusk.web.headers import header_values
from propusk.web.routes.pages import plain_page

router = APIRouter(include_in_schema=False)
_BY_A_PROXY = (b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip")


@router.get("/mailbox")
async def get_mailbox(request: Request) -> Response:
    """The newest mails."""
    mails = await _mailbox(request).newest()
    lines = "\n".join(_line(mail) for mail in mails)
    body = f"<ul>\n{lines}\n</ul>" if mails else "<p>No mail yet. Reload this page to look again.</p>"
    return _page("Local mailbox", f"<p>These mails were not sent to anybody.</p>\n{body}")


@router.get("/mailbox/{name}")
async def get_mail(request: Request, name: str) -> Response:
    """One mail's text."""
    mail = await _mailbox(request).find(name)
    if mail is None:
        raise NotFound
    shown = (("From", mail.sender), ("To", mail.to), ("Date", mail.date))
    head = "<br>\n".join(f"{label}: {escape(value)}" for label, value in shown)
    text = "\n".join(f"<p>{part}</p>" for part in _paragraphs(mail, auth_of(request).settings))
    return _page(mail.subject, f'<p><a href="../mailbox">All mails</a></p>\n<p>{head}</p>\n<hr>\n{text}')


def _mailbox(request: Request) -> Mailbox:
    auth = auth_of(request)
    if not isinstance(auth.mailer, Mailbox) or not _is_for(auth.settings, request.scope):
        raise NotFound
    return auth.mailer


def _is_for(settings: Settings, scope: Mapping[str, Any]) -> bool:
    """Whether this installation has these pages, for whoever asks."""
    if not has_pages(settings):
        return False
    peer = (scope.get("client") or ("",))[0]
    by_proxy = any(name in _BY_A_PROXY or name.startswith(b"x-forwarded") for name, _ in scope["headers"])
    return is_loopback(peer) and not by_proxy and _names_us(scope)


def _names_us(scope: Mapping[str, Any]) -> bool:
    values = header_values(scope, b"host")
    if len(values) != 1:
        return False
    try:
        return is_loopback(urlsplit(f"//{values[0].decode('latin-1')}").hostname or "")
    except ValueError:
        return False


def _line(mail: StoredMail) -> str:
    what = f'<a href="mailbox/{escape(mail.name)}">{escape(mail.subject)}</a>'
    return f"<li>{what}<br>to {escape(mail.to)}, {escape(mail.date)}</li>"


def _paragraphs(mail: StoredMail, settings: Settings) -> Iterable[str]:
    """The text, our own links as links."""
    for paragraph in mail.text.strip().split("\n\n"):
        words = re.split(r"(\s+)", paragraph)
        yield "".join(_linked(word) if word.startswith(f"{settings.public_url}/") else escape(word) for word in words)


def _linked(address: str) -> str:
    return f'<a href="{escape(address)}">{escape(address)}</a>'


def _page(title: str, body: str) -> Response:
    return HTMLResponse(plain_page(escape(title), body), headers={"Cache-Control": "no-store"})
