"""crudauth, as its "Getting started" and its Redis recipe have it: sessions in cookies, kept in Redis.

Runs in an environment of its own, which the type checker does not see.
"""

# mypy: ignore-errors

import gc
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from crudauth import CRUDAuth, Principal, SessionTransport
from crudauth.models import AuthUserMixin
from crudauth.ratelimit import LockoutConfig, RateLimit
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

# Attempts are counted, as everywhere here, up to a limit that the load does not meet.
NO_LIMIT = 10**9
engine = create_async_engine(os.environ["PEER_DATABASE_URL"])
new_session = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """Of the tables."""


class User(Base, AuthUserMixin):
    """The columns that come with the library."""

    __tablename__ = "users"


async def get_session() -> AsyncIterator[AsyncSession]:
    """One for each request."""
    async with new_session() as session:
        yield session


auth = CRUDAuth(
    session=get_session,
    user_model=User,
    SECRET_KEY="a-secret-of-32-characters-or-more",
    redis_url=os.environ["PEER_REDIS_URL"],
    transports=[SessionTransport(management_routes=True)],
    rate_limits={"register": RateLimit(times=NO_LIMIT, seconds=3600)},
    lockout=LockoutConfig(max_attempts=NO_LIMIT),
)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Make the tables and open the stores."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await auth.initialize()
    yield
    await auth.shutdown()


app = FastAPI(lifespan=lifespan)
app.include_router(auth.router)


class Answer(BaseModel):
    """What `/me` of the library answers with."""

    user_id: int
    username: str
    email: str
    is_superuser: bool


ADA = {"user_id": 1, "username": "ada", "email": "ada@example.com", "is_superuser": False}


@app.get("/plain")
async def get_plain() -> Answer:
    """Nothing but FastAPI's own work."""
    return Answer.model_construct(**ADA)


@app.get("/mine")
async def get_mine(caller: Annotated[Principal, Depends(auth.current_user())]) -> Answer:
    """The same for somebody."""
    return Answer.model_construct(**{**ADA, "email": caller.user.email})


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app, port=int(sys.argv[1]), access_log=False, log_level="warning", proxy_headers=False, server_header=False
    )
