"""One subscriber writes them all."""

import re
from uuid import UUID

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
            "actor_id": event.actor_id or _self(event),
            "session_id": event.session_id,
            "ip": ctx.client.ip,
            "detail": event.detail,
        },
    )


def _self(event: Event) -> UUID | None:
    """People act for themselves unless the event says otherwise. But who failed to prove who they are is nobody yet."""
    return event.user_id if event.outcome == "success" else None


def kind_of(event: Event) -> str:
    """`LoginFailed` is written `login_failed`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
