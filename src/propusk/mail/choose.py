"""Who carries mails, by the settings."""

from propusk.mail import Mailer
from propusk.mail.mailbox import Mailbox
from propusk.mail.smtp import SmtpMailer
from propusk.settings import Settings


def mailer_for(settings: Settings) -> Mailer:
    """The server of `mail_url`, or the local mailbox."""
    server = settings.mail_server
    return SmtpMailer(server) if server is not None else Mailbox(settings.data_dir)
