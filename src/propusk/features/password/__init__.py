"""Passwords: register, log in, change, and delete one's account."""

from propusk.feature import Feature
from propusk.features.password.api import router


def feature() -> Feature:
    """Accounts with passwords."""
    return Feature(name="password", routers=(router,))
