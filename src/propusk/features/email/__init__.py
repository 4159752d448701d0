"""E-mail addresses: proven, changed, and taken back."""

from propusk.events import UserCreated, UserDeactivated, UserRegistered, UserUpdated
from propusk.feature import Feature
from propusk.features.email import api, mails, pages
from propusk.features.email.change import void_changes, void_links
from propusk.features.email.verify import send_link, send_verification
from propusk.registry import Subscriber


def feature() -> Feature:
    """Verification of addresses and their change."""
    return Feature(
        name="email",
        routers=(api.router, pages.router),
        subscribers=(
            Subscriber(UserRegistered, send_verification),
            Subscriber(UserCreated, send_link),
            Subscriber(UserUpdated, void_changes),
            Subscriber(UserUpdated, send_link),
            Subscriber(UserDeactivated, void_links),
        ),
        mails={
            "verify": mails.write_verify,
            "confirm_email": mails.write_confirm_email,
            "email_change_requested": mails.write_email_change_requested,
            "email_changed": mails.write_email_changed,
            "email_undone": mails.write_email_fact,
            "email_lost": mails.write_email_fact,
            "email_replaced": mails.write_email_fact,
        },
    )
