"""Passwords: register, log in, change, reset, and delete one's account."""

from propusk.events import EmailChangeUndone, UserCreated, UserDeactivated, UserUpdated
from propusk.feature import Feature
from propusk.features.password.api import lean, router
from propusk.features.password.mails import (
    tell_of_account,
    void_links,
    void_password,
    write_account_created,
    write_reset_password,
    write_set_password,
)
from propusk.features.password.pages import router as pages
from propusk.passwords.pending import write_register
from propusk.registry import Subscriber


def feature() -> Feature:
    """Accounts with passwords."""
    return Feature(
        name="password",
        routers=(lean, router, pages),
        subscribers=(
            Subscriber(UserCreated, tell_of_account),
            Subscriber(EmailChangeUndone, void_password),
            Subscriber(UserUpdated, void_links),
            Subscriber(UserDeactivated, void_links),
        ),
        mails={
            "reset_password": write_reset_password,
            "set_password": write_set_password,
            "account_created": write_account_created,
            "register": write_register,
        },
    )
