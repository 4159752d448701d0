"""What every `Store` promises, whatever it keeps its counters in."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from propusk.errors import TooManyRequests, Unavailable
from propusk.setting_types import Limit
from propusk.store import Hit, Store, check_limits
from propusk.store.fallback import FallbackStore
from propusk.store.sql import MOST, SqlStore
from tests.backends import Backend
from tests.kit import House
from tests.redis_server import redis_store

MINUTE = Limit(3, timedelta(minutes=1))
HOUR = Limit(5, timedelta(hours=1))


pytestmark = pytest.mark.also_on("redis")


@pytest.fixture
async def store(house: House, now: datetime) -> AsyncIterator[Store]:
    """The database's, or one in Redis that knows enough for the database not to be asked, which hid its mistakes."""
    if house.auth.settings.redis_server is None:
        yield house.auth.store
        return
    async with redis_store(house) as redis:
        await redis.begin_anew(now=now - timedelta(days=2))
        yield FallbackStore(redis, SqlStore(house.auth._engines.counters, house.auth.tables.counters))
    assert await house.rows("counters") == []


@pytest.fixture
def now(house: House) -> datetime:
    return house.clock()


async def count(store: Store, hit: Hit, now: datetime) -> int:
    return (await store.hit([hit], now=now))[hit.key][0]


async def test_hits_are_counted_by_name_and_by_whom(store: Store, now: datetime) -> None:
    ada, eve, other = Hit("login", "ada", MINUTE), Hit("login", "eve", MINUTE), Hit("refresh", "ada", MINUTE)

    assert [await count(store, hit, now) for hit in (ada, ada, eve, other, ada)] == [1, 2, 1, 1, 3]


async def test_names_that_run_together_are_two(store: Store, now: datetime) -> None:
    assert await count(store, Hit("ab", "c", MINUTE), now) == 1
    assert await count(store, Hit("a", "bc", MINUTE), now) == 1


async def test_a_window_ends_when_it_was_said_to(store: Store, now: datetime) -> None:
    hit = Hit("login", "ada", MINUTE)
    first = await store.hit([hit], now=now)
    second = await store.hit([hit], now=now + timedelta(seconds=59, microseconds=999_999))
    third = await store.hit([hit], now=now + timedelta(seconds=60))

    assert first == {hit.key: (1, now + timedelta(minutes=1))}
    assert second == {hit.key: (2, now + timedelta(minutes=1))}
    assert third == {hit.key: (1, now + timedelta(minutes=2))}


async def test_a_window_that_ends_further_away_than_a_right_clock_can_have_put_it_starts_anew(
    store: Store, now: datetime
) -> None:
    hit = Hit("login", "ada", MINUTE)
    for _ in range(5):
        await store.hit([hit], now=now + timedelta(days=365))

    assert [(await store.hit([hit], now=now))[hit.key] for _ in range(2)] == [(n, now + MINUTE.window) for n in (1, 2)]


async def test_those_whose_clocks_are_a_little_apart_count_together(store: Store, now: datetime) -> None:
    short, long = Hit("a", "x", MINUTE), Hit("b", "x", HOUR)
    ahead = now + timedelta(seconds=59)

    counted = [await store.hit([short, long], now=time) for time in (ahead, now, ahead, now)]

    assert [answer[short.key] for answer in counted] == [(n, ahead + MINUTE.window) for n in (1, 2, 3, 4)]
    assert [answer[long.key] for answer in counted] == [(n, ahead + HOUR.window) for n in (1, 2, 3, 4)]


async def test_who_waited_for_longer_than_a_short_window_does_not_begin_it_anew(store: Store, now: datetime) -> None:
    hit = Hit("login", "ada", Limit(3, timedelta(seconds=30)))
    times = now, now - timedelta(seconds=50), now

    assert [(await store.hit([hit], now=time))[hit.key] for time in times] == [
        (n, now + hit.limit.window) for n in (1, 2, 3)
    ]


async def test_several_counters_are_hit_at_once(store: Store, now: datetime) -> None:
    hits = [Hit("a", "x", MINUTE), Hit("b", "x", HOUR), Hit("c", "x", HOUR)]
    await store.hit(hits[1:2], now=now)

    counted = await store.hit(hits, now=now)

    assert [counted[hit.key][0] for hit in hits] == [1, 2, 1]
    assert [counted[hit.key][1] - now for hit in hits] == [MINUTE.window, HOUR.window, HOUR.window]


async def test_hits_at_the_same_moment_are_all_counted(store: Store, now: datetime) -> None:
    both = [Hit("a", "x", MINUTE), Hit("b", "x", HOUR)]

    answers = await asyncio.gather(*(store.hit(both[:: 1 - 2 * (n % 2)], now=now) for n in range(40)))

    for hit in both:
        assert sorted(answer[hit.key][0] for answer in answers) == list(range(1, 41))


