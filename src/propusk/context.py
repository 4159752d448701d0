"""What a use case works with: the few things a test replaces."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from propusk.crypto.hashing_pool import never
from propusk.crypto.keyring import KeyRing
from propusk.crypto.passwords import PasswordHasher
from propusk.crypto.secrets import Entropy
from propusk.db.schema import Tables
from propusk.db.transactions import is_clean, kept
from propusk.host import Host
from propusk.registry import Registry
from propusk.settings import Settings
from propusk.store import Store

T = TypeVar("T")


@dataclass(frozen=True)
class Client:
    """Who is at the other end: an address, its network (the address, or an IPv6 /64), what it calls itself, and the
    language it would like to be answered in, if we speak it.

    By default nobody, as for a job or a command: without a network, no limit by network counts.

    `has_gone` tells whether they have hung up, and need no answer any more.
    """

    ip: str | None = None
    network: str = ""
    user_agent: str = ""
    language: str | None = None
    has_gone: Callable[[], Awaitable[bool]] = field(default=never, compare=False, repr=False)


@dataclass(frozen=True)
class Context:
    """One request, job or command. Passed first to every domain function and never stored."""

    db: AsyncSession
    now: datetime
    settings: Settings
    tables: Tables
    store: Store
    keyring: KeyRing
    passwords: PasswordHasher
    entropy: Entropy
    registry: Registry
    host: Host
    client: Client = Client()
    wake: Callable[[], None] = lambda: None  # tells the worker of this process that there is mail
    afterwards: "list[Act] | None" = None  # see `keep`; None in a transaction that a host lent us


Act = Callable[[Context], Awaitable[object]]


async def keep(ctx: Context, act: Callable[[Context], Awaitable[T]]) -> T | None:
    """Do what is to hold although a refusal follows: at once, and committed, if nothing else would be. Else it is
    put off until this transaction has ended, however that may be, and done in one of its own. In a transaction that a
    host lent us it is a part of that.

    Returns:
        What it returns; None when it is put off.
    """
    if ctx.afterwards is not None and not is_clean(ctx.db):
        ctx.afterwards.append(act)
        return None
    async with kept(ctx.db):
        return await act(ctx)


def all_or_nothing(ctx: Context) -> AbstractAsyncContextManager[object]:
    """A savepoint: a refusal inside leaves nothing that was written inside, and the transaction as good as it was, for
    a host that catches it and goes on. Nothing inside may give the connection back.
    """
    return ctx.db.begin_nested()


Transaction = Callable[[], AbstractAsyncContextManager[Context]]
"""Opens a context in a transaction of its own: committed at the end, rolled back by what is raised."""
BRIEF = 20.0
"""Seconds for a transaction of a few statements: the drivers notice before that that a server is silent."""


def brief(transaction: Transaction, seconds: float = BRIEF) -> Transaction:
    """The same transactions, each broken off after so long: a connection that died without a word holds nobody up.

    Raises:
        TimeoutError: where it is used.
    """

    @asynccontextmanager
    async def opened() -> AsyncIterator[Context]:
        async with asyncio.timeout(seconds), transaction() as ctx:
            yield ctx

    return opened
