"""One subscriber writes them all."""

import re
from functools import cache

from propusk.context import Context
from propusk.crypto.secrets import new_id
from propusk.events import Event, UserDeleted
from propusk.features.audit.queries import clear_addresses, insert_event


async def record_event(ctx: Context, event: Event) -> None:
    """Write an event down: when, what, to whom, by whom, from where, how it ended. No name and no secret goes in."""
    await insert_event(
        ctx,
        {
            "id": new_id(ctx.now, ctx.entropy),
            "at": ctx.now,
            "kind": kind_of(event),
            "outcome": event.outcome,
            "user_id": event.user_id,
            "actor_id": event.actor_id,
            "session_id": event.session_id,
            "ip": ctx.client.ip,
            "detail": event.detail,
        },
    )


async def forget_addresses(ctx: Context, event: UserDeleted) -> None:
    """Of a deleted user the bare facts stay, and no address. What somebody else did to them keeps theirs: deleting the
    victim shall not wipe the traces of an administrator.
    """
    if event.user_id is not None:
        await clear_addresses(ctx, event.user_id)


def kind_of(event: Event) -> str:
    """`LoginFailed` is written `login_failed`."""
    return _in_snake_case(type(event).__name__)


@cache
def _in_snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
