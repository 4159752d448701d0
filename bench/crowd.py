"""Many users at once, by COPY into PostgreSQL: copies of one who registered, each with an address of their own."""

import asyncio
import random
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from bench.subjects import POSTGRESQL, Subject

TABLES = {"propusk": ("propusk_users", "propusk_passwords"), "fastapi_users": ("user", None)}


def add_crowd(subject: Subject, url: str, like: str, count: int) -> None:
    """Copy the user with this address so many times."""
    asyncio.run(_add(TABLES["propusk" if subject == POSTGRESQL else "fastapi_users"], url, like, count))


def some_of(count: int, how_many: int) -> list[str]:
    """Addresses of some of them, always the same."""
    return [_address(n) for n in random.Random(1).sample(range(count), how_many)]


def _address(n: int) -> str:
    return f"crowd{n}@example.com"


async def _add(tables: tuple[str, str | None], url: str, like: str, count: int) -> None:
    users, passwords = tables
    connection = await asyncpg.connect(url)
    try:
        user = dict(await connection.fetchrow(f'SELECT * FROM "{users}" WHERE email = $1', like))
        # Ours begin with the time, so they come in order; theirs are random.
        ids = [UUID(int=user["id"].int + n + 1) if passwords else uuid4() for n in range(count)]
        await _copy(connection, users, user, (_named(n, user_id, user) for n, user_id in enumerate(ids)))
        if passwords is not None:
            row = dict(await connection.fetchrow(f'SELECT * FROM "{passwords}" WHERE user_id = $1', user["id"]))
            await _copy(connection, passwords, row, ({"user_id": user_id} for user_id in ids))
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")  # or it is written during what is measured
    finally:
        await connection.close()


def _named(n: int, user_id: UUID, user: dict[str, Any]) -> dict[str, Any]:
    address = _address(n)
    return {"id": user_id, "email": address, **({"email_key": address} if "email_key" in user else {})}


async def _copy(connection: Any, table: str, like: dict[str, Any], changes: Iterable[dict[str, Any]]) -> None:
    columns = list(like)

    def records() -> Iterator[tuple[Any, ...]]:
        for change in changes:
            row = {**like, **change}
            yield tuple(row[column] for column in columns)

    await connection.copy_records_to_table(table, records=records(), columns=columns)
