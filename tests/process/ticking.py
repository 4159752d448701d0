"""An application with a periodic function of its own, to be run by uvicorn: a row for each second.

Settings come from the environment; beside them, `TICK_FOLDER`: while there is a file `slow` in it, a tick takes two
seconds, and puts the number of its process into `holder`; and `TICK_LEASE`, in seconds.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from propusk.assemble import assemble
from propusk.context import Context
from propusk.create import standard_features
from propusk.db.types import UtcDateTime
from propusk.settings import Settings
from propusk.web.install import install

TICKS = Table(
    "ticks",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("due_at", UtcDateTime, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("pid", Integer, nullable=False),
)
NAME = "ticking"


async def tick(ctx: Context) -> None:
    """A row for the time that was due."""
    folder = Path(os.environ["TICK_FOLDER"])
    jobs = ctx.tables.jobs
    due_at = (await ctx.db.execute(select(jobs.c.due_at).where(jobs.c.name == NAME))).scalar_one()
    row = insert(TICKS).values(due_at=due_at, at=ctx.now, pid=os.getpid())
    # On SQLite, who has written keeps everybody else from writing: a process that is frozen then freezes them all.
    writes_first = ctx.db.get_bind().dialect.name != "sqlite"
    if writes_first:
        await ctx.db.execute(row)
    if (folder / "slow").exists():
        (folder / "holder.new").write_text(str(os.getpid()))
        (folder / "holder.new").rename(folder / "holder")
        await asyncio.sleep(2)
    if not writes_first:
        await ctx.db.execute(row)


def make_app() -> FastAPI:
    """What uvicorn runs in each worker."""
    auth = assemble(Settings.from_env(), standard_features())
    auth.worker.lease = timedelta(seconds=float(os.environ["TICK_LEASE"]))
    auth.every(seconds=1, name=NAME)(tick)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with auth.running():
            yield

    app = FastAPI(lifespan=lifespan)
    install(auth, app)
    return app
