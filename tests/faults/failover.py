"""A database server crashes, or is lost for good and replaced by its replica."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.backends import Backend
from tests.faults import mariadb
from tests.faults.cluster import Cluster, cluster_at
from tests.faults.fault import done_once, fault
from tests.faults.postgres import Server, servers
from tests.faults.row import Trial
from tests.process.proxy import Proxy


class Switch(Proxy):
    """The address that the nodes know; what is behind it may be replaced."""

    def __init__(self, database: str, port: int) -> None:
        super().__init__(database)
        self._target = port

    def lead_to(self, port: int) -> None:
        """From now on new connections end there."""
        self._target = port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await super()._serve(reader, writer)
        except OSError:
            writer.transport.abort()


def of_postgresql(folder: Path) -> Iterator[Trial]:
    """On servers of our own: first the one crashes, then its replica takes over, a synchronous one or another."""
    on = "postgresql, 2 nodes"
    with _switched(folder / "synchronous") as (cluster, one, two, switch):

        @contextmanager
        def crashed() -> Iterator[None]:
            one.stop()
            yield
            one.start()

        yield fault("PostgreSQL crashes, back after 4 s", on, cluster, crashed, seconds=4)
        follow(one, two, synchronous=True)
        what = "PostgreSQL lost, its synchronous replica promoted"
        yield fault(what, on, cluster, lambda: done_once(partial(_replace, one, two, switch)), seconds=1)
    with _switched(folder / "asynchronous") as (cluster, one, two, switch):
        follow(one, two, synchronous=False)
        behind = lambda: done_once(partial(_replace, one, two, switch, behind=2))  # noqa: E731
        what = "PostgreSQL lost, a replica promoted that was 2 s behind"
        yield fault(what, on, cluster, behind, seconds=1, loses=True)


def of_mariadb(folder: Path) -> Iterator[Trial]:
    """The same with MariaDB; a replica that waits before it applies what it acknowledged is to lose nothing either."""
    on = "mariadb, 2 nodes"
    with _mariadb(folder / "synchronous") as (cluster, one, two, switch):

        @contextmanager
        def crashed() -> Iterator[None]:
            one.stop()
            yield
            one.start()

        yield fault("MariaDB crashes, back after 4 s", on, cluster, crashed, seconds=4)
        two.follow(one, synchronous=True)
        what = "MariaDB lost, its semi-synchronous replica promoted"
        yield fault(what, on, cluster, lambda: done_once(partial(_succeed, one, two, switch)), seconds=1)
    with _mariadb(folder / "late") as (cluster, one, two, switch):
        two.follow(one, synchronous=True, late=2)
        what = "MariaDB lost, a semi-synchronous replica promoted that applies 2 s late"
        yield fault(what, on, cluster, lambda: done_once(partial(_succeed, one, two, switch)), seconds=1)
    with _mariadb(folder / "asynchronous") as (cluster, one, two, switch):
        two.follow(one, synchronous=False)
        behind = lambda: done_once(partial(_succeed, one, two, switch, behind=2))  # noqa: E731
        what = "MariaDB lost, a replica promoted that was 2 s behind"
        yield fault(what, on, cluster, behind, seconds=1, loses=True)


def _succeed(one: mariadb.Server, two: mariadb.Server, switch: Switch, *, behind: float = 0.0) -> None:
    """The one is lost, the other takes its place; for so many seconds before, it received nothing more."""
    if behind:
        two.receive_nothing()
        time.sleep(behind)
    else:
        assert one.waits, "commits went on without the replica"
    one.stop()
    two.promote()
    switch.lead_to(two.port)


@contextmanager
def _mariadb(folder: Path) -> Iterator[tuple[Cluster, mariadb.Server, mariadb.Server, Switch]]:
    """Nodes on the first of two servers, by an address that may lead to the second."""
    folder.mkdir()
    with mariadb.servers(folder) as (one, two), Switch("mariadb", one.port) as switch:
        one.execute("CREATE DATABASE propusk")
        there = Backend("mariadb", f"mysql://{mariadb.USER}@127.0.0.1:{switch.port}/propusk")
        with cluster_at(there, folder, 2) as cluster:
            yield cluster, one, two, switch


@contextmanager
def _switched(folder: Path) -> Iterator[tuple[Cluster, Server, Server, Switch]]:
    """Nodes on the first of two servers, by an address that may lead to the second."""
    folder.mkdir()
    with servers(folder) as (one, two), Switch("postgresql", one.port) as switch:
        one.execute("CREATE DATABASE propusk")
        there = Backend("postgresql", f"postgresql://postgres@127.0.0.1:{switch.port}/propusk")
        with cluster_at(there, folder, 2) as cluster:
            yield cluster, one, two, switch


def _replace(one: Server, two: Server, switch: Switch, *, behind: float = 0.0) -> None:
    """The one is lost, the other takes its place; for so many seconds before, it was sent nothing more."""
    if behind:
        os.kill(int(str(one.execute("SELECT pid FROM pg_stat_replication"))), signal.SIGSTOP)
        time.sleep(behind)
    one.stop()
    two.promote()
    switch.lead_to(two.port)


def follow(primary: Server, replica: Server, *, synchronous: bool) -> None:
    """The replica follows; if it is synchronous, every commit waits for it from now on."""
    replica.copy(primary)
    replica.start()
    if synchronous:
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'replica'")
        primary.execute("SELECT pg_reload_conf()")
    end = time.monotonic() + 20
    while primary.execute("SELECT sync_state FROM pg_stat_replication") != ("sync" if synchronous else "async"):
        assert time.monotonic() < end, "the replica does not follow"
        time.sleep(0.1)
