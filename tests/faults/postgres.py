"""PostgreSQL servers of the faults' own, to be restarted, killed and replaced by their replica."""

import asyncio
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from tests.faults.network import THERE, Network
from tests.faults.programs import needed
from tests.process.service import free_port

OPTIONS = "-c unix_socket_directories= -c wal_level=replica -c max_connections=60"


class Server:
    """One server in a folder; all its programs run as the user postgres.

    Args:
        address: where it listens.
        inside: a command to start it by, as `ip netns exec …`.
    """

    def __init__(self, folder: Path, *, address: str = "127.0.0.1", inside: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.folder = folder
        self._address = address
        self._inside = inside
        self._programs = _programs()

    def init(self) -> None:
        """An empty one."""
        self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync", str(self.folder))
        with (self.folder / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")

    def copy(self, primary: "Server") -> None:
        """A replica that follows `primary` once it is started."""
        source = f"host=127.0.0.1 port={primary.port} user=postgres application_name=replica"
        self._run("pg_basebackup", "--write-recovery-conf", "--pgdata", str(self.folder), "--dbname", source)

    def start(self) -> None:
        """Until it takes connections."""
        log = self.folder.with_suffix(".log")
        said = f"{OPTIONS} -c listen_addresses={self._address} -c port={self.port}"
        start = ("pg_ctl", "start", "--wait", "--pgdata", str(self.folder), "--log", str(log), "--options", said)
        self._run(*start, inside=self._inside)

    def stop(self) -> None:
        """As a crash would."""
        self._run("pg_ctl", "stop", "--wait", "--pgdata", str(self.folder), "--mode=immediate")

    def promote(self) -> None:
        """A replica becomes the server."""
        self._run("pg_ctl", "promote", "--wait", "--pgdata", str(self.folder))

    def url(self, database: str) -> str:
        return f"postgresql://postgres@{self._address}:{self.port}/{database}"

    def execute(self, statement: str) -> object:
        """One statement, as an administrator; returns the first value of its first row."""

        async def run() -> object:
            connection = await asyncpg.connect(self.url("postgres"))
            value: object = await connection.fetchval(statement)
            await connection.close()
            return value

        return asyncio.run(run())

    def _run(self, program: str, *arguments: str, inside: Sequence[str] = ()) -> None:
        # Who enters a namespace is root, and becomes postgres there.
        user = ("runuser", "--user", "postgres", "--") if os.geteuid() == 0 else ()
        command = [*inside, *user, str(self._programs / program), *arguments]
        with self.folder.with_suffix(".out").open("ab") as out:
            # Not captured: the server that pg_ctl starts would keep the pipe open.
            done = subprocess.run(command, stdout=out, stderr=out, cwd=self.folder.parent, check=False)
        assert done.returncode == 0, self.folder.with_suffix(".out").read_text()[-500:]


def _programs() -> Path:
    """Where the newest PostgreSQL of this machine has its programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else Path(needed("initdb", "postgresql")).parent


@contextmanager
def servers(folder: Path) -> Iterator[tuple[Server, Server]]:
    """A running server and one that is not there yet; both are gone afterwards."""
    home = _home(folder)
    two = Server(home / "two")
    with _running(Server(home / "one")) as one:
        try:
            yield one, two
        finally:
            _stop(two)


@contextmanager
def far_server(folder: Path, network: Network) -> Iterator[Server]:
    """One at the other end of a network."""
    with _running(Server(_home(folder) / "far", address=THERE, inside=network.inside)) as server:
        yield server


def _home(folder: Path) -> Path:
    home = folder / "postgresql"
    home.mkdir()
    home.chmod(0o777)
    return home


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    server.init()
    server.start()
    try:
        yield server
    finally:
        _stop(server)


def _stop(server: Server) -> None:
    if (server.folder / "postmaster.pid").exists():
        server.stop()
