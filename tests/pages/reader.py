"""A browser without JavaScript, as far as our pages need one: reads forms and sends them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx

from tests.kit import House

OURS = {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8000"}


@dataclass
class FormSeen:
    """A form of a page."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    button: str = ""


@dataclass
class PageSeen:
    """What a page shows and loads."""

    status: int
    headers: httpx.Headers
    html: str
    forms: list[FormSeen] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    language: str = ""
    text: str = ""

    @property
    def title(self) -> str:
        return self.html.partition("<h1>")[2].partition("</h1>")[0]


class _Reader(HTMLParser):
    def __init__(self, seen: PageSeen) -> None:
        super().__init__()
        self.seen = seen
        self._in_button = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "html":
            self.seen.language = found["lang"]
        if tag == "form":
            self.seen.forms.append(FormSeen(found["action"], found["method"]))
        if tag == "input":
            self.seen.forms[-1].fields[found["name"]] = found.get("value", "")
        self._in_button = tag == "button"
        self.seen.loads += [found[name] for name in ("src", "href") if name in found]
        assert not [name for name in found if name.startswith("on") or name == "style"], "the policy forbids it"

    def handle_data(self, data: str) -> None:
        self.seen.text += data
        if self._in_button:
            self.seen.forms[-1].button += data.strip()


def read(answer: httpx.Response) -> PageSeen:
    """The page that an answer is."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8", answer.text
    seen = PageSeen(answer.status_code, answer.headers, answer.text)
    _Reader(seen).feed(answer.text)
    return seen


async def open_page(house: House, path: str, **options: object) -> PageSeen:
    """Follow a link; the client is one that has no session."""
    return read(await house.client.get(path, **options))  # type: ignore[arg-type]


async def press(house: House, form: FormSeen, **filled_in: str) -> PageSeen:
    """Press the button of a form."""
    assert form.method == "post"
    return read(await house.client.post(f"/{form.action}", data=form.fields | filled_in, headers=OURS))
