"""The boundary: one request, one transaction. Only here is anything committed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from propusk.auth import Auth
from propusk.context import Client, Context
from propusk.crypto.hashing_pool import never
from propusk.db.dialect import is_away
from propusk.errors import Unavailable
from propusk.web.client import HAS_GONE, client_address, network_of, preferred_language, user_agent

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
    return Client(
        ip=address,
        network=network_of(address),
        user_agent=user_agent(connection.scope),
        language=preferred_language(connection.scope),
        has_gone=connection.scope.get(HAS_GONE, never),
    )


async def get_context(connection: HTTPConnection) -> AsyncIterator[Context]:
    """A context in a transaction of its own: committed before the answer leaves, rolled back by a refusal.

    Raises:
        Unavailable: the database is away, or it took too long. Nothing is acknowledged that was not committed.
        RuntimeError: in a WebSocket, which outlasts every transaction.
    """
    if connection.scope["type"] == "websocket":
        raise RuntimeError("Ctx is for one request: in a WebSocket use `async with auth.transaction() as ctx`")
    auth = auth_of(connection)
    deadline = asyncio.timeout(DEADLINE)
    try:
        async with deadline, auth.transaction(client_of(connection, auth)) as ctx:
            yield ctx
    except Exception as error:
        if is_away(error) or (isinstance(error, TimeoutError) and deadline.expired()):
            log.warning("a request was refused: the database is away, or it took too long", exc_info=error)
            raise Unavailable from error
        raise


request_context = asynccontextmanager(get_context)
"""The same for `async with`, where FastAPI resolves no dependencies."""
# FastAPI's default runs the end of a dependency after the response has left: a failed commit could not become an error.
Ctx = Annotated[Context, Depends(get_context, scope="function")]
"""A transaction of ours for one request, committed before the answer leaves. After 10 s, the work of the route itself
included, it is rolled back and answered with 503: what is slower, or a WebSocket, uses `auth.transaction()`.
"""
