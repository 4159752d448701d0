"""Turn a letter into a message: texts by language, a text part and an HTML part that say the same."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, select_autoescape

from propusk.mail.models import Letter, Mail, Message
from propusk.settings import Settings, SettingsError

LANGUAGES = ("en", "ru")
_OURS = Path(__file__).parent / "templates"


def pick_language(*tags: str | None, default: str) -> str:
    """The first of some language tags (RFC 5646) that we speak, by its first part; else `default`."""
    for tag in tags:
        language = (tag or "").partition("-")[0].lower()
        if language in LANGUAGES:
            return language
    return default


class Texts:
    """The texts of our mails, from `templates_dir` where it has them, else ours.

    A mail is one file for each language, `en/reset_password.txt`: the subject, an empty line, paragraphs. The HTML part
    is made of the same paragraphs by `layout.html`; a paragraph that is an address becomes a link. What people may type
    freely has no place in them, or we would carry strangers' words to strangers.

    Raises:
        SettingsError: there is no such `templates_dir`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        folders = [settings.templates_dir] if settings.templates_dir else []
        if any(not folder.is_dir() for folder in folders):
            raise SettingsError(f"templates_dir: there is no folder {settings.templates_dir}")
        self._env = Environment(
            loader=ChoiceLoader([FileSystemLoader(folder) for folder in (*folders, _OURS)]),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def message(self, mail: Mail, letter: Letter) -> Message:
        """The message that tells `letter`. Written again, it has the same texts and the same id.

        Raises:
            jinja2.TemplateError: a template is missing or broken.
        """
        language = pick_language(letter.language, mail.language, default=self._settings.default_locale)
        host = urlsplit(self._settings.public_url).hostname or ""
        domain = "localhost" if ":" in host else host  # an IPv6 address is no domain
        values = {"site": host, "public_url": self._settings.public_url, "email": letter.to, **letter.values}
        text = self._env.get_template(f"{language}/{letter.template}.txt").render(values)
        subject, _, body = text.strip().partition("\n\n")
        paragraphs = list(_paragraphs(body))
        marked = [(paragraph, _is_link(paragraph)) for paragraph in paragraphs]
        layout = self._env.get_template("layout.html")
        return Message(
            message_id=f"<{mail.id}@{domain}>",
            to=letter.to,
            sender=self._settings.mail_from or f"Propusk <no-reply@{domain}>",
            subject=" ".join(subject.split()),
            text="\n\n".join(paragraphs) + "\n",
            html=layout.render(values, subject=subject, paragraphs=marked, language=language),
            language=language,
            sent_at=mail.created_at,
        )


def _paragraphs(body: str) -> Iterator[str]:
    for paragraph in body.split("\n\n"):
        if text := " ".join(paragraph.split()):
            yield text


def _is_link(paragraph: str) -> bool:
    return paragraph.startswith(("https://", "http://")) and " " not in paragraph


def shown_time(moment: datetime) -> str:
    """A moment as our mails write it."""
    return moment.strftime("%Y-%m-%d %H:%M UTC")
