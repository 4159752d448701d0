"""Queue a notice, in the transaction of what it tells."""

from propusk.context import Context
from propusk.events import Event, LoggedIn, PasswordChanged, RefreshTokenReuseDetected, UserDeactivated
from propusk.mail.outbox import enqueue
from propusk.sessions.device import describe_device
from propusk.users.queries import find_user


async def tell_of_new_device(ctx: Context, event: LoggedIn) -> None:
    """A session began on a device that the user was not seen on; the very first one is no news."""
    if event.new_device:
        await _tell(ctx, event, "new_device", **_whence(ctx))


async def tell_of_new_password(ctx: Context, event: PasswordChanged) -> None:
    """A password was set: by its owner, or by an operator, whose whereabouts are nobody's business."""
    by_owner = event.actor_id == event.user_id
    await _tell(ctx, event, "password_changed", **(_whence(ctx) if by_owner else {}))


async def tell_of_theft(ctx: Context, event: RefreshTokenReuseDetected) -> None:
    """A session was ended because its token came back. The event comes once for each session, and so does the mail."""
    await _tell(ctx, event, "session_stolen", **_whence(ctx))


async def tell_of_deactivation(ctx: Context, event: UserDeactivated) -> None:
    """An account was shut."""
    await _tell(ctx, event, "account_deactivated")


async def _tell(ctx: Context, event: Event, kind: str, **args: str | None) -> None:
    user = await find_user(ctx, event.user_id) if event.user_id is not None else None
    if user is not None:
        await enqueue(ctx, kind, user_id=user.id, asked=False, to=user.email, **args)


def _whence(ctx: Context) -> dict[str, str | None]:
    """Address and device of whoever is at the other end: the device in our words, never in theirs."""
    agent = ctx.client.user_agent
    return {"ip": ctx.client.ip, "device": describe_device(agent) if agent else None}
