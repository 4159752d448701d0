"""A single-use token, as the domain sees one."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Purpose(StrEnum):
    """What a token is for. One of one purpose is nothing for another."""

    VERIFY = "verify"
    REGISTER = "register"
    RESET = "reset"
    CHANGE_EMAIL = "change_email"
    UNDO_EMAIL = "undo_email"


@dataclass(frozen=True, slots=True)
class OneTimeToken:
    """The row of a token. The fields are the columns of its table, in its order.

    `email_key` is the address that the token is about: proven by it, or kept for it. `payload` is what it was bound to
    when it was made, and what its use is to bring about.
    """

    id: UUID
    purpose: Purpose
    user_id: UUID | None
    email_key: str
    digest: bytes
    payload: dict[str, Any]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
