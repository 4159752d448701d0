"""Two nodes that count in one Redis, which hangs, dies and comes back empty."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from propusk.setting_redis import parse_redis_url
from propusk.store.redis import RedisStore
from tests.process.people import login, new_person
from tests.process.service import PATIENCE, propusk
from tests.process.test_limits_shared import PAIR, burst
from tests.process.town import Town, nodes_on
from tests.process.wire import Ask, Wires, connect, once
from tests.redis_server import RedisServer, redis_of_its_own

pytestmark = pytest.mark.xdist_group("processes")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_of_its_own(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def counting(
    server_database: str, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Town, Town]]:
    settings = {"PROPUSK_LIMITS__LOGIN_PAIR": f"{PAIR}/15m", "PROPUSK_REDIS_URL": redis.url}
    with nodes_on(server_database, tmp_path_factory.mktemp(f"redis_{server_database}"), settings=settings) as nodes:
        yield nodes


async def burst_on(nodes: tuple[Town, Town], email: str) -> int:
    """Wrong logins for one account on both nodes at once; returns how many were evaluated."""
    async with await connect(nodes[0].port, 25) as one, await connect(nodes[1].port, 25) as two:
        return await burst(Wires([*one, *two]), email)


async def know_all(nodes: tuple[Town, Town], redis: RedisServer) -> int:
    """Every process counts in Redis, and Redis takes itself for one that has known of every attempt for days: the
    database is not asked beside it. Returns how often it had seemed away until then.
    """
    async with asyncio.timeout(PATIENCE):
        while (before := absences(nodes)) > sum(node.service.logs().count("Redis is back") for node in nodes):
            for node in nodes:
                await once(node.port, login("nobody@example.com"))
            await asyncio.sleep(0.2)
    store = RedisStore(parse_redis_url(redis.url), installation=nodes[0].service.env["PROPUSK_PUBLIC_URL"], patience=10)
    await store.begin_anew(now=datetime.now(UTC) - timedelta(days=2))
    await store.close()
    return before


def absences(nodes: tuple[Town, Town]) -> int:
    """How often Redis seemed away so far: on a busy machine, also when it just did not answer soon enough."""
    return sum(node.service.logs().count("Redis is away") for node in nodes)


async def is_seen(nodes: tuple[Town, Town], redis: str) -> None:
    """Wait until both nodes say this of Redis."""
    async with asyncio.timeout(PATIENCE):
        for node in nodes:
            while (answer := await once(node.port, Ask("GET", "/readyz"))).json()["redis"] != redis:
                await asyncio.sleep(0.1)
            assert answer.status == 200


async def test_t04_two_nodes_share_their_limits_by_redis(counting: tuple[Town, Town], redis: RedisServer) -> None:
    person = await new_person(counting[0].port)
    before = await know_all(counting, redis)
    evaluated = await burst_on(counting, person.email)
    assert evaluated == PAIR or (absences(counting) > before and PAIR < evaluated <= 2 * PAIR)
    for node in counting:
        assert (await once(node.port, login(person.email))).status == 429


async def test_t04_at_most_twice_the_limit_passes_while_redis_hangs_dies_and_comes_back_empty(
    counting: tuple[Town, Town], redis: RedisServer
) -> None:
    victim, others = await new_person(counting[0].port), [await new_person(counting[0].port) for _ in range(3)]
    before = await know_all(counting, redis)
    evaluated = [await burst_on(counting, victim.email)]
    as_planned = absences(counting) == before
    redis.freeze()
    evaluated.append(await burst_on(counting, victim.email))
    await is_seen(counting, "away")
    assert (await once(counting[0].port, login(others[0].email))).status == 200, "who is right comes in meanwhile"
    redis.thaw()
    redis.kill()
    evaluated.append(await burst_on(counting, victim.email))
    assert (await once(counting[1].port, login(others[1].email))).status == 200
    redis.start()
    await asyncio.sleep(4)
    evaluated.append(await burst_on(counting, victim.email))
    await is_seen(counting, "ok")
    assert (await once(counting[1].port, login(others[2].email))).status == 200

    assert evaluated == [PAIR, PAIR, 0, 0] or not as_planned
    assert evaluated[0] >= PAIR and sum(evaluated) <= 2 * PAIR and evaluated[2:] == [0, 0]
    for node in counting:
        logs = node.service.logs()
        assert "Redis is away" in logs
        assert "Traceback" not in logs


def test_doctor_and_config_know_redis(tmp_path: Path, redis: RedisServer) -> None:
    def look(url: str) -> tuple[str, str]:
        env = {"PROPUSK_REDIS_URL": url}
        doctor, config = (propusk(tmp_path, command, env=env).stdout for command in ("doctor", "config"))
        assert "zq7canary" not in doctor + config
        return next((line for line in doctor.splitlines() if "redis " in line), ""), config

    found, config = look(redis.url)
    assert found == f"ok   redis       127.0.0.1:{redis.port} answers"
    assert f"redis_url = redis://127.0.0.1:{redis.port}/0" in config
    found, config = look("redis+sentinel://eve:zq7canary@127.0.0.1:1/main")
    assert found.startswith("fail redis       127.0.0.1:1: ")
    assert "redis_url = redis+sentinel://eve:********@127.0.0.1:1/main/0" in config
    refused = propusk(tmp_path, "serve", env={"PROPUSK_REDIS_URL": "redis://a:zq7canary@one,two"})
    assert refused.returncode == 1
    assert "redis_url: several hosts are" in refused.stderr and "zq7canary" not in refused.stderr
