"""`make faults`: many nodes behind a balancer, and what faults do to them. Prints two tables, and ends with 1 if
anything broke.

`--only nodes,redis` and `--db postgresql` choose, `--scale 0.1` shortens, `--write` puts the tables into the document.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.backends import Backend, is_reachable
from tests.faults.bouncer import pgbouncer
from tests.faults.cluster import cluster_at, cluster_on
from tests.faults.failover import of_mariadb, of_postgresql
from tests.faults.faults import of_a_node, of_redis, of_the_database, of_the_network
from tests.faults.network import network
from tests.faults.nodes import LIMITED, on_nodes
from tests.faults.postgres import far_server
from tests.faults.programs import faketime, needed
from tests.faults.rolling import rolling
from tests.faults.row import FAULTS, NODES, Row, Trial
from tests.process.proxy import Proxy
from tests.process.town import backend_of_its_own
from tests.redis_server import redis_of_its_own

DOCUMENT = Path("docs/operations.md")
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


@contextmanager
def folder(label: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"propusk-faults-{label}-", ignore_cleanup_errors=True) as path:
        Path(path).chmod(0o755)
        yield Path(path)


def many_nodes(name: str, scale: float) -> Iterator[Trial]:
    """Two and four nodes, with and without Redis."""
    for count, with_redis in ((2, False), (2, True), (4, False), (4, True)):
        with folder(name) as path, redis_of_its_own(path) as redis:
            settings = LIMITED | ({"PROPUSK_REDIS_URL": redis.url} if with_redis else {})
            on = f"{name}{', Redis' if with_redis else ''}, {count} nodes"
            with cluster_on(name, path, nodes=count, settings=settings) as cluster:
                yield from on_nodes(cluster, on, scale)


def restarts(name: str, _scale: float) -> Iterator[Trial]:
    """Nodes that are replaced while people are served."""
    for count in (2, 4):
        with folder(name) as path, cluster_on(name, path, nodes=count) as cluster:
            yield from rolling(cluster, f"{name}, {count} nodes")


def redis_faults(name: str, _scale: float) -> Iterator[Trial]:
    with folder(name) as path, redis_of_its_own(path) as redis:
        settings = {"PROPUSK_REDIS_URL": redis.url}
        with cluster_on(name, path, settings=settings) as cluster:
            yield from of_redis(cluster, redis, f"{name}, Redis, 2 nodes")


def node_faults(name: str, _scale: float) -> Iterator[Trial]:
    with folder(name) as path, cluster_on(name, path) as cluster:
        yield from of_a_node(cluster, f"{name}, 2 nodes")


def database_faults(name: str, _scale: float) -> Iterator[Trial]:
    with folder(name) as path, backend_of_its_own(name, path) as backend, Proxy(name) as proxy:
        settings = {"PROPUSK_DATABASE_URL": proxy.url(backend.url)}
        with cluster_at(backend, path, 2, settings) as cluster:
            yield from of_the_database(cluster, proxy, backend, f"{name}, 2 nodes")


def clocks(name: str, scale: float) -> Iterator[Trial]:
    """The first node's clock is wrong by minutes."""
    for wrong in ("+5m", "-5m"):
        with folder(name) as path, backend_of_its_own(name, path) as backend:
            env = {"LD_PRELOAD": faketime(), "FAKETIME": wrong, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
            with cluster_at(backend, path, 2, LIMITED, env) as cluster:
                yield from on_nodes(cluster, f"{name}, 2 nodes, the clock of one {wrong}", scale)


def server_faults(name: str, _scale: float) -> Iterator[Trial]:
    with folder(name) as path:
        yield from of_postgresql(path) if name == "postgresql" else of_mariadb(path)


def network_faults(name: str, _scale: float) -> Iterator[Trial]:
    """A server of our own, at the other end of a network of our own."""
    if name != "postgresql":
        return
    with folder(name) as path, network() as line, far_server(path, line) as server:
        server.execute("CREATE DATABASE propusk")
        with cluster_at(Backend(name, server.url("propusk")), path, 2) as cluster:
            yield from of_the_network(cluster, line, f"{name}, 2 nodes")


def pooled(name: str, scale: float) -> Iterator[Trial]:
    """Through PgBouncer in transaction mode."""
    if name != "postgresql":
        return
    program = needed("pgbouncer", "pgbouncer")
    with (
        folder(name) as path,
        backend_of_its_own(name, path) as backend,
        pgbouncer(program, backend, path) as url,
        cluster_at(backend, path, 2, LIMITED | {"PROPUSK_DATABASE_URL": url}) as cluster,
    ):
        yield from on_nodes(cluster, "postgresql by PgBouncer, 2 nodes", scale)


KINDS: dict[str, tuple[str, Callable[[str, float], Iterator[Trial]]]] = {
    # what is chosen by --only, the table it belongs to, what it plays
    "nodes": (NODES, many_nodes),
    "pgbouncer": (NODES, pooled),
    "clocks": (NODES, clocks),
    "rolling": (NODES, restarts),
    "redis": (FAULTS, redis_faults),
    "node": (FAULTS, node_faults),
    "database": (FAULTS, database_faults),
    "failover": (FAULTS, server_faults),
    "network": (FAULTS, network_faults),
}


def main() -> int:
    servers = ("postgresql", "mariadb")
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--db", default=",".join(name for name in servers if is_reachable(name)), help="by commas")
    parser.add_argument("--only", default=",".join(KINDS), help="by commas; all by default: " + ", ".join(KINDS))
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of rounds")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT}")
    options = parser.parse_args()
    tables: dict[str, list[Row]] = {NODES: [], FAULTS: []}
    for kind in options.only.split(","):
        head, play = KINDS[kind]
        for name in options.db.split(","):
            for trial in play(name, options.scale):
                tables[head].append(trial.try_it())
                print(tables[head][-1].line(), flush=True)
    if options.write:
        write(tables)
    rows = [row for table in tables.values() for row in table]
    broken = sum(not row.held for row in rows)
    print(f"\n{len(rows)} tried, {broken} broken", file=sys.stderr)
    return 1 if broken else 0


def write(tables: dict[str, list[Row]]) -> None:
    """Replace the tables in the document."""
    found = "\n\n".join("\n".join([head, *(row.line() for row in rows)]) for head, rows in tables.items())
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{machine}.\n\n{found}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
