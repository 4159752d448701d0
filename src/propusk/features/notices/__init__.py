"""Notices: a mail to the owner of an account when something happened that they should know of."""

from propusk.events import LoggedIn, PasswordChanged, RefreshTokenReuseDetected, UserDeactivated
from propusk.feature import Feature
from propusk.features.notices.tell import (
    tell_of_deactivation,
    tell_of_new_device,
    tell_of_new_password,
    tell_of_theft,
)
from propusk.features.notices.write import write_account_deactivated, write_notice
from propusk.registry import Subscriber


def feature() -> Feature:
    """Mails about a sign-in from a new device, a new password, a stolen session, a deactivated account."""
    return Feature(
        name="notices",
        subscribers=(
            Subscriber(LoggedIn, tell_of_new_device),
            Subscriber(PasswordChanged, tell_of_new_password),
            Subscriber(RefreshTokenReuseDetected, tell_of_theft),
            Subscriber(UserDeactivated, tell_of_deactivation),
        ),
        mails={
            "new_device": write_notice,
            "password_changed": write_notice,
            "session_stolen": write_notice,
            "account_deactivated": write_account_deactivated,
        },
    )
