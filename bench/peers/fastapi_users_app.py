"""FastAPI Users, as its "Full example" for SQLAlchemy has it; the strategy is the one that PEER_STRATEGY names.

Runs in an environment of its own, which the type checker does not see.
"""

# mypy: ignore-errors

import gc
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import redis.asyncio
import uvicorn
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import (
    AuthenticationBackend,
    BearerTransport,
    JWTStrategy,
    RedisStrategy,
    Strategy,
)
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import (
    SQLAlchemyAccessTokenDatabase,
    SQLAlchemyBaseAccessTokenTableUUID,
)
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

SECRET = "a-secret-of-32-characters-or-more"
LIFETIME = 3600
engine = create_async_engine(os.environ["PEER_DATABASE_URL"])
new_session = async_sessionmaker(engine, expire_on_commit=False)
redis_client = redis.asyncio.from_url(os.environ.get("PEER_REDIS_URL", "redis://127.0.0.1"), decode_responses=True)


class Base(DeclarativeBase):
    """Of the tables."""


class User(SQLAlchemyBaseUserTableUUID, Base):
    """The columns that come with the library."""


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    """The same."""


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    """The documented hooks do nothing but print, so there are none here."""

    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


async def get_session() -> AsyncIterator[AsyncSession]:
    """One for each request."""
    async with new_session() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]


async def get_user_db(session: Session) -> AsyncIterator[SQLAlchemyUserDatabase]:
    """As documented."""
    yield SQLAlchemyUserDatabase(session, User)


async def get_user_manager(
    user_db: Annotated[SQLAlchemyUserDatabase, Depends(get_user_db)],
) -> AsyncIterator[UserManager]:
    """As documented."""
    yield UserManager(user_db)


async def get_access_token_db(session: Session) -> AsyncIterator[SQLAlchemyAccessTokenDatabase]:
    """As documented."""
    yield SQLAlchemyAccessTokenDatabase(session, AccessToken)


def get_database_strategy(
    tokens: Annotated[SQLAlchemyAccessTokenDatabase, Depends(get_access_token_db)],
) -> Strategy:
    """Tokens are rows."""
    return DatabaseStrategy(tokens, lifetime_seconds=LIFETIME)


def get_redis_strategy() -> Strategy:
    """Tokens are keys."""
    return RedisStrategy(redis_client, lifetime_seconds=LIFETIME)


def get_jwt_strategy() -> Strategy:
    """Tokens are signed, and nothing revokes them."""
    return JWTStrategy(secret=SECRET, lifetime_seconds=LIFETIME)


STRATEGIES = {"database": get_database_strategy, "redis": get_redis_strategy, "jwt": get_jwt_strategy}
backend = AuthenticationBackend(
    name="bearer",
    transport=BearerTransport(tokenUrl="auth/login"),
    get_strategy=STRATEGIES[os.environ["PEER_STRATEGY"]],
)
users = FastAPIUsers[User, uuid.UUID](get_user_manager, [backend])
current_user = users.current_user(active=True)


class UserRead(schemas.BaseUser[uuid.UUID]):
    """What an answer shows."""


class UserCreate(schemas.BaseUserCreate):
    """What a registration takes."""


class UserUpdate(schemas.BaseUserUpdate):
    """What a change takes."""


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Make the tables, as documented."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield


app = FastAPI(lifespan=lifespan)
app.include_router(users.get_auth_router(backend), prefix="/auth")
app.include_router(users.get_register_router(UserRead, UserCreate), prefix="/auth")
app.include_router(users.get_users_router(UserRead, UserUpdate), prefix="/users")

ADA = {"id": uuid.uuid4(), "email": "ada@example.com", "is_active": True, "is_superuser": False, "is_verified": False}


@app.get("/plain")
async def get_plain() -> UserRead:
    """Nothing but FastAPI's own work."""
    return UserRead.model_construct(**ADA)


@app.get("/mine")
async def get_mine(user: Annotated[User, Depends(current_user)]) -> UserRead:
    """The same for somebody."""
    return UserRead.model_construct(**{**ADA, "email": user.email})


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app, port=int(sys.argv[1]), access_log=False, log_level="warning", proxy_headers=False, server_header=False
    )
