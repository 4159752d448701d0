"""The boundary: one request, one transaction. Only here is anything committed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from propusk.auth import Auth
from propusk.context import Client, Context
from propusk.db.dialect import is_away
from propusk.errors import AuthError, Unavailable
from propusk.web.client import client_address, network_of, user_agent

log = logging.getLogger(__name__)
DEADLINE = 10.0
"""Seconds that a use case may take, waiting included: a database can hang in ways that no driver's time-out covers."""


def auth_of(connection: HTTPConnection) -> Auth:
    """The `Auth` that was installed in this app.

    Raises:
        RuntimeError: none was.
    """
    auth = getattr(connection.app.state, "propusk", None)
    if not isinstance(auth, Auth):
        raise RuntimeError("Propusk is not installed in this app: call auth.install(app) after creating both")
    return auth


def client_of(connection: HTTPConnection, auth: Auth) -> Client:
    """Who is at the other end, as far as the trusted proxies can tell."""
    address = client_address(connection.scope, auth.settings.trusted_proxies)
    return Client(ip=address, network=network_of(address), user_agent=user_agent(connection.scope))


async def get_context(connection: HTTPConnection) -> AsyncIterator[Context]:
    """A context in a transaction of its own: committed before the answer leaves, rolled back by a refusal.

    Raises:
        Unavailable: the database is away, or it took too long. Nothing is acknowledged that was not committed.
    """
    auth = auth_of(connection)
    keyring = await auth.keys.current()
    try:
        async with asyncio.timeout(DEADLINE), auth.sessions() as db:
            try:
                yield auth.context(db, keyring, client_of(connection, auth))
                await db.commit()
            except AuthError as refusal:
                await settle(db, refusal)
                raise
            except asyncio.CancelledError:
                # Nobody knows what is on its way: the connection must not be used again, not even to roll back.
                await db.invalidate()
                raise
            except BaseException:
                await db.rollback()
                raise
    except Exception as error:
        if is_away(error):
            log.warning("a request was refused: the database is away", exc_info=error)
            raise Unavailable from error
        raise


async def settle(db: AsyncSession, refusal: AuthError) -> None:
    """End a transaction that was refused: some refusals keep what led to them.

    Raises:
        Unavailable: that could not be kept, because the database is away.
    """
    try:
        if refusal.keeps_writes:
            await db.commit()
        else:
            await db.rollback()
    except Exception as error:
        if is_away(error):
            raise Unavailable from error
        raise


# FastAPI's default runs the end of a dependency after the response has left: a failed commit could not become an error.
Ctx = Annotated[Context, Depends(get_context, scope="function")]
