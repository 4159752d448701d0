"""MariaDB servers of the faults' own, to be killed, started again and replaced by their replica."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncmy
from asyncmy.cursors import DictCursor

from tests.faults.programs import needed
from tests.process.service import free_port

USER = "propusk"
"""Whom the nodes are there; an administrator could write to a replica as well."""
OPTIONS = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--innodb-flush-log-at-trx-commit=1",
    "--sync-binlog=1",
    "--gtid-strict-mode=ON",
    "--log-slave-updates=ON",
    # What it needs to stay small.
    "--innodb-log-file-size=16M",
    "--innodb-buffer-pool-size=64M",
    "--performance-schema=OFF",
)
SEMI_SYNCHRONOUS = (
    "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC",
    # An hour: a commit is refused by us long before it goes on without the replica.
    "SET GLOBAL rpl_semi_sync_master_timeout = 3600000",
    "SET GLOBAL rpl_semi_sync_master_wait_no_slave = ON",
    "SET GLOBAL rpl_semi_sync_master_enabled = ON",
)


class Server:
    """One server in a folder, of the user mysql; its binary log begins with its first statement.

    Args:
        number: its own among those that replicate.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.port = free_port()
        self.folder = folder
        self._number = number
        self._user = "mysql" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    def init(self) -> None:
        """An empty one."""
        program = needed("mariadb-install-db", "mariadb-server")
        process = self._start(program, "--auth-root-authentication-method=normal", "--skip-test-db")
        assert process.wait(60) == 0, self.folder.with_suffix(".log").read_text()[-500:]

    def start(self, *options: str) -> None:
        """Until it takes connections."""
        self._process = self._start(
            needed("mariadbd", "mariadb-server"),
            *OPTIONS,
            *options,
            f"--port={self.port}",
            f"--socket={self.folder}.sock",
            f"--pid-file={self.folder}.pid",
            f"--server-id={self._number}",
            "--log-bin=binlog",
            "--relay-log=relay",
        )
        _wait(self._answers, "it does not start")

    def stop(self) -> None:
        """As a crash would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)

    def follow(self, primary: "Server", *, synchronous: bool, late: int = 0) -> None:
        """It is set up as a replica, from the first statement on.

        Args:
            synchronous: semi-synchronous; every commit waits from now on until the replica has received it.
            late: seconds until the replica applies what it received.
        """
        self.init()
        self.start("--read-only=ON", f"--rpl-semi-sync-slave-enabled={int(synchronous)}")
        for statement in SEMI_SYNCHRONOUS if synchronous else ():
            primary.execute(statement)
        self.execute(
            f"CHANGE MASTER TO master_host='127.0.0.1', master_port={primary.port}, master_user='root',"
            f" master_use_gtid=slave_pos, master_connect_retry=1, master_delay={late}"
        )
        self.execute("START REPLICA")
        _wait(lambda: self._position("slave_pos") == primary._position("binlog_pos"), "the replica does not follow")
        assert primary.waits == synchronous

    @property
    def waits(self) -> bool:
        """Whether a commit waits for a replica, and each did since that was asked of it."""
        counted = self._counted("Rpl_semi_sync_master%")
        alone = "Rpl_semi_sync_master_no_tx"
        return counted["Rpl_semi_sync_master_status"] == "ON" and counted[alone] == "0"

    def receive_nothing(self) -> None:
        """A replica goes on with what it has."""
        self.execute("STOP REPLICA IO_THREAD")

    def promote(self) -> None:
        """A replica becomes the server, once it has applied all that it received.

        Stopped or started again before, it throws its relay log away, to ask the primary for it again.
        """
        self.receive_nothing()
        received = self._row("SHOW REPLICA STATUS")["Gtid_IO_Pos"]
        done = self._row(f"SELECT MASTER_GTID_WAIT('{received}', 30) AS timed_out")
        assert done["timed_out"] == 0, "the replica does not get through its relay log"
        for statement in ("STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL read_only = OFF"):
            self.execute(statement)

    def execute(self, statement: str) -> None:
        """One statement, as an administrator."""
        self._ask(statement)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.folder.with_suffix(".log").read_text()[-500:]
        try:
            self.execute("DO 1")
        except asyncmy.errors.OperationalError:
            return False
        return True

    def _position(self, name: str) -> object:
        return self._row(f"SELECT @@gtid_{name} AS position")["position"]

    def _counted(self, pattern: str) -> dict[object, object]:
        return {row["Variable_name"]: row["Value"] for row in self._ask(f"SHOW GLOBAL STATUS LIKE '{pattern}'")}

    def _row(self, statement: str) -> Mapping[str, Any]:
        (row,) = self._ask(statement)
        return row

    def _ask(self, statement: str) -> list[dict[str, Any]]:
        async def run() -> list[dict[str, Any]]:
            connection = await asyncmy.connect(
                host="127.0.0.1", port=self.port, user="root", autocommit=True, init_command="SET sql_notes = 0"
            )
            try:
                async with connection.cursor(DictCursor) as cursor:
                    await cursor.execute(statement)
                    return list(await cursor.fetchall())
            finally:
                await connection.ensure_closed()

        return asyncio.run(run())

    def _start(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        with self.folder.with_suffix(".log").open("ab") as out:
            return subprocess.Popen(
                [program, "--no-defaults", f"--datadir={self.folder}", *options],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder.parent,
                user=self._user,
            )


@contextmanager
def servers(folder: Path) -> Iterator[tuple[Server, Server]]:
    """A running server and one that is not there yet; both are gone afterwards."""
    home = folder / "mariadb"
    home.mkdir()
    home.chmod(0o777)
    one, two = Server(home / "one", 1), Server(home / "two", 2)
    try:
        one.init()
        one.start()
        one.execute(f"CREATE USER {USER}@127.0.0.1")
        one.execute(f"GRANT ALL ON propusk.* TO {USER}@127.0.0.1")
        yield one, two
    finally:
        one.stop()
        two.stop()


def _wait(until: Callable[[], bool], else_: str) -> None:
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end, else_
        time.sleep(0.1)
