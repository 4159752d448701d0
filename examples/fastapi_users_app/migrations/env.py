"""Alembic's entry, for the app when it starts and for Alembic's own command."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from examples.fastapi_users_app import auth
from examples.fastapi_users_app.tables import metadata
from propusk.alembic import alone, options


def migrate(connection: Connection) -> None:
    context.configure(connection, render_as_batch=True, **options(metadata))
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_migrate() -> None:
    async with alone(auth) as connection:
        await connection.run_sync(migrate)
    await auth.close()


if (connection := context.config.attributes.get("connection")) is not None:
    migrate(connection)
else:
    asyncio.run(connect_and_migrate())
