"""`propusk mail`: what is in the outbox, why it did not arrive, and once more."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import click

from propusk.cli.run import Refused, as_json_option, in_transaction, printable
from propusk.context import Context
from propusk.mail.models import Mail, MailState
from propusk.mail.outbox import send_again
from propusk.mail.queries import find_mail, list_mails


@click.group()
def mail() -> None:
    """The outbox: mails that wait, were sent, or failed. What stands in them is not shown."""


@mail.command("list")
@click.option("--state", type=click.Choice([state.value for state in MailState]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="So many at most.")
@as_json_option
def list_(state: str | None, limit: int, as_json: bool) -> None:
    """List mails, newest first."""
    wanted = MailState(state) if state is not None else None
    mails = in_transaction(lambda ctx: list_mails(ctx, state=wanted, limit=limit))
    if as_json:
        click.echo(json.dumps([_facts(one) for one in mails], indent=2))
    else:
        for one in mails:
            click.echo(_line(one))


@mail.command()
@click.argument("mail_id", metavar="ID", type=click.UUID)
@as_json_option
def show(mail_id: UUID, as_json: bool) -> None:
    """Show what is known of one mail: when it was tried, and what the mail server said."""
    found = in_transaction(lambda ctx: _find(ctx, mail_id))
    if as_json:
        click.echo(json.dumps(_facts(found), indent=2))
    else:
        for name, value in _facts(found).items():
            click.echo(f"{name:<14}{printable(str('-' if value is None else value))}")


@mail.command()
@click.argument("mail_id", metavar="ID", type=click.UUID, required=False)
@click.option("--failed", "all_failed", is_flag=True, help="All that failed.")
@as_json_option
def retry(mail_id: UUID | None, all_failed: bool, as_json: bool) -> None:
    """Queue a mail that failed again: as a new mail, with a fresh link where there is one in it."""
    if (mail_id is None) != all_failed:
        raise click.UsageError("either ID or --failed")

    async def act(ctx: Context) -> list[Mail]:
        failed = await _all_failed(ctx) if mail_id is None else [await _find(ctx, mail_id)]
        queued = [again for one in failed if (again := await send_again(ctx, one))]
        if mail_id is not None and not queued:
            raise Refused(f"it has not failed: it is {failed[0].state}")
        return queued

    queued = in_transaction(act)
    if as_json:
        click.echo(json.dumps([str(one.id) for one in queued]))
    else:
        click.echo(f"queued: {len(queued)}" if all_failed else f"queued as {queued[0].id}")


async def _find(ctx: Context, mail_id: UUID) -> Mail:
    found = await find_mail(ctx, mail_id)
    if found is None:
        raise Refused(f"there is no mail {mail_id}")
    return found


async def _all_failed(ctx: Context) -> list[Mail]:
    return await list_mails(ctx, state=MailState.FAILED, limit=100_000)


def _facts(one: Mail) -> dict[str, Any]:
    """Everything but the arguments: they are nobody's business but the writer's."""
    return {
        "id": str(one.id),
        "kind": one.kind,
        "state": one.state.value,
        "user_id": str(one.user_id) if one.user_id else None,
        "recipient": one.recipient,
        "language": one.language,
        "created_at": _time(one.created_at),
        "due_at": _time(one.due_at) if one.state is MailState.QUEUED else None,
        "finished_at": _time(one.finished_at),
        "attempts": one.attempts,
        "error": one.error,
    }


def _time(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment is not None else None


def _line(one: Mail) -> str:
    tried = f"tried {one.attempts}x" if one.attempts else "not tried"
    parts = [
        str(one.id),
        _time(one.created_at) or "",
        one.state,
        one.kind,
        one.recipient or "-",
        tried,
        one.error or "",
    ]
    return printable("  ".join(parts).rstrip())
