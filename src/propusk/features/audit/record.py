"""One subscriber writes them all."""

import re

from propusk.context import Context
from propusk.crypto.secrets import new_id
from propusk.events import Event
from propusk.features.audit.queries import insert_event


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


def kind_of(event: Event) -> str:
    """`LoginFailed` is written `login_failed`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
