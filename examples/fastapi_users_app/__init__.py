"""An app for clients of FastAPI Users, with a counter that one worker moves on and a migration history of its own.

uvicorn examples.fastapi_users_app:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from sqlalchemy import Connection, update

from examples.fastapi_users_app.tables import counters, metadata
from propusk import PAGES, Context, Settings, as_detail, create_auth
from propusk.alembic import alone
from propusk.contrib import fastapi_users

auth = create_auth(Settings.from_env({"access_token_ttl": "1h"}), metadata=metadata, refresh_tokens=False)


def upgrade(connection: Connection) -> None:
    config = Config(Path(__file__).with_name("alembic.ini"), attributes={"connection": connection})
    command.upgrade(config, "heads")


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with alone(auth) as connection:
        await connection.run_sync(upgrade)
    yield


app = FastAPI(title="For clients of FastAPI Users", lifespan=lifespan)
auth.install(app, routes=PAGES, errors=as_detail)
app.include_router(fastapi_users.router)


@auth.every(seconds=float(os.environ.get("COUNTER_SECONDS", "10")))
async def count(ctx: Context) -> None:
    """Once in ten seconds, in one process of all that share the database."""
    n = await ctx.db.scalar(update(counters).values(n=counters.c.n + 1).returning(counters.c.n))
    print(f"counter: {n}", flush=True)
