"""What the three databases spell differently has one meaning."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import registry

from propusk.db.counters import count_hits
from propusk.db.dialect import changed, insert_if_absent, is_away, read_alone
from tests.backends import Backend
from tests.kit import FakeClock, House

WINDOW = timedelta(minutes=15)


async def put_user(house: House, **fields: Any) -> bool:
    """Insert a row of users as it is; says whether there was room for it."""
    now = house.clock()
    row = {
        "id": UUID(int=int.from_bytes(house.auth.entropy(16))),
        "email": "a@example.com",
        "email_key": "a@example.com",
        "username": None,
        "username_key": None,
        "name": None,
        "locale": None,
        "profile": {},
        "is_active": True,
        "is_verified": False,
        "is_superuser": False,
        "session_epoch": 0,
        "created_at": now,
        "updated_at": now,
        "last_login_at": None,
    }
    async with house.auth.sessions() as db:
        inserted = await insert_if_absent(db, house.auth.tables.users, row | fields)
        await db.commit()
    return inserted


async def test_a_row_is_inserted_once(house: House) -> None:
    assert await put_user(house)
    assert not await put_user(house)
    assert len(await house.rows("users")) == 1


async def test_of_many_who_insert_the_same_at_once_one_does(house: House) -> None:
    answers = await asyncio.gather(*(put_user(house) for _ in range(8)))

    assert sorted(answers) == [False] * 7 + [True]
    assert len(await house.rows("users")) == 1


@pytest.mark.parametrize("column", ["email_key", "username_key"])
async def test_keys_are_equal_when_their_bytes_are_and_not_before(house: House, column: str) -> None:
    """MariaDB's usual collation takes a for ä and A. (A space at the end it never sees, but no key holds one.)"""
    for key in ("a", "ä", "A", "\u0430", "ａ", "ss", "ß", "i", "ı"):
        assert await put_user(house, **{"email_key": f"{key}@", column: key}), key
        assert not await put_user(house, **{"email_key": f"{key}@", column: key}), key
    assert len(await house.rows("users", **{column: "a"})) == 1


async def test_nulls_are_no_equals(house: House) -> None:
    assert await put_user(house, email_key="a")
    assert await put_user(house, email_key="b")


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 21, 9, 30, 0, 123456, tzinfo=UTC),
        datetime(2026, 11, 21, 9, 30, 0, 1, tzinfo=UTC),
        datetime(2026, 11, 21, 9, 30, 0, 999999, tzinfo=timezone(timedelta(hours=14))),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2026, 3, 29, 2, 30, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
async def test_an_instant_comes_back_to_the_microsecond_and_in_utc(house: House, at: datetime) -> None:
    await put_user(house, last_login_at=at)

    found = (await house.rows("users"))[0]["last_login_at"]

    assert found == at
    assert found.utcoffset() == timedelta(0)
    assert len(await house.rows("users", last_login_at=at)) == 1


async def test_a_naive_datetime_is_refused(house: House) -> None:
    with pytest.raises((StatementError, ValueError)):
        await put_user(house, last_login_at=datetime(2026, 11, 21))  # noqa: DTZ001 (that is the point)


@pytest.mark.parametrize("value", [0, 1, 2**128 - 1, 0x01A1FC71F4887978A02D2DC9E540A48E, 0x20202020 << 96])
async def test_an_id_comes_back_and_is_found(house: House, value: int) -> None:
    await put_user(house, id=UUID(int=value))

    assert [row["id"] for row in await house.rows("users", id=UUID(int=value))] == [UUID(int=value)]


async def test_ids_sort_by_their_bytes(house: House) -> None:
    for n, value in enumerate((2**127, 1, 2**64, 2**128 - 1, 0x0A << 120)):
        await put_user(house, id=UUID(int=value), email_key=str(n))
    users = house.auth.tables.users
    async with house.auth.sessions() as db:
        found = (await db.execute(select(users.c.id).order_by(users.c.id))).scalars().all()

    assert found == sorted(found, key=lambda each: each.bytes)


@pytest.mark.parametrize(
    "value", [bytes(32), b"\xff" * 32, bytes(range(32)), b" " * 32, b"a\x00" * 16, b"'\"\\%_\n\r\t" * 4]
)
async def test_a_digest_comes_back_byte_by_byte(house: House, value: bytes) -> None:
    counters = house.auth.tables.counters
    async with house.auth.engine.begin() as connection:
        await connection.execute(insert(counters).values(key=value, count=1, resets_at=house.clock()))

    assert [bytes(row["key"]) for row in await house.rows("counters", key=value)] == [value]


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": None},
        {"имя": "Ада 🦊 ☃ \u202e"},
        {"a": [1, 1.5, True, {"b": "\\ ' \" \n"}]},
        {"n": 2**63, "m": -1e300},
    ],
)
async def test_a_document_comes_back_as_it_was(house: House, value: dict[str, Any]) -> None:
    await put_user(house, profile=value)

    assert (await house.rows("users"))[0]["profile"] == value


