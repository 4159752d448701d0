"""How commands name a person, show one, and take a password."""

import re
import sys
from uuid import UUID

import click

from propusk.cli.run import Refused, printable
from propusk.context import Context
from propusk.users.email_address import login_key
from propusk.users.models import User
from propusk.users.queries import find_user, find_user_by
from propusk.web.schemas import UserOut

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


async def find_person(ctx: Context, person: str) -> User:
    """The user of this e-mail, username or id. (No username is as long as an id.)

    Raises:
        Refused: there is none.
    """
    if _ID.fullmatch(person):
        found = await find_user(ctx, UUID(person))
    else:
        key = login_key(person)
        found = await find_user_by(ctx, *key) if key is not None else None
    if found is None:
        raise Refused(f"there is nobody with the e-mail, username or id {printable(person[:254])}")
    return found


def to_json(user: User) -> str:
    """The user as the API answers it."""
    return UserOut.of(user).model_dump_json()


def print_user(user: User, *, as_json: bool) -> None:
    """One user, a line for each field, or as JSON."""
    if as_json:
        click.echo(to_json(user))
        return
    for name, value in UserOut.of(user).model_dump(mode="json").items():
        click.echo(f"{name:<14}{printable(str('-' if value is None else value))}")


def user_line(user: User) -> str:
    """One user on one line: id, when it was made, e-mail, username, and what is special about it."""
    flags = [
        word
        for word, so in (
            ("superuser", user.is_superuser),
            ("inactive", not user.is_active),
            ("unverified", not user.is_verified),
        )
        if so
    ]
    parts = [str(user.id), f"{user.created_at:%Y-%m-%dT%H:%M:%SZ}", user.email, user.username or "-", *flags]
    return "  ".join(printable(part) for part in parts)


def read_password() -> str:
    """A new password: asked for twice at a terminal, else the first line of standard input.

    Raises:
        UsageError: there is none.
    """
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
        return typed
    line = sys.stdin.buffer.readline(10_000)
    if not line:
        raise click.UsageError("no password was given: type it at a terminal, or send it as a line on standard input")
    try:
        return line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.UsageError("the password on standard input is not UTF-8") from None
