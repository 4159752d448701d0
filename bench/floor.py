"""The floor: an empty FastAPI endpoint with a response model of the same shape, served the same way."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class FloorUser(BaseModel):
    """As many fields as a user has."""

    id: UUID
    email: str
    username: str | None
    name: str | None
    is_active: bool
    is_verified: bool
    is_superuser: bool
    locale: str | None
    profile: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None


NOW = datetime(2026, 11, 21, tzinfo=UTC)
ADA: dict[str, Any] = {
    "id": UUID("01a1fc60-1262-7038-8df6-ce128a816a3d"),
    "email": "ada@example.com",
    "username": "ada",
    "name": None,
    "is_active": True,
    "is_verified": False,
    "is_superuser": False,
    "locale": None,
    "profile": {},
    "created_at": NOW,
    "updated_at": NOW,
    "last_login_at": NOW,
}
app = FastAPI()


@app.get("/users/me")
async def get_me() -> FloorUser:
    """Nothing but FastAPI's own work."""
    return FloorUser.model_construct(**ADA)


if __name__ == "__main__":
    import sys

    uvicorn.run(
        app, port=int(sys.argv[1]), access_log=False, log_level="warning", proxy_headers=False, server_header=False
    )