def counter(house: House, n: int) -> Any:
    return insert(house.auth.tables.counters).values(key=bytes([n]) * 32, count=1, resets_at=house.clock())


async def test_what_a_transaction_held_is_let_go_at_its_end(house: House) -> None:
    """Or a look at an attribute later on would quietly begin another."""

    class Counter:
        def __init__(self) -> None:
            self.key, self.count, self.resets_at = bytes(32), 1, house.clock()

    registry().map_imperatively(Counter, house.auth.tables.counters)
    counter = Counter()
    async with house.auth.transaction() as ctx:
        ctx.db.add(counter)
    assert inspect(counter).detached
    assert len(await house.rows("counters")) == 1


async def test_a_read_that_fails_leaves_a_transaction_that_can_be_rolled_back(house: House) -> None:
    with pytest.raises(KeyError):
        async with house.auth.transaction() as ctx:
            with pytest.raises(DBAPIError):
                await read_alone(ctx.db, text("SELECT * FROM propusk_nowhere"))
            await changed(ctx.db, counter(house, 1))
            raise KeyError
    assert await house.rows("counters") == []


async def test_a_read_that_fails_undoes_nothing_of_what_came_before(house: House, backend: Backend) -> None:
    if backend.name == "postgresql":
        pytest.skip("it lets nothing be kept after an error")
    async with house.auth.transaction() as ctx:
        await changed(ctx.db, counter(house, 1))
        with pytest.raises(DBAPIError):
            await read_alone(ctx.db, text("SELECT * FROM propusk_nowhere"))
        await changed(ctx.db, counter(house, 2))
    assert len(await house.rows("counters")) == 2


async def hit(house: House, *keys: bytes, now: datetime | None = None) -> dict[bytes, tuple[int, datetime]]:
    now = now or house.clock()
    async with house.auth.engine.begin() as connection:
        hits = dict.fromkeys(keys, (1, now + WINDOW))
        return await connection.run_sync(count_hits, house.auth.tables.counters, hits, now)


async def test_hits_are_counted_in_a_window_that_starts_anew_when_it_has_passed(house: House) -> None:
    key, clock = bytes(32), FakeClock()
    first = clock()
    end = first + WINDOW
    assert await hit(house, key, now=first) == {key: (1, end)}
    clock.tick(minutes=10)
    assert await hit(house, key, now=clock()) == {key: (2, end)}
    assert await hit(house, key, now=end - timedelta(microseconds=1)) == {key: (3, end)}
    assert await hit(house, key, now=end) == {key: (1, end + WINDOW)}
    assert await hit(house, key, now=end) == {key: (2, end + WINDOW)}


async def test_several_keys_are_counted_each_by_itself(house: House) -> None:
    a, b = b"a" * 32, b"b" * 32
    await hit(house, b)

    counted = await hit(house, b, a)

    assert {key: count for key, (count, _) in counted.items()} == {a: 1, b: 2}


async def test_no_hit_is_lost_among_many_at_once(house: House) -> None:
    a, b = b"a" * 32, b"b" * 32

    counted = await asyncio.gather(*(hit(house, *((a, b) if n % 2 else (b, a))) for n in range(32)))

    assert sorted(answer[a][0] for answer in counted) == list(range(1, 33))
    assert sorted(answer[b][0] for answer in counted) == list(range(1, 33))


async def test_a_deadlock_is_worth_another_try_inside_a_savepoint_as_well(house: House, backend: Backend) -> None:
    if backend.name == "sqlite":
        pytest.skip("it has one writer")
    users = house.auth.tables.users
    one, two = [UUID((await house.register(f"user{n}@example.com")).id) for n in range(2)]
    locked = asyncio.Barrier(2)

    async def lock(first: UUID, second: UUID) -> None:
        async with house.auth.sessions() as db:
            await changed(db, update(users).where(users.c.id == first).values(name="locked"))
            await locked.wait()
            async with db.begin_nested():
                await changed(db, update(users).where(users.c.id == second).values(name="locked"))
            await db.commit()

    answers = await asyncio.gather(lock(one, two), lock(two, one), return_exceptions=True)
    failures = [answer for answer in answers if answer is not None]
    assert [is_away(failure) for failure in failures] == [True]


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (asyncpg.CannotConnectNowError("the database system is starting up"), True),
        (asyncpg.InvalidCatalogNameError("no such database"), True),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), True),
        (asyncpg.UndefinedTableError("no fault of the server"), False),
        (ConnectionRefusedError(), True),
    ],
)
async def test_a_postgresql_that_takes_no_connection_is_away(error: Exception, away: bool) -> None:
    """SQLAlchemy before 2.1 lets what the driver raises while it connects through as it is."""

    async def refuse(*_args: object, **_options: object) -> None:
        raise error

    engine = create_async_engine("postgresql+asyncpg://", async_creator=refuse)
    with pytest.raises(Exception) as failure:
        _ = await engine.connect()

    assert is_away(failure.value) is away
    assert is_away(error.with_traceback(None)) is False, "a host's own, that came from elsewhere"
