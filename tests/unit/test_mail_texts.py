"""The texts of our mails: each says the same in both languages and both parts, and nothing of anybody else's."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from jinja2 import Environment, StrictUndefined, TemplateNotFound, UndefinedError
from jinja2.meta import find_undeclared_variables
from pydantic import SecretStr

from propusk.mail.compose import compose
from propusk.mail.models import Letter, Mail, MailState, Message
from propusk.mail.render import LANGUAGES, Texts, pick_language, shown_time
from propusk.settings import Settings, SettingsError

build: Any = Settings
FOLDER = Path(__file__).parents[2] / "src" / "propusk" / "mail" / "templates"
LINK = "https://id.example.com/some-page?token=pot1_zq7canary"
PLACE = {"at", "ip", "device"}
VALUES: dict[str, set[str]] = {
    "verify": {"at", "ip", "link", "use_by"},
    "verify_again": {"at", "link", "use_by"},
    "register": {"at", "ip", "link", "use_by"},
    "already_registered": {"at", "ip"},
    "reset_password": {"link", "use_by"},
    "set_password": {"link", "use_by"},
    "confirm_email": {"link", "use_by"},
    "email_change_requested": {"new_email_masked", "link", "use_by", *PLACE},
    "email_changed": {"link", "use_by", "at"},
    "email_undone": {"at"},
    "email_lost": {"at"},
    "email_replaced": {"at"},
    "new_device": PLACE,
    "password_changed": PLACE,
    "session_stolen": PLACE,
    "account_deactivated": {"at"},
    "account_created": set(),
}
ALWAYS = {"site", "public_url", "email"}
MAIL = Mail(
    id=UUID("01a1fd17-d0e0-7987-ba27-c603d83ecdcf"),
    kind="test",
    user_id=None,
    args={},
    language=None,
    state=MailState.QUEUED,
    created_at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    due_at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    attempts=1,
    recipient=None,
    finished_at=None,
    error=None,
)


def texts(**settings: Any) -> Texts:
    return Texts(build(**{"public_url": "https://id.example.com"} | settings))


def letter(name: str, language: str = "en", **changes: str) -> Letter:
    values = {value: f"<{value} & 1>" for value in VALUES[name]} | changes
    if "link" in VALUES[name]:
        values["link"] = LINK
    return Letter(to="ada@example.com", template=name, language=language, values=values)


class _Reader(HTMLParser):
    """The words of an HTML part by paragraphs, and every address in it."""

    def __init__(self) -> None:
        super().__init__()
        self.paragraphs: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self._in = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "background", "action")]
        if tag == "p":
            self.paragraphs.append("")
            self._in = True

    def handle_endtag(self, tag: str) -> None:
        self._in = self._in and tag != "p"

    def handle_data(self, data: str) -> None:
        if self._in:
            self.paragraphs[-1] += data


def read(message: Message) -> _Reader:
    reader = _Reader()
    reader.feed(message.html)
    return reader


def test_every_text_is_there_in_every_language_and_no_other() -> None:
    for language in LANGUAGES:
        assert {path.stem for path in (FOLDER / language).glob("*.txt")} == set(VALUES)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", VALUES)
def test_a_text_names_exactly_what_it_is_given(name: str, language: str) -> None:
    source = (FOLDER / language / f"{name}.txt").read_text()
    named = find_undeclared_variables(Environment(undefined=StrictUndefined, autoescape=False).parse(source))

    assert named - ALWAYS == VALUES[name]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", VALUES)
def test_text_and_html_say_the_same_and_lead_to_us_alone(name: str, language: str) -> None:
    message = texts().message(MAIL, letter(name, language))
    html = read(message)

    assert message.language == language
    assert [part.strip() for part in html.paragraphs] == message.text.strip().split("\n\n")
    expected = [LINK] if "link" in VALUES[name] else []
    assert html.addresses == expected
    assert re.findall(r"https?://\S+", message.text) == expected
    assert html.tags <= {"html", "head", "meta", "title", "body", "div", "p", "a"}
    for value in VALUES[name] - {"link"}:
        assert f"<{value} & 1>" in message.text
    assert 10 < len(message.subject) < 70
    assert ("\n" not in message.subject) and "{" not in message.subject + message.text
    assert "<at" not in message.html.replace("<a ", "")


@pytest.mark.parametrize("name", VALUES)
def test_a_mail_in_russian_is_in_russian(name: str) -> None:
    message = texts().message(MAIL, letter(name, "ru"))
    words = re.sub(r"<\w+ & 1>|https?://\S+|[\w.@-]*example\.com", "", message.subject + message.text)

    assert not re.search("[A-HJ-OQ-Za-z]", words)  # but for IP


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mail_that_somebody_may_not_expect_says_what_to_do_then(language: str) -> None:
    for name in VALUES:
        text = texts().message(MAIL, letter(name, language)).text.lower()
        assert re.search("not you|did not|nothing of|recognise|не вы|не ждали|ничего .*не знаете", text), name


def test_a_value_cannot_become_html_or_a_link() -> None:
    evil = 'https://evil.example/ <img src="https://evil.example/x">'
    message = texts().message(MAIL, letter("new_device", device=evil))

    assert read(message).addresses == []
    assert "<img" not in message.html


def test_the_same_letter_makes_the_same_message() -> None:
    first, again = (texts().message(MAIL, letter("verify")) for _ in range(2))

    assert first == again
    assert compose(first).content == compose(again).content
    assert first.message_id == "<01a1fd17-d0e0-7987-ba27-c603d83ecdcf@id.example.com>"
    assert first.sent_at == MAIL.created_at
    assert "zq7canary" not in repr(first) + repr(letter("verify"))


def test_the_sender_is_what_the_settings_say() -> None:
    assert texts().message(MAIL, letter("verify")).sender == "Propusk <no-reply@id.example.com>"
    chosen = texts(mail_from="Example <us@example.com>", mail_url=SecretStr("smtp://mail.example.com"))
    assert chosen.message(MAIL, letter("verify")).sender == "Example <us@example.com>"


@pytest.mark.parametrize(
    "url", ["http://[::1]:8000", "http://127.0.0.1:8000", f"https://{'a' * 60}.{'b' * 60}.example"]
)
def test_a_mail_can_be_made_wherever_we_are(url: str) -> None:
    content = compose(texts(public_url=url).message(MAIL, letter("verify"))).content

    assert content.count(b"\r\nMessage-ID:") == 1
    assert max(map(len, content.split(b"\r\n"))) <= 998  # RFC 5322, section 2.1.1
    assert b"01a1fd17-d0e0-7987-ba27-c603d83ecdcf@" in content


def test_the_persons_language_comes_before_the_requests_and_that_before_the_default() -> None:
    assert pick_language("ru-RU", "en", default="en") == "ru"
    assert pick_language("de", "RU", default="en") == "ru"
    assert pick_language(None, None, default="ru") == "ru"
    assert pick_language("rude", "", default="en") == "en"


def test_a_folder_of_ones_own_wins_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "verify.txt").write_text("Hi from {{ site }}\r\n\r\nOpen\r\n\r\n{{ link }}\r\n")
    own = texts(templates_dir=tmp_path)

    assert own.message(MAIL, letter("verify")).subject == "Hi from id.example.com"
    assert read(own.message(MAIL, letter("verify"))).paragraphs[-1].strip() == LINK
    assert own.message(MAIL, letter("verify", "ru")) == texts().message(MAIL, letter("verify", "ru"))
    (tmp_path / "layout.html").write_text("<p>{{ paragraphs[0][0] }}</p>")
    assert texts(templates_dir=tmp_path).message(MAIL, letter("verify")).html == "<p>Open</p>"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="templates_dir"):
        texts(templates_dir=tmp_path / "none")


def test_a_text_without_its_values_is_not_sent() -> None:
    with pytest.raises(UndefinedError):
        texts().message(MAIL, Letter(to="ada@example.com", template="verify"))
    with pytest.raises(TemplateNotFound):
        texts().message(MAIL, Letter(to="ada@example.com", template="../layout"))


def test_times_are_shown_alike_everywhere() -> None:
    assert shown_time(datetime(2026, 1, 2, 3, 4, tzinfo=UTC)) == "2026-01-02 03:04 UTC"
