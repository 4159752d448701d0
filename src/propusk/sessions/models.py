"""A session, as the domain sees one."""

from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from propusk.users.models import User


@dataclass(frozen=True, slots=True)
class Session:
    """A logged-in browser or device. The fields are the columns of the sessions table, in its order.

    `epoch` is the user's `session_epoch` when the login began: ending all sessions of a user raises that number, and
    with it dies whatever was still on its way.
    """

    id: UUID
    user_id: UUID
    epoch: int
    methods: str
    created_at: datetime
    last_seen_at: datetime
    idle_expires_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ip: str | None
    network: str
    user_agent: str
    refresh_counter: int
    refresh_seed: bytes
    refresh_key: bytes
    refreshed_at: datetime | None

    @property
    def lapses_at(self) -> datetime:
        """When the session ends if it is not refreshed before."""
        return min(self.idle_expires_at, self.expires_at)

    def seconds_left(self, now: datetime) -> int:
        """Whole seconds until then."""
        return max(0, (self.lapses_at - now) // timedelta(seconds=1))


@dataclass(frozen=True, slots=True, eq=False)
class Principal:
    """Who is calling: a live session and its user, as one read found them. Equal to itself only."""

    user: User
    session: Session

    def unshared(self) -> "Principal":
        """The same with a profile of its own, which may be changed."""
        return Principal(replace(self.user, profile=deepcopy(self.user.profile)), self.session)


def is_live(session: Session, user: User, now: datetime) -> bool:
    """Whether the session may be accepted at `now`. Idle and absolute ends are checked here, not by a job."""
    return (
        session.ended_at is None and session.epoch == user.session_epoch and user.is_active and now < session.lapses_at
    )
