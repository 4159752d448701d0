"""Facts that happened. Subscribers hear of them in the same transaction: both are kept, or neither."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

if TYPE_CHECKING:
    from propusk.context import Context


@dataclass(frozen=True, kw_only=True)
class Event:
    """The root of all. `actor_id` is who did it; None for the operator's command line and for who proved nothing."""

    user_id: UUID | None
    actor_id: UUID | None = None
    session_id: UUID | None = None
    detail: str | None = None
    outcome: ClassVar[str] = "success"


@dataclass(frozen=True, kw_only=True)
class UserRegistered(Event):
    """Somebody made an account of their own."""


@dataclass(frozen=True, kw_only=True)
class UserCreated(Event):
    """A superuser or the command line made an account for somebody."""

    has_password: bool = False


@dataclass(frozen=True, kw_only=True)
class UserUpdated(Event):
    """Fields of a user changed; `detail` names them. `old_email`: the address until now, when it is another one since;
    a new spelling of the same is none.
    """

    old_email: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class UserActivated(Event):
    """A user may log in again."""


@dataclass(frozen=True, kw_only=True)
class UserDeactivated(Event):
    """A user may log in no more; every session has ended."""


@dataclass(frozen=True, kw_only=True)
class UserPromoted(Event):
    """A user became a superuser."""


@dataclass(frozen=True, kw_only=True)
class UserDemoted(Event):
    """A user is a superuser no more."""


@dataclass(frozen=True, kw_only=True)
class UserDeleted(Event):
    """A user is gone, with every session and all personal data."""


@dataclass(frozen=True, kw_only=True)
class EmailVerified(Event):
    """A user proved that mail to their address reaches them; `detail` says by what: `link` or `reset`."""


@dataclass(frozen=True, kw_only=True)
class EmailChangeRequested(Event):
    """A user asked for another address, which has yet to be confirmed."""


@dataclass(frozen=True, kw_only=True)
class EmailChanged(Event):
    """A user's new address was confirmed."""


@dataclass(frozen=True, kw_only=True)
class EmailChangeUndone(Event):
    """The holder of the old address took a change back: sessions and password are gone."""


@dataclass(frozen=True, kw_only=True)
class LoggedIn(Event):
    """A session began. `new_device`: the user had logged in before, but not from this network on such a device."""

    new_device: bool = False


@dataclass(frozen=True, kw_only=True)
class LoginFailed(Event):
    """A login was refused; `user_id` is None when there is no such user. `detail` says why."""

    outcome: ClassVar[str] = "failure"


@dataclass(frozen=True, kw_only=True)
class LoggedOut(Event):
    """A session was ended by its own credential."""


@dataclass(frozen=True, kw_only=True)
class SessionEnded(Event):
    """A session was ended from a list of sessions, or because there were too many; `detail` says which."""


@dataclass(frozen=True, kw_only=True)
class SessionsEnded(Event):
    """All sessions of a user have ended; `session_id` names the one that was spared."""


@dataclass(frozen=True, kw_only=True)
class RefreshTokenReuseDetected(Event):
    """A used refresh token came back: stolen somewhere. Its session has ended."""

    outcome: ClassVar[str] = "failure"


@dataclass(frozen=True, kw_only=True)
class PasswordChanged(Event):
    """A user has a new password; every other session has ended."""


@dataclass(frozen=True, kw_only=True)
class PasswordRefused(Event):
    """A session's holder gave a wrong current password."""

    outcome: ClassVar[str] = "failure"


@dataclass(frozen=True, kw_only=True)
class KeyRotated(Event):
    """A new signing key was published; `detail` is its id."""


@dataclass(frozen=True, kw_only=True)
class KeyRevoked(Event):
    """A signing key was revoked, and every token it signed with it; `detail` is its id."""


async def publish(ctx: Context, event: Event) -> None:
    """Tell every subscriber of this kind of event, in their order."""
    for subscriber in ctx.registry.subscribers:
        if isinstance(event, subscriber.event):
            await subscriber.handle(ctx, event)
