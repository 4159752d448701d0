"""Usernames: what one may look like, and when two are the same."""

import re
from dataclasses import dataclass

from propusk.context import Context
from propusk.errors import invalid

_PATTERN = re.compile(r"[A-Za-z0-9._-]{3,32}")


@dataclass(frozen=True)
class Username:
    """A username as typed, and the key by which it is unique and found: the same in lower case."""

    name: str
    key: str


def normalise_username(text: str, *, field: str = "username") -> Username:
    """The username in `text`. ASCII alone, so no two look alike but differ, save by case, which the key folds.

    Raises:
        InvalidInput: `bad_username`.
    """
    if _PATTERN.fullmatch(text) is None:
        raise invalid(field, "bad_username", "Use 3 to 32 letters (a to z), digits, dots, underscores and hyphens.")
    return Username(text, text.lower())


def new_username(ctx: Context, text: str) -> Username:
    """The username in `text`, for somebody who would like to have it: by the host's rule, too.

    Raises:
        InvalidInput: `bad_username`.
    """
    username = normalise_username(text)
    if ctx.host.check_username is not None and (fault := ctx.host.check_username(text)):
        raise invalid("username", "bad_username", fault)
    return username
