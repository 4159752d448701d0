"""Run a host's history when its application starts, in however many processes at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncConnection

from propusk.db import migrate

if TYPE_CHECKING:
    from propusk.auth import Auth


@asynccontextmanager
async def alone(auth: "Auth") -> AsyncIterator[AsyncConnection]:
    """A connection to run Alembic on, by one process at a time: the others wait. It is committed at the end.

    Args:
        auth: whose database it is.
    Raises:
        TimeoutError: another process has been migrating for over a minute (MariaDB).
    """
    async with auth._engines.migrating() as engine, migrate.alone(engine) as connection:
        yield connection
