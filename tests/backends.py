"""The databases that the tests run on, each with a database of its own, made and dropped by the run.

`redis` is SQLite with a Redis beside it.
"""

import asyncio
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import asyncmy
import asyncpg
from redis import Redis

NAMES = ("sqlite", "postgresql", "mariadb")
_PORTS = {"postgresql": 5432, "mariadb": 3306, "redis": 6379}
_CLAIM = "propusk_test_claims_"


@dataclass(frozen=True)
class Backend:
    """A database to run on: its name and the URLs an operator would write."""

    name: str
    url: str
    redis_url: str | None = None

    def empty_redis(self) -> None:
        """Forget every counter that is not in the database."""
        if self.redis_url is not None:
            with Redis.from_url(self.redis_url) as client:
                client.flushdb()


def is_reachable(name: str) -> bool:
    """Whether the server answers on this machine; SQLite always does."""
    if name == "sqlite":
        return True
    with socket.socket() as probe:
        probe.settimeout(10)
        return probe.connect_ex(("127.0.0.1", _PORTS[name])) == 0


def make_backend(name: str, folder: Path, label: str) -> Backend:
    """Create an empty database. `label` keeps those of parallel runs apart."""
    database = f"propusk_test_{os.getpid()}_{label}"
    match name:
        case "sqlite":
            return Backend(name, f"sqlite:///{folder / 'test.db'}")
        case "redis":
            return Backend(name, f"sqlite:///{folder / 'test.db'}", f"redis://127.0.0.1/{_claim_number()}")
        case "postgresql":
            asyncio.run(_postgresql(f'CREATE DATABASE "{database}"'))
            return Backend(name, f"postgresql://postgres@127.0.0.1/{database}")
        case _:
            asyncio.run(_mariadb(f"CREATE DATABASE `{database}` CHARACTER SET latin1"))
            return Backend(name, f"mysql://root@127.0.0.1/{database}")


def drop_backend(backend: Backend) -> None:
    """Drop a database that `make_backend` made."""
    database = backend.url.rpartition("/")[2]
    if backend.name == "postgresql":
        asyncio.run(_postgresql(f'DROP DATABASE "{database}" WITH (FORCE)'))
    elif backend.name == "mariadb":
        asyncio.run(_mariadb(f"DROP DATABASE `{database}`"))
    elif backend.name == "redis":
        backend.empty_redis()
        with Redis() as client:
            client.delete(_CLAIM + str(backend.redis_url).rpartition("/")[2])


def _claim_number() -> int:
    """One of Redis' numbered databases, for two hours, or until it is dropped."""
    with Redis() as client:
        return next(n for n in range(1, 16) if client.set(f"{_CLAIM}{n}", os.getpid(), nx=True, ex=7200))


async def _postgresql(statement: str) -> None:
    connection = await asyncpg.connect(host="127.0.0.1", user="postgres", database="postgres")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _mariadb(statement: str) -> None:
    connection = await asyncmy.connect(host="127.0.0.1", user="root", password="")
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(statement)
    finally:
        await connection.ensure_closed()
