"""PgBouncer in transaction mode before PostgreSQL, with fewer connections than it has clients."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from tests.backends import Backend
from tests.faults.programs import running
from tests.process.service import free_port

CONFIG = """
[databases]
* = host=127.0.0.1 port={server} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 500
query_wait_timeout = 10
"""
TIMEOUTS = {
    "statement_timeout": "10s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
}


@contextmanager
def pgbouncer(program: str, backend: Backend, folder: Path, *, size: int = 13, server: int = 5432) -> Iterator[str]:
    """The URL of a database through it. What the service cannot set on a connection is set on the database.

    Args:
        size: connections to the server; more than all use cases together may hold, as each may wait for a counter's.
    """
    port = free_port()
    name = backend.url.rpartition("/")[2]
    asyncio.run(_set_timeouts(name, server))
    config = folder / "pgbouncer.ini"
    config.write_text(CONFIG.format(server=server, port=port, size=size))
    folder.chmod(0o755)
    log = folder / "pgbouncer.log"
    # It refuses to run as root.
    with running([program, str(config)], log, lambda: "process up" in log.read_text(), user="postgres"):
        yield f"postgresql://postgres@127.0.0.1:{port}/{name}?pgbouncer=true"


def is_installed() -> str | None:
    """Where the program is."""
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


async def _set_timeouts(name: str, server: int) -> None:
    connection = await asyncpg.connect(host="127.0.0.1", port=server, user="postgres", database=name)
    for setting, value in TIMEOUTS.items():
        await connection.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    await connection.close()
