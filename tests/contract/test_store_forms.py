"""A Redis over TLS, behind sentinels and in a cluster: real ones, started by the test."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from redis import Redis

from propusk.setting_redis import parse_redis_url
from propusk.setting_types import Limit
from propusk.store import Hit
from propusk.store.redis import RedisAway, RedisStore
from tests.kit import until
from tests.process.service import free_port
from tests.redis_server import RedisServer, redis_of_its_own

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
HITS = [Hit("login", name, Limit(3, timedelta(hours=1))) for name in "abcd"]


async def counted(store: RedisStore) -> list[int]:
    return [count for count, _ in (await store.hit(HITS, now=NOW)).values()]


def store_at(url: str) -> RedisStore:
    return RedisStore(parse_redis_url(url), installation="test", patience=30)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The URL of three nodes that share the slots."""
    with ExitStack() as stack:
        nodes = [_node_of_a_cluster(stack, tmp_path / str(n)) for n in range(3)]
        asyncio.run(_join(nodes))
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes[1:])


async def test_in_a_cluster_all_counters_of_an_attempt_are_in_one_place(cluster: str) -> None:
    store = store_at(cluster)

    await store.check()
    assert await counted(store) == [1, 1, 1, 1]
    await store.give_back(HITS[:1], clear=HITS[1:2], now=NOW)
    assert await counted(store) == [1, 1, 2, 2]
    assert not await store.evicts()
    await store.close()


def test_a_crowd_is_counted_in_a_cluster_in_every_life(cluster: str) -> None:
    count_a_crowd_in_every_life(store_at(cluster))


def test_a_crowd_is_counted_over_sentinels_in_every_life(replicated: tuple[RedisServer, RedisServer, str]) -> None:
    count_a_crowd_in_every_life(store_at(replicated[2]))


def count_a_crowd_in_every_life(store: RedisStore) -> None:
    """A life is an event loop. What the client makes some wait with, when all of them come first, belongs to one."""

    async def live() -> list[int]:
        counts = await asyncio.gather(*(counted(store) for _ in range(16)))
        await store.close()
        return sorted(count for count, *_ in counts)

    assert [asyncio.run(live()) for _ in range(3)] == [list(range(n, n + 16)) for n in (1, 17, 33)]


def _node_of_a_cluster(stack: ExitStack, folder: Path) -> RedisServer:
    folder.mkdir()
    ports = ("--cluster-port", str(free_port()))
    return stack.enter_context(redis_of_its_own(folder, "--cluster-enabled", "yes", *ports))


async def _join(nodes: list[RedisServer]) -> None:
    clients: list[Any] = [Redis(port=node.port) for node in nodes]  # execute_command is not typed
    bus = [int(node.options[-1]) for node in nodes]
    for n, client in enumerate(clients):
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", n * 5462, min(n * 5462 + 5461, 16383))
        client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, bus[0])
    await until(lambda: all(c.execute_command("CLUSTER INFO")["cluster_state"] == "ok" for c in clients))
    for client in clients:
        client.close()


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer, str]]:
    """A primary, its replica, and the URL over the one sentinel that looks after them."""
    with ExitStack() as stack:
        primary = stack.enter_context(redis_of_its_own(tmp_path))
        replica = stack.enter_context(redis_of_its_own(tmp_path, "--replicaof", f"127.0.0.1 {primary.port}"))
        config = tmp_path / "sentinel.conf"
        config.write_text(
            f"sentinel monitor main 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
        )
        sentinel = stack.enter_context(redis_of_its_own(tmp_path, config=config))
        yield primary, replica, f"redis+sentinel://127.0.0.1:{sentinel.port}/main"


async def test_sentinels_lead_to_the_primary_and_after_a_failover_to_the_next(
    replicated: tuple[RedisServer, RedisServer, str],
) -> None:
    primary, replica, url = replicated
    store = store_at(url)
    assert await counted(store) == [1, 1, 1, 1]
    with Redis(port=replica.port) as client:
        await until(
            lambda: client.dbsize() == len(HITS) + 1 and client.info("replication")["master_link_status"] == "up"
        )
    # A sentinel looks for replicas every ten seconds; it must know of this one.
    with Redis(port=int(url.rpartition(":")[2].partition("/")[0])) as sentinel:
        await until(lambda: [known["port"] for known in sentinel.sentinel_slaves("main")] == [replica.port])

    primary.kill()

    counts: list[int] = []
    async with asyncio.timeout(60):
        while not counts:
            with suppress(RedisAway):
                counts = await counted(store)
    assert counts == [2, 2, 2, 2]
    await store.close()


async def test_over_tls_a_certificate_is_needed_that_the_system_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = _certificate(tmp_path)
    port = free_port()
    options = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with redis_of_its_own(tmp_path, *options, "--tls-auth-clients", "no"):
        stranger = store_at(f"rediss://127.0.0.1:{port}")
        with pytest.raises(RedisAway, match="certificate"):
            await counted(stranger)
        await stranger.close()

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusted, elsewhere = store_at(f"rediss://127.0.0.1:{port}"), store_at(f"rediss://localhost:{port}")
        assert await counted(trusted) == [1, 1, 1, 1]
        with pytest.raises(RedisAway, match="ertificate"):
            await counted(elsewhere)
        await trusted.close()
        await elsewhere.close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Good for 127.0.0.1 alone."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(names, critical=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    files = folder / "redis.crt", folder / "redis.key"
    files[0].write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files
