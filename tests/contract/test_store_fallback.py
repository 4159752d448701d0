"""Redis hangs, dies, comes back empty, is full or refuses us: the database counts, and twice the limit is the most."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from propusk.errors import TooManyRequests
from propusk.setting_redis import parse_redis_url
from propusk.setting_types import Limit
from propusk.store import Hit, Store, check_limits
from propusk.store.fallback import AT_ONCE, FallbackStore
from propusk.store.redis import PATIENCE, RedisAway, RedisStore
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, until
from tests.redis_server import RedisServer, redis_of_its_own

LIMIT = 10
HOUR = Limit(LIMIT, timedelta(hours=1))
PAUSE = 0.05


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_of_its_own(tmp_path) as server:
        yield server


@pytest.fixture
def now(house: House) -> datetime:
    return house.clock()


class Nodes:
    """Processes of one installation, as far as counting goes: each with a store of its own, and patient: how long Redis
    takes is the machine's affair, until it hangs.
    """

    def __init__(self, house: House) -> None:
        self.database = house.auth.store
        self._opened: list[RedisStore] = []

    def open(self, url: str, *, pause: float = PAUSE) -> FallbackStore:
        self._opened.append(RedisStore(parse_redis_url(url), installation="test", patience=30))
        return FallbackStore(self._opened[-1], self.database, pause=pause)

    def lose_patience(self) -> None:
        """Let them wait for Redis as long as they do in earnest."""
        for store in self._opened:
            store._patience = PATIENCE

    async def close(self) -> None:
        for store in self._opened:
            await store.close()


@pytest.fixture
async def nodes(house: House) -> AsyncIterator[Nodes]:
    nodes = Nodes(house)
    yield nodes
    await nodes.close()


async def passed(store: Store, now: datetime, attempts: int = 30, who: str = "ada") -> int:
    """How many of so many attempts at once were let through."""
    asked = (check_limits(store, [Hit("login", who, HOUR)], now=now) for _ in range(attempts))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(answer is None or isinstance(answer, TooManyRequests) for answer in answers), answers
    return answers.count(None)


async def passed_in_turn(store: Store, now: datetime) -> int:
    """The same, one after another: two places do not disagree then about who was within the limit."""
    return sum([await passed(store, now, attempts=1) for _ in range(LIMIT + 2)])


class Asking(RedisStore):
    """Notes when somebody begins to wait for Redis, and when they go on without."""

    def __init__(self, url: str) -> None:
        super().__init__(parse_redis_url(url), installation="test")
        self.told: list[str] = []

    async def _ask(self, question: Any) -> Any:
        self.told.append("asks")
        try:
            return await super()._ask(question)
        except RedisAway:
            self.told.append("gives up")
            raise


@pytest.fixture
async def alone(redis: RedisServer) -> AsyncIterator[RedisStore]:
    """Redis without the database beside it."""
    store = RedisStore(parse_redis_url(redis.url), installation="test", patience=30)
    yield store
    await store.close()


async def know_since(url: str, then: datetime) -> None:
    """Redis takes itself for one that has known of every attempt for so long."""
    store = RedisStore(parse_redis_url(url), installation="test", patience=30)
    await store.begin_anew(now=then)
    await store.close()


async def test_t04_while_redis_hangs_the_limit_holds_and_nobody_waits_long(
    redis: RedisServer, nodes: Nodes, now: datetime
) -> None:
    asking = Asking(redis.url)
    store = FallbackStore(asking, nodes.database, pause=3600)
    redis.freeze()

    assert await passed(store, now, attempts=100) == LIMIT
    await asking.close()
    told = ["asks"] * AT_ONCE + ["gives up"] * AT_ONCE
    assert PATIENCE < 1
    assert asking.told == told, "only who was already asking waits, and all of them at the same time"


async def test_t04_however_often_redis_dies_and_comes_back_empty_twice_the_limit_is_the_most(
    redis: RedisServer, nodes: Nodes, now: datetime
) -> None:
    """One process that sees every death, and one that sleeps through them."""
    one, two = nodes.open(redis.url), nodes.open(redis.url)
    await know_since(redis.url, now - timedelta(hours=2))
    through = await passed_in_turn(one, now)
    assert through == LIMIT
    for n in range(4):
        now += timedelta(minutes=5)
        redis.kill()
        if n % 2:
            through += await passed_in_turn(one, now)
        redis.start()
        await asyncio.sleep(2 * PAUSE)
        through += await passed_in_turn(two, now) + await passed_in_turn(one, now)

    assert LIMIT <= through <= 2 * LIMIT


async def test_t04_what_is_flushed_behind_our_back_is_made_up_for_once(
    redis: RedisServer, nodes: Nodes, now: datetime
) -> None:
    store = nodes.open(redis.url)
    await know_since(redis.url, now - timedelta(hours=2))
    through = await passed_in_turn(store, now)
    for _ in range(5):
        with Redis(port=redis.port) as client:
            client.flushall()
        through += await passed_in_turn(store, now)

    assert LIMIT <= through <= 2 * LIMIT


async def test_t04_a_process_that_alone_cannot_reach_redis_adds_the_limit_once(
    redis: RedisServer, nodes: Nodes, now: datetime
) -> None:
    near, cut_off = nodes.open(redis.url), nodes.open("redis://127.0.0.1:1")
    through = 0
    for _ in range(3):
        through += await passed(near, now) + await passed(cut_off, now)

    assert through <= 2 * LIMIT


async def test_a_process_that_was_away_has_the_others_ask_the_database_too(
    redis: RedisServer, nodes: Nodes, now: datetime
) -> None:
    other = nodes.open(redis.url)
    await know_since(redis.url, now - timedelta(hours=2))
    away = nodes.open(redis.url)
    nodes.lose_patience()
    redis.freeze()
    assert await passed(away, now) == LIMIT
    redis.thaw()
    await until(lambda: is_back(away, now))
    assert await passed(away, now, attempts=1) == 0

    assert await passed(other, now) == 0


async def test_the_database_rests_once_redis_knows_a_whole_window(
    redis: RedisServer, nodes: Nodes, house: House, now: datetime
) -> None:
    store = nodes.open(redis.url)
    hit = Hit("login", "ada", HOUR)
    await store.hit([hit], now=now)
    assert len(await house.rows("counters")) == 1

    with house.statements() as seen:
        await store.hit([hit], now=now + timedelta(minutes=59))
        asked = len(seen)
        await store.hit([hit], now=now + timedelta(minutes=60))
        await store.give_back([hit], now=now + timedelta(minutes=60))

    assert (asked, len(seen)) == (1, 1)


async def test_the_database_rests_a_window_after_a_clock_that_was_ahead_is_set_right(
    redis: RedisServer, nodes: Nodes, house: House, now: datetime
) -> None:
    store = nodes.open(redis.url)
    await store.hit([Hit("login", "ada", HOUR)], now=now + timedelta(days=365))

    with house.statements() as seen:
        await store.hit([Hit("login", "ada", HOUR)], now=now)
        asked = len(seen)
        await store.hit([Hit("login", "ada", HOUR)], now=now + timedelta(minutes=60))

    assert (asked, len(seen)) == (1, 1)


async def test_what_redis_counted_is_not_taken_from_what_the_database_did(
    redis: RedisServer, alone: RedisStore, nodes: Nodes, now: datetime
) -> None:
    await alone.begin_anew(now=now - timedelta(hours=2))
    store = nodes.open(redis.url)
    mine, others = Hit("network", "x", HOUR), Hit("network", "x", HOUR)
    await store.hit([mine], now=now)
    nodes.lose_patience()
    redis.freeze()
    for n in (1, 2, 3):
        assert (await store.hit([others], now=now))[others.key][0] == n

    await store.give_back([mine], clear=[Hit("network", "x", HOUR)], now=now)

    assert (await nodes.database.hit([others], now=now))[others.key][0] == 4
    redis.thaw()
    assert (await alone.hit([others], now=now))[others.key][0] >= 2, "what could not be told stays counted"


async def test_what_the_database_counted_is_not_taken_from_what_redis_did(
    redis: RedisServer, alone: RedisStore, nodes: Nodes, now: datetime
) -> None:
    await alone.begin_anew(now=now - timedelta(hours=2))
    others, mine = Hit("network", "x", HOUR), Hit("network", "x", HOUR)
    for _ in range(3):
        await alone.hit([others], now=now)
    store = nodes.open(redis.url)
    nodes.lose_patience()
    redis.freeze()
    await store.hit([mine], now=now)
    redis.thaw()
    await asyncio.sleep(2 * PAUSE)  # now it is asked again

    await store.give_back([mine], now=now)

    assert (await alone.hit([others], now=now))[others.key][0] == 4
    assert (await nodes.database.hit([others], now=now))[others.key][0] == 1


async def test_only_one_attempt_looks_whether_redis_is_back(nodes: Nodes, now: datetime) -> None:
    asked: list[asyncio.StreamWriter] = []
    deaf = await asyncio.start_server(lambda _, writer: asked.append(writer), "127.0.0.1", 0)
    store = nodes.open(f"redis://127.0.0.1:{deaf.sockets[0].getsockname()[1]}", pause=3600)
    nodes.lose_patience()
    await passed(store, now, attempts=100)
    at_first = len(asked)
    assert 0 < at_first <= AT_ONCE
    store._retry_at = 0  # the pause is over

    await passed(store, now, attempts=100)

    assert len(asked) == at_first + 1
    for writer in asked:
        writer.close()
    deaf.close()
    await deaf.wait_closed()


async def test_each_switch_is_said_once(
    redis: RedisServer, nodes: Nodes, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    store = nodes.open(redis.url)
    with caplog.at_level(logging.INFO, "propusk.store"):
        redis.kill()
        for _ in range(3):
            await passed(store, now)
            await asyncio.sleep(2 * PAUSE)
        assert said(caplog) == ["Redis is away"]
        redis.start()
        await until(lambda: is_back(store, now))
        for _ in range(3):
            await passed(store, now)

    # On a busy machine it may be away for a moment once more, which is a switch like any other.
    assert said(caplog)[:2] == ["Redis is away", "Redis is back and counts again"]
    assert all(one != next_one for one, next_one in pairwise(said(caplog)))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message.split(" (")[0] for record in caplog.records]


async def is_back(store: FallbackStore, now: datetime) -> bool:
    """Whether Redis counts again, after an attempt that may find that out."""
    await passed(store, now, attempts=1)
    return store._retry_at is None


REFUSING = {
    "wrong password": "CONFIG SET requirepass zq7canary-right",
    "no memory left": "CONFIG SET maxmemory 1",
    "no scripts for us": "ACL SETUSER default -@scripting",
}


@pytest.mark.parametrize("how", REFUSING)
async def test_a_redis_that_refuses_us_is_as_good_as_away(
    how: str, redis: RedisServer, nodes: Nodes, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    with Redis(port=redis.port) as client:
        client.execute_command(*REFUSING[how].split())
    store = nodes.open(redis.url.replace("//", "//:zq7canary-wrong@") if how == "wrong password" else redis.url)

    assert await passed(store, now) == LIMIT
    assert "Redis is away" in caplog.text
    assert "zq7canary" not in caplog.text


async def test_counters_go_with_their_windows_and_tell_nobody(
    redis: RedisServer, alone: RedisStore, now: datetime
) -> None:
    minute = Hit("login", "zq7canary@example.com", Limit(3, timedelta(minutes=1)))
    await alone.hit([minute, Hit("login", "x" * 100_000, HOUR)], now=now)
    await alone.give_back([minute], now=now)

    with Redis(port=redis.port) as client:
        keys = sorted(client.keys(), key=client.pttl)
        spans = [client.pttl(key) / 1000 for key in keys]
    assert spans[0] == -0.001, "since when Redis knows of every attempt stays"
    assert [pytest.approx(60, abs=30), pytest.approx(3600, abs=30)] == spans[1:]
    assert b"zq7canary" not in b"".join(keys)
    assert {len(key) for key in keys[1:]} == {len(b"{propusk:0123456789abcdef}:") + 32}


async def test_a_restart_that_forgets_our_scripts_alone_is_no_outage(
    redis: RedisServer, alone: RedisStore, now: datetime
) -> None:
    hit = Hit("login", "ada", HOUR)
    await alone.hit([hit], now=now)
    with Redis(port=redis.port) as client:
        client.script_flush()

    assert (await alone.hit([hit], now=now))[hit.key][0] == 2


async def test_two_installations_may_share_a_redis(redis: RedisServer, now: datetime) -> None:
    one, two = (
        RedisStore(parse_redis_url(redis.url), installation=name, patience=30) for name in ("https://a", "https://b")
    )
    hit = Hit("login", "ada", HOUR)
    await one.hit([hit], now=now)
    await two.give_back([hit], clear=[hit], now=now)

    assert (await one.hit([hit], now=now))[hit.key][0] == 2
    assert (await two.hit([hit], now=now))[hit.key][0] == 1
    await one.close()
    await two.close()


async def test_redis_counts_what_the_database_counts(alone: RedisStore, house: House, now: datetime) -> None:
    """Four hundred random acts on both, with windows that pass meanwhile."""
    chance = random.Random(7)
    hits = [Hit("login", str(n), Limit(3, timedelta(seconds=10 * n + 1))) for n in range(6)]
    for _ in range(400):
        now += timedelta(microseconds=chance.choice([0, 1, 999_999, 5_000_000]))
        some, more = (chance.sample(hits, chance.randint(1, 3)) for _ in range(2))
        if chance.random() < 0.7:
            assert await alone.hit(some, now=now) == await house.auth.store.hit(some, now=now)
        else:
            cleared = more[: chance.randint(0, 1)]
            await alone.give_back(some, clear=cleared, now=now)
            await house.auth.store.give_back(some, clear=cleared, now=now)


async def test_a_store_in_redis_alone_says_that_it_is_away(now: datetime) -> None:
    alone = RedisStore(parse_redis_url("redis://127.0.0.1:1"), installation="test")
    with pytest.raises(RedisAway):
        await alone.hit([Hit("login", "ada", HOUR)], now=now)
    assert await alone.health() == {"redis": False}


async def test_people_log_in_while_redis_hangs_and_readiness_tells(redis: RedisServer, make_house: MakeHouse) -> None:
    house = await make_house(redis_url=redis.url)
    ada = await house.register()

    async def ready() -> tuple[int, dict[str, str]]:
        answer = await house.client.get("/readyz")
        return answer.status_code, answer.json()

    async def is_well() -> bool:
        return await ready() == (200, {"status": "ok", "redis": "ok"})

    await until(is_well)
    redis.freeze()

    for _ in range(5):
        await house.log_in(ada.email, PASSWORD)

    assert await ready() == (200, {"status": "ok", "redis": "away"})


async def test_readiness_does_not_speak_of_a_redis_that_nobody_named(house: House) -> None:
    assert (await house.client.get("/readyz")).json() == {"status": "ok"}
