"""A mail, on its way from a use case to the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class MailState(StrEnum):
    """Where a mail stands."""

    QUEUED = "queued"
    SENT = "sent"
    SKIPPED = "skipped"  # when its turn came there was nothing to send: no such user, say
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Mail:
    """A row of the outbox: who is to hear what. The fields are the columns of its table, in its order.

    `args` holds no secret: links are computed when the mail is written. `due_at` is when to try next, or until when
    whoever claimed it may take.
    """

    id: UUID
    kind: str
    user_id: UUID | None
    args: dict[str, Any]
    language: str | None
    state: MailState
    created_at: datetime
    due_at: datetime
    attempts: int
    recipient: str | None
    finished_at: datetime | None
    error: str | None

    @property
    def told_at(self) -> datetime:
        """When that happened which it tells: a mail that is sent again is younger than that."""
        return datetime.fromisoformat(self.args["at"]) if "at" in self.args else self.created_at


@dataclass(frozen=True)
class Outbox:
    """How it stands in the outbox: `oldest` is when the mail was made that has waited for longest."""

    queued: int
    failed: int
    oldest: datetime | None


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What a kind of mail has to say this time.

    Args:
        to: the address as stored, never as somebody typed it.
        template: the name of its texts, `reset_password`.
        language: of the person; None to go by the request, then by the default.
        values: what the texts name. Links are among them.
        use_by: after this it is of no use to anybody.
        user_id: whose mail it turned out to be, where the outbox does not know yet: with the user it disappears.
    """

    to: str
    template: str
    language: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    use_by: datetime | None = None
    user_id: UUID | None = None


@dataclass(frozen=True)
class Message:
    """A mail with all its texts, ready to be sent. The same `message_id` each time it is tried."""

    message_id: str
    to: str
    sender: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    language: str
    sent_at: datetime
