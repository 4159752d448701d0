"""The faults: of Redis, of a node, of the database and of the way to it."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import asyncpg

from tests.backends import Backend
from tests.faults.cluster import Cluster
from tests.faults.fault import done_once, fault
from tests.faults.network import Network
from tests.faults.row import Trial
from tests.process.people import logout, me, new_login
from tests.process.proxy import Proxy
from tests.process.town import Town
from tests.process.wire import Wire, once
from tests.redis_server import RedisServer


def of_redis(cluster: Cluster, redis: RedisServer, on: str) -> Iterator[Trial]:
    """It counts; while it is away, the database does."""

    @contextmanager
    def frozen() -> Iterator[None]:
        redis.freeze()
        yield
        redis.thaw()

    @contextmanager
    def killed() -> Iterator[None]:
        redis.kill()
        yield
        redis.start()

    def emptied() -> None:
        redis.kill()
        redis.start()

    yield fault("Redis stopped (SIGSTOP) for 8 s", on, cluster, frozen, seconds=8)
    yield fault("Redis killed, back empty after 8 s", on, cluster, killed, seconds=8)
    yield fault("Redis restarted empty", on, cluster, lambda: done_once(emptied), seconds=2)


def of_a_node(cluster: Cluster, on: str) -> Iterator[Trial]:
    """One of them; the balancer sends to the others what comes."""
    node = cluster.nodes[0]

    @contextmanager
    def frozen() -> Iterator[None]:
        os.killpg(node.service.pid, signal.SIGSTOP)
        yield
        os.killpg(node.service.pid, signal.SIGCONT)

    @contextmanager
    def killed() -> Iterator[None]:
        node.service.kill_group()
        yield
        node.service.start(timeout=60)

    yield fault("a node stopped (SIGSTOP) for 20 s", on, cluster, frozen, seconds=20, strike=False, late=True)
    yield fault("a node killed, back after 5 s", on, cluster, killed, seconds=5, strike=False)
    yield Trial("ended while a node is stopped, tried on that node", on, lambda: asyncio.run(_thaw(cluster, node)))


async def _thaw(cluster: Cluster, frozen: Town) -> tuple[str, ...]:
    """Requests that reached a stopped node after the end of their sessions are answered when it goes on."""
    logins = [await new_login(cluster.port) for _ in range(20)]
    wires = [await Wire.open(frozen.port) for _ in logins]
    for wire, one in zip(wires, logins, strict=True):
        assert (await wire.ask(me(one.access))).status == 200
    os.killpg(frozen.service.pid, signal.SIGSTOP)
    for wire, one in zip(wires, logins, strict=True):
        assert (await once(cluster.nodes[1].port, logout(one.access))).status == 204
        wire.send(me(one.access).encode())
    await asyncio.sleep(3)
    os.killpg(frozen.service.pid, signal.SIGCONT)
    begun = time.monotonic()
    statuses = [(await wire.receive()).status for wire in wires]
    seconds = time.monotonic() - begun
    for wire in wires:
        await wire.close()
    assert set(statuses) == {401}, f"{statuses.count(200)} of {len(statuses)} accepted"
    return f"{len(statuses)} times 401", f"{seconds:.1f} s", f"0 of {len(statuses)}", f"0 of {len(statuses)}"


def of_the_database(cluster: Cluster, proxy: Proxy, backend: Backend, on: str) -> Iterator[Trial]:
    """The server is well; the way to it is not."""
    yield fault("every connection to the database reset, for 5 s", on, cluster, proxy.cut, seconds=5)
    yield fault("the database hangs for 12 s", on, cluster, proxy.frozen, seconds=12)
    forget = proxy.forget_connections
    yield fault("open connections go silent, new ones work", on, cluster, lambda: done_once(forget), seconds=2)
    if backend.name == "postgresql":
        terminate = lambda: asyncio.run(_terminate(backend))  # noqa: E731
        yield fault("pg_terminate_backend for all", on, cluster, lambda: done_once(terminate), seconds=2)


def of_the_network(cluster: Cluster, network: Network, on: str) -> Iterator[Trial]:
    """The way to the database is long, or loses packets, which TCP repeats."""
    slow = partial(network.worse, delay=0.05)
    yield fault("the database is 100 ms away (there and back), for 10 s", on, cluster, slow, seconds=10)
    lossy = partial(network.worse, delay=0.01, loss=0.1)
    yield fault("20 ms away, and every tenth packet is lost, for 10 s", on, cluster, lossy, seconds=10)
    worst = partial(network.worse, delay=0.01, loss=0.4)
    yield fault("20 ms away, and four of ten packets are lost, for 20 s", on, cluster, worst, seconds=20)
    yield fault("every packet is lost for 12 s", on, cluster, partial(network.worse, loss=1.0), seconds=12)


async def _terminate(backend: Backend) -> None:
    connection = await asyncpg.connect(backend.url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()
