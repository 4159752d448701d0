"""`propusk users sessions`: where somebody is logged in, and how to end that."""

import json
from uuid import UUID

import click

from propusk.cli.people import find_person
from propusk.cli.run import Refused, as_json_option, in_transaction, printable
from propusk.context import Context
from propusk.errors import NotFound
from propusk.sessions.end import end_all_sessions, end_session
from propusk.sessions.models import Session
from propusk.sessions.queries import list_live_sessions
from propusk.users.models import User
from propusk.web.schemas import SessionOut


@click.command()
@click.argument("person")
@click.option("--end", "ended", type=click.UUID, metavar="ID", help="End this one.")
@click.option("--end-all", is_flag=True, help="End all of them, logins in flight included.")
@as_json_option
def sessions(person: str, ended: UUID | None, end_all: bool, as_json: bool) -> None:
    """List where somebody is logged in, newest first, or end it."""
    if ended is not None and end_all:
        raise click.UsageError("either --end or --end-all")

    async def act(ctx: Context) -> int | list[Session]:
        user = await find_person(ctx, person)
        if end_all:
            return await end_all_sessions(ctx, user_id=user.id, actor_id=None)
        if ended is not None:
            await _end(ctx, user, ended)
            return 1
        return await _all(ctx, user)

    found = in_transaction(act)
    if isinstance(found, int):
        click.echo(json.dumps({"revoked": found}) if as_json else f"ended: {found}")
    elif as_json:
        click.echo("[" + ",\n".join(SessionOut.of(session, None).model_dump_json() for session in found) + "]")
    else:
        for session in found:
            click.echo(_line(SessionOut.of(session, None)))


async def _end(ctx: Context, user: User, ended: UUID) -> None:
    try:
        await end_session(ctx, session_id=ended, user_id=user.id, actor_id=None)
    except NotFound:
        raise Refused(f"{printable(user.email)} has no session {ended}, or it has ended") from None


async def _all(ctx: Context, user: User) -> list[Session]:
    found: list[Session] = []
    while page := await list_live_sessions(
        ctx, user.id, limit=200, before=(found[-1].created_at, found[-1].id) if found else None
    ):
        found += page
    return found


def _line(session: SessionOut) -> str:
    times = f"since {session.created_at:%Y-%m-%dT%H:%M:%SZ}  seen {session.last_seen_at:%Y-%m-%dT%H:%M:%SZ}"
    return printable(f"{session.id}  {times}  {session.ip or '-'}  {session.device}")
