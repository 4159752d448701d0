"""Tables in an SQLite file, in a fraction of the time that migrations take."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from propusk.auth import Auth
from propusk.create import create_auth
from propusk.testing.settings import settings_for_tests


def make_tables(auth: Auth) -> None:
    """Make our tables in a new SQLite file, by a copy of what migrations made once.

    Where there are tables of yours, or `auth` has a users table of yours, it takes migrations each time. A file that
    has our tables stays as it is, and so does a database on a server: to migrate and to empty that is the business of
    your own fixtures. Works whether or not an event loop runs.
    """
    url = auth.engine.url
    if url.get_backend_name() != "sqlite":
        return
    path = Path(str(url.database))
    names = _tables_in(path)
    if auth.tables.sessions.name in names:
        return
    if names or auth.tables.host is not None:
        run_apart(auth.migrate)
    else:
        path.write_bytes(_migrated())


def _tables_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


@cache
def _migrated() -> bytes:
    """A file with our tables and nothing else."""
    with TemporaryDirectory() as folder:
        auth = create_auth(settings_for_tests(Path(folder)))
        run_apart(auth.migrate)
        run_apart(auth.close)
        return Path(folder, "propusk.db").read_bytes()


def run_apart(act: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run something async to its end, in a thread and a loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(act())).result()
