"""What a database server says of itself, for whoever sets one up."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.dialect import server_name

OLDEST = {"mariadb": (10, 5), "mysql": (8, 0)}
"""What our SQL needs: MariaDB has `INSERT … RETURNING` since then."""

_ROOM = {
    "postgresql": "SELECT current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int",
    "mariadb": "SELECT @@max_connections",
    "mysql": "SELECT @@max_connections",
}


@dataclass(frozen=True)
class Server:
    """A database server: which, of what version, and how many connections it lets in, all clients together."""

    name: str
    version: tuple[int, ...]
    room: int

    @property
    def is_too_old(self) -> bool:
        """Whether some of our SQL is unknown to it."""
        return self.version < OLDEST.get(self.name, ())


async def ask_server(engine: AsyncEngine) -> Server | None:
    """The server behind an engine; None for SQLite, which has none."""
    async with engine.connect() as connection:
        name = server_name(connection)
        if name not in _ROOM:
            return None
        room = (await connection.execute(text(_ROOM[name]))).scalar_one()
        dialect: Any = connection.dialect
        return Server(name, tuple(part for part in dialect.server_version_info if isinstance(part, int)), int(room))
