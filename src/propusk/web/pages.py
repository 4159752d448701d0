"""Hosted pages: HTML that works without JavaScript, in the reader's language, and shows refusals as pages too.

A page that a mail links to does nothing by being looked at: mail scanners follow links. Its form brings the token back
by POST, and that is when something happens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from propusk.errors import AuthError, InvalidInput, InvalidToken, UnsupportedMediaType
from propusk.mail.render import pick_language
from propusk.web.body import is_form, parse_form
from propusk.web.client import preferred_language
from propusk.web.context import auth_of
from propusk.web.csrf import SAFE, check_same_origin
from propusk.web.headers import SECURITY_HEADERS
from propusk.web.page_texts import page_texts
from propusk.web.route import Handler, StrictRoute

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'"
)
HEADERS = SECURITY_HEADERS | {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
_MAX_TOKEN = 100


@dataclass(frozen=True)
class Field:
    """Something to fill in.

    Args:
        label: which of the page's words names it.
        kind: the `type` of the input.
        autocomplete: what browsers and password managers take it for (HTML, section 4.10.18.7.1).
    """

    name: str
    label: str
    kind: str = "text"
    autocomplete: str = "off"


@dataclass(frozen=True)
class Form:
    """A form with one button, sent by POST.

    Args:
        action: the address, relative to the page's, so that it works under any prefix: `verify-email`.
        button: which of the page's words stands on the button.
        hidden: what goes along unseen: the token.
        fields: what is to be filled in.
        quiet: the button is for the exception, not for the rule.
    """

    action: str
    button: str
    hidden: Mapping[str, str] = field(default_factory=dict, repr=False)
    fields: Sequence[Field] = ()
    quiet: bool = False


class PageRoute(StrictRoute):
    """The route class of hosted pages: takes forms from pages of ours alone, and shows a refusal as a page.

    The transaction has ended by then: committed or rolled back as the refusal says, like everywhere.
    """

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def as_page(request: Request) -> Response:
            try:
                if request.method not in SAFE:
                    check_same_origin(request.scope, auth_of(request).settings.origin)
                return await handle(request)
            except AuthError as refusal:
                return refusal_page(request, refusal)

        return as_page

    def _check(self, scope: Scope, body: bytes) -> None:
        super()._check(scope, body)
        if not is_form(scope):
            raise UnsupportedMediaType
        parse_form(body)


def page(
    request: Request,
    name: str,
    *,
    status: int = 200,
    forms: Sequence[Form] = (),
    error: str | None = None,
    **values: Any,
) -> Response:
    """The page of this name: its texts of the reader's language, then the forms.

    Args:
        name: its section in `templates/en.toml` and `ru.toml`.
        error: a sentence to show above the form: what was wrong with what was sent.
        values: what the texts name in braces.
    """
    language, texts = _texts(request)
    words = texts[name]
    paragraphs = [paragraph.format_map(values) for paragraph in words["text"]]
    return _answer(
        status, language=language, title=words["title"], paragraphs=paragraphs, forms=forms, words=words, error=error
    )


def refusal_page(request: Request, refusal: AuthError) -> Response:
    """A refusal for people, with its status and headers."""
    language, texts = _texts(request)
    title = texts["refusals"].get(refusal.code, {}).get("title", refusal.title)
    response = _answer(
        refusal.status,
        language=language,
        title=title,
        paragraphs=[refusal_text(request, refusal)],
        forms=(),
        words={},
        error=None,
    )
    response.headers.update(refusal.headers())
    for line in refusal.set_cookies:
        response.headers.append("set-cookie", line)
    return response


def refusal_text(request: Request, refusal: AuthError) -> str:
    """A sentence or a few that say what is wrong, in the reader's language where we have them in it."""
    _, texts = _texts(request)
    if isinstance(refusal, InvalidInput):
        return " ".join(texts["faults"].get(fault.code, fault.message) for fault in refusal.errors)
    return str(texts["refusals"].get(refusal.code, {}).get("text", str(refusal)))


def query_token(request: Request) -> str:
    """The token that a link brought.

    Raises:
        InvalidToken: none, or too long to be one.
    """
    token = request.query_params.get("token", "")
    if not token or len(token) > _MAX_TOKEN:
        raise InvalidToken
    return token


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of the form that a `PageRoute` took."""
    return parse_form(await request.body())


def _texts(request: Request) -> tuple[str, Mapping[str, Any]]:
    settings = auth_of(request).settings
    language = pick_language(preferred_language(request.scope), default=settings.default_locale)
    return language, page_texts(language)


def _answer(status: int, **values: Any) -> Response:
    html = _environment().get_template("page.html").render(values)
    return HTMLResponse(html, status, headers=HEADERS | {"Content-Language": values["language"]})


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