async def test_hits_at_the_same_moment_share_statements(house: House, now: datetime) -> None:
    hits = [[Hit("pair", f"user {n}", HOUR), Hit("network", "x", HOUR)] for n in range(MOST + 4)]
    store = SqlStore(house.auth._engines.counters, house.auth.tables.counters)
    with house.statements() as seen:
        counted = await asyncio.gather(*(store.hit(each, now=now) for each in hits))
        await asyncio.gather(*(store.give_back(each[1:], clear=each[:1], now=now) for each in hits))

    assert [answer[pair.key][0] for answer, (pair, _) in zip(counted, hits, strict=True)] == [1] * len(hits)
    shared = [answer[shared.key][0] for answer, (_, shared) in zip(counted, hits, strict=True)]
    # The second statement overtakes the first where that is stuck for a moment.
    one_after_the_other = list(range(1, len(hits) + 1))
    assert one_after_the_other in (shared, shared[MOST:] + shared[:MOST])
    assert sum(statement.startswith("INSERT") for statement in seen) == 4
    assert {row["count"] for row in await house.rows("counters")} == {0}


async def test_a_counter_that_somebody_locks_holds_up_no_other_and_is_given_up(
    house: House, backend: Backend, now: datetime
) -> None:
    if backend.name not in ("postgresql", "mariadb"):
        pytest.skip("SQLite locks all of the file, Redis nothing")
    locked, *others = [Hit("pair", f"user {n}", HOUR) for n in range(6)]
    counters = house.auth.tables.counters
    store, impatient = (SqlStore(house.auth._engines.counters, counters, timeout=seconds) for seconds in (60, 0.2))
    await store.hit([locked], now=now)
    async with house.auth.engine.begin() as connection:
        await connection.execute(select(counters).with_for_update())
        stuck = asyncio.gather(store.hit([locked], now=now), store.give_back([locked], now=now))
        await asyncio.sleep(0.05)
        assert [await count(store, hit, now) for hit in others] == [1] * 5
        for hit in others:
            await store.give_back([hit], now=now)
        assert not stuck.done()
    await stuck
    async with house.auth.engine.begin() as connection:
        await connection.execute(select(counters).where(counters.c.key == locked.key).with_for_update())
        asked = impatient.hit([locked], now=now), impatient.give_back([locked], now=now)
        given_up = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in given_up] == [Unavailable] * 2
    assert await count(store, locked, now) == 2


async def test_who_waits_for_a_store_that_is_closed_hears_of_it(house: House, now: datetime) -> None:
    store = SqlStore(house.auth._engines.counters, house.auth.tables.counters)
    hits = [Hit("a", "x", HOUR)]
    waiting = asyncio.gather(store.hit(hits, now=now), store.give_back(hits, now=now), return_exceptions=True)
    await asyncio.sleep(0)
    await store.close()
    assert [type(each) for each in await waiting] == [RuntimeError] * 2


async def test_a_hit_that_cannot_be_counted_spoils_nothing_for_others(store: Store, now: datetime) -> None:
    good, bad = Hit("a", "x", HOUR), Hit("a", "\ud800", HOUR)
    found = await asyncio.gather(*(store.hit([hit], now=now) for hit in (good, bad, good)), return_exceptions=True)
    assert [type(each) for each in found] == [dict, UnicodeEncodeError, dict]


async def test_of_hits_at_the_same_moment_each_window_ends_by_its_own_limit(store: Store, now: datetime) -> None:
    short, long = Hit("a", "x", MINUTE), Hit("b", "x", HOUR)
    await store.hit([short, long], now=now - timedelta(minutes=30))

    counted = await asyncio.gather(*(store.hit([short, long], now=now) for _ in range(3)))

    assert sorted(answer[short.key] for answer in counted) == [(n, now + MINUTE.window) for n in (1, 2, 3)]
    assert sorted(answer[long.key] for answer in counted) == [(n, now + timedelta(minutes=30)) for n in (2, 3, 4)]


async def test_a_hit_can_be_given_back(store: Store, now: datetime) -> None:
    hit, other = Hit("login", "ada", MINUTE), Hit("login", "eve", MINUTE)
    for _ in range(3):
        await store.hit([hit, other], now=now)

    await store.give_back([hit], now=now)

    assert [await count(store, hit, now), await count(store, other, now)] == [3, 4]


async def test_a_counter_can_be_cleared(store: Store, now: datetime) -> None:
    hit, other = Hit("login", "ada", MINUTE), Hit("network", "x", MINUTE)
    for _ in range(3):
        await store.hit([hit, other], now=now)

    await store.give_back([other], clear=[hit], now=now)

    assert [await count(store, hit, now), await count(store, other, now)] == [1, 3]


