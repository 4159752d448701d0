"""Who may not log in, though they proved who they are."""

from propusk.context import Context
from propusk.errors import AccountDisabled, EmailNotVerified
from propusk.users.models import User


def barred(ctx: Context, user: User) -> AccountDisabled | EmailNotVerified | None:
    """The refusal that meets a user, whatever they proved themselves with; None for who may log in.

    Only who gave the right proof may learn of it.
    """
    if not user.is_active:
        return AccountDisabled()
    if ctx.settings.require_verified_email and not user.is_verified:
        return EmailNotVerified()
    return None
