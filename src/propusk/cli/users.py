"""`propusk users`: make, find, change and delete people, and end their sessions."""

import json
from typing import Any

import click

from propusk.cli.people import find_person, print_user, read_password, to_json, user_line
from propusk.cli.run import as_json_option, in_transaction, printable
from propusk.cli.sessions import sessions
from propusk.context import Context
from propusk.features.password.change import set_password
from propusk.features.password.register import create_user_with_password
from propusk.users.change import change_user
from propusk.users.delete import delete_user
from propusk.users.models import User
from propusk.users.queries import stream_users


@click.group()
def users() -> None:
    """People: make, find, change and delete them. PERSON is an e-mail, a username or an id."""


users.add_command(sessions)
person_argument = click.argument("person")


@users.command()
@click.option("--email", required=True, help="Their address; counts as verified.")
@click.option("--username", help="A second name to log in with.")
@click.option("--name", help="What to call them.")
@click.option("--locale", help="Their language: en, ru, …")
@click.option("--superuser", is_flag=True, help="They may administer everybody.")
@click.option("--no-password", is_flag=True, help="Without one: they get a mail with a link to choose it.")
@as_json_option
def create(
    email: str,
    username: str | None,
    name: str | None,
    locale: str | None,
    superuser: bool,
    no_password: bool,
    as_json: bool,
) -> None:
    """Make a user. The password is asked for, or taken as one line from standard input."""
    password = None if no_password else read_password()
    fields = {"email": email, "username": username, "name": name, "locale": locale}

    async def act(ctx: Context) -> User:
        return await create_user_with_password(
            ctx, actor=None, password=password, is_superuser=superuser, is_verified=True, **fields
        )

    print_user(in_transaction(act), as_json=as_json)


@users.command("list")
@click.option("--limit", type=click.IntRange(1), help="So many at most; by default everybody.")
@as_json_option
def list_(limit: int | None, as_json: bool) -> None:
    """List everybody, newest first; with --json as one array of what the API answers."""

    async def act(ctx: Context) -> None:
        shown = 0
        async for user in stream_users(ctx, page=min(limit or 500, 500)):
            if as_json:
                click.echo(("," if shown else "[") + "\n" + to_json(user), nl=False)
            else:
                click.echo(user_line(user))
            shown += 1
            if shown == limit:
                break
        if as_json:
            click.echo("\n]" if shown else "[]")

    in_transaction(act)


@users.command()
@person_argument
@as_json_option
def show(person: str, as_json: bool) -> None:
    """Show one person."""
    print_user(in_transaction(lambda ctx: find_person(ctx, person)), as_json=as_json)


@users.command("set-password")
@person_argument
@as_json_option
def set_password_(person: str, as_json: bool) -> None:
    """Set a password, asked for or read from standard input. All their sessions end."""
    password = read_password()

    async def act(ctx: Context) -> User:
        user = await find_person(ctx, person)
        await set_password(ctx, user=user, password=password, actor_id=None)
        return user

    print_user(in_transaction(act), as_json=as_json)


def _change(person: str, as_json: bool, **changes: Any) -> None:
    async def act(ctx: Context) -> User:
        user = await find_person(ctx, person)
        return await change_user(ctx, user_id=user.id, changes=changes, actor_id=None)

    print_user(in_transaction(act), as_json=as_json)


@users.command()
@person_argument
@as_json_option
def activate(person: str, as_json: bool) -> None:
    """Let somebody log in again."""
    _change(person, as_json, is_active=True)


@users.command()
@person_argument
@as_json_option
def deactivate(person: str, as_json: bool) -> None:
    """Shut somebody out: all their sessions end, and they cannot log in."""
    _change(person, as_json, is_active=False)


@users.command()
@person_argument
@as_json_option
def promote(person: str, as_json: bool) -> None:
    """Make somebody a superuser."""
    _change(person, as_json, is_superuser=True)


@users.command()
@person_argument
@as_json_option
def demote(person: str, as_json: bool) -> None:
    """Take that away again."""
    _change(person, as_json, is_superuser=False)


@users.command()
@person_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
def delete(person: str, yes: bool, as_json: bool) -> None:
    """Delete somebody with their credentials, sessions and personal data."""

    async def find(ctx: Context) -> User:
        return await find_person(ctx, person)

    async def act(ctx: Context) -> None:
        await delete_user(ctx, user_id=user.id, actor_id=None)

    user = in_transaction(find)
    if not yes:
        click.confirm(f"Delete {user_line(user)}\nfor good?", abort=True, err=True)
    in_transaction(act)
    if as_json:
        click.echo(json.dumps({"deleted": str(user.id)}))
    else:
        click.echo(f"deleted {printable(user.email)}", err=True)
