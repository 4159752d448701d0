"""A user, as the domain sees one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class User:
    """A person's record. The fields are the columns of the users table, in its order."""

    id: UUID
    email: str
    email_key: str
    username: str | None
    username_key: str | None
    name: str | None
    locale: str | None
    profile: dict[str, Any]
    is_active: bool
    is_verified: bool
    is_superuser: bool
    session_epoch: int
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None