async def test_nothing_is_given_back_below_nothing(store: Store, now: datetime) -> None:
    hit = Hit("login", "ada", MINUTE)
    await store.give_back([hit], now=now)
    await store.hit([hit], now=now)
    for _ in range(3):
        await store.give_back([hit], now=now)

    assert await count(store, hit, now) == 1


async def test_what_was_never_counted_can_be_given_back_and_cleared(store: Store, now: datetime) -> None:
    hit, other = Hit("login", "ada", MINUTE), Hit("login", "eve", MINUTE)

    await store.give_back([hit, hit], clear=[other], now=now)

    counted = await store.hit([hit, other], now=now)
    assert counted == dict.fromkeys((hit.key, other.key), (1, now + MINUTE.window))


async def test_giving_back_is_one_statement_however_much_it_is(house: House, now: datetime) -> None:
    hits = [Hit("login", name, MINUTE) for name in "abcd"]
    await house.auth.store.hit(hits, now=now)

    with house.statements() as seen:
        await house.auth.store.give_back(hits[:3], clear=hits[3:], now=now)

    assert len(seen) == 1
    assert seen[0].startswith("INSERT"), "an UPDATE of several rows locks them in any order"


async def test_giving_and_taking_at_once_lose_nothing(store: Store, now: datetime) -> None:
    both = [Hit("a", "x", HOUR), Hit("b", "x", HOUR)]
    for _ in range(20):
        await store.hit(both, now=now)

    def act(n: int) -> Any:
        hits = both[:: 1 - 2 * (n % 2)]
        return store.hit(hits, now=now) if n % 4 < 2 else store.give_back(hits, now=now)

    await asyncio.gather(*(act(n) for n in range(40)))

    assert [await count(store, hit, now) for hit in both] == [21, 21]


async def test_a_window_that_has_passed_takes_nothing_back(store: Store, now: datetime) -> None:
    hit = Hit("login", "ada", MINUTE)
    await store.hit([hit], now=now)

    await store.give_back([hit], clear=[hit], now=now + timedelta(minutes=2))

    assert await count(store, hit, now + timedelta(minutes=2)) == 1


async def test_a_limit_lets_its_count_pass_and_no_more(store: Store, now: datetime) -> None:
    hit = Hit("login", "ada", MINUTE)
    for _ in range(3):
        await check_limits(store, [hit], now=now)

    with pytest.raises(TooManyRequests) as refusal:
        await check_limits(store, [hit], now=now + timedelta(seconds=20.5))

    assert refusal.value.retry_after == timedelta(seconds=39.5)
    assert refusal.value.headers() == {"Retry-After": "40"}


async def test_the_longest_wait_among_the_limits_that_were_passed_is_told(store: Store, now: datetime) -> None:
    short, long, calm = (
        Hit("a", "x", Limit(1, MINUTE.window)),
        Hit("b", "x", Limit(1, HOUR.window)),
        Hit("c", "x", HOUR),
    )
    await check_limits(store, [short, long, calm], now=now)

    with pytest.raises(TooManyRequests) as refusal:
        await check_limits(store, [short, long, calm], now=now)

    assert refusal.value.retry_after == HOUR.window


async def test_of_many_at_once_no_more_than_the_limit_pass(store: Store, now: datetime) -> None:
    hit = Hit("login", "ada", HOUR)

    answers = await asyncio.gather(*(check_limits(store, [hit], now=now) for _ in range(30)), return_exceptions=True)

    assert answers.count(None) == 5
    assert sum(isinstance(answer, TooManyRequests) for answer in answers) == 25


async def test_t04_of_200_at_the_same_instant_exactly_the_limit_pass(store: Store, now: datetime) -> None:
    narrow, wide = Hit("pair", "ada", Limit(10, HOUR.window)), Hit("network", "x", Limit(1000, HOUR.window))

    answers = await asyncio.gather(
        *(check_limits(store, [narrow, wide], now=now) for _ in range(200)), return_exceptions=True
    )

    assert (answers.count(None), sum(isinstance(answer, TooManyRequests) for answer in answers)) == (10, 190)
    assert await count(store, wide, now) == 201


async def test_a_count_is_kept_though_its_use_case_is_rolled_back(house: House, now: datetime) -> None:
    hit = Hit("login", "ada", MINUTE)
    async with house.auth.sessions() as db:
        ctx = house.auth.lend(db, await house.auth.keys.current())
        await ctx.store.hit([hit], now=now)
        await db.rollback()

    assert await count(house.auth.store, hit, now) == 2


async def test_keys_have_one_size_and_do_not_tell_whom_they_count(house: House, now: datetime) -> None:
    for who in ("zq7canary@example.com", "x" * 100_000, "💥", ""):
        await house.auth.store.hit([Hit("login", who, MINUTE)], now=now)

    rows = await house.rows("counters")
    assert {len(bytes(row["key"])) for row in rows} == {32}
    assert "zq7canary" not in str(rows)
