"""On the host's own engine, however small its pool is and whatever isolation it has."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from propusk import make_engine
from propusk.db.clock import DatabaseClock
from propusk.db.engines import lent_engines
from propusk.db.migrate import alone
from propusk.domain import change_user, create_user_with_password, find_user, login_with_password, set_password
from propusk.errors import Forbidden
from propusk.tokens.queries import revoke_key
from tests.backends import Backend
from tests.host.stand import ADA, MakeStand, Stand
from tests.kit import PASSWORD

DRIVERS = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy"}
MakeEngine = Callable[..., AsyncEngine]


@pytest.fixture
async def engine_of_host(backend: Backend) -> AsyncIterator[MakeEngine]:
    """Makes one as anybody does, but for SQLite."""
    engines: list[AsyncEngine] = []

    def make(**options: Any) -> AsyncEngine:
        scheme, _, rest = backend.url.partition("://")
        if scheme == "sqlite":
            engine = make_engine(backend.url, pool_size=options["pool_size"])
        else:
            engine = create_async_engine(f"{DRIVERS[scheme]}://{rest}", **options)
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        await engine.dispose()


async def log_in(stand: Stand) -> dict[str, Any]:
    await stand.client.post("/auth/register", json=ADA)
    login = {"login": ADA["email"], "password": ADA["password"]}
    answer = await stand.client.post("/auth/login", json=login)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def refresh(stand: Stand, token: str, times: int) -> list[Any]:
    body = {"refresh_token": token}
    return await asyncio.gather(*(stand.client.post("/auth/refresh", json=body) for _ in range(times)))


async def test_a_host_with_one_connection_is_enough_for_many_at_once(
    make_stand: MakeStand, engine_of_host: MakeEngine
) -> None:
    """Who counts an attempt while a use case holds a connection never waits for another of the same pool."""
    engine = engine_of_host(pool_size=1, max_overflow=0, pool_timeout=60)
    stand = await make_stand(engine=engine)
    token = (await log_in(stand))["refresh_token"]

    garbage, honest = await asyncio.gather(refresh(stand, "rubbish", 8), refresh(stand, token, 3))
    assert {answer.status_code for answer in garbage} == {401}
    assert {answer.status_code for answer in honest} == {200}


async def test_who_calls_is_known_while_the_host_holds_every_connection(
    make_stand: MakeStand, engine_of_host: MakeEngine, backend: Backend
) -> None:
    """Keys and clock are read beside its pool. On SQLite not where attempts wait for its one writer, either."""
    engine = engine_of_host(pool_size=1, max_overflow=0, pool_timeout=5)
    stand = await make_stand(engine=engine)
    auth, bearer = stand.auth, {"Authorization": f"Bearer {(await log_in(stand))['access_token']}"}
    busy = [engine] + [auth._engines.counters] * (2 if backend.name == "sqlite" else 0)

    async def status() -> int:
        async with AsyncExitStack() as held, asyncio.timeout(60):
            for one in busy:
                _ = await held.enter_async_context(one.connect())
            auth.keys._loaded = float("-inf")
            return (await stand.client.get("/users/me", headers=bearer)).status_code

    assert await status() == 200
    auth.clock, clock = DatabaseClock(), auth.clock
    assert await status() != 503, "it was measured first"
    auth.clock = clock
    async with auth.transaction() as ctx:
        for kid in ctx.keyring.public:
            await revoke_key(ctx.db, auth.tables.signing_keys, kid, ctx.now)
    assert await status() == 401


async def test_a_host_at_repeatable_read_gives_every_refresh_the_same_successor(
    make_stand: MakeStand, engine_of_host: MakeEngine, backend: Backend
) -> None:
    if backend.name == "sqlite":
        pytest.skip("it has one isolation level, and one writer")
    stand = await make_stand(engine=engine_of_host(pool_size=8, isolation_level="REPEATABLE READ"))
    token = (await log_in(stand))["refresh_token"]

    answers = await refresh(stand, token, 8)
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


async def test_t24_a_superuser_demoted_since_a_lent_transaction_began_sets_nobodys_password(
    make_stand: MakeStand, engine_of_host: MakeEngine
) -> None:
    """At the isolation that the server has by default: MariaDB's shows what was true when it began."""
    engine = engine_of_host(pool_size=3)
    auth = (await make_stand(engine=engine)).auth
    async with auth.transaction() as ctx:
        root, _, ada = [
            await create_user_with_password(ctx, actor=None, email=email, password=PASSWORD, is_superuser=True)
            for email in ("root@example.com", "second@example.com", "ada@example.com")
        ]
    async with auth.transaction() as ctx:
        pair = await login_with_password(ctx, login=root.email, password=PASSWORD)
    caller = await auth.live.get(pair.session.id, auth.clock())

    async with async_sessionmaker(engine)() as db:
        lent = await auth.context(db, client=None)
        assert await find_user(lent, ada.id) is not None
        async with auth.transaction() as ctx:
            await change_user(ctx, user_id=root.id, changes={"is_superuser": False}, actor_id=None)
        with pytest.raises(Forbidden):
            await set_password(lent, user=ada, password="zq7canary new mule", actor_id=root.id, actor=caller)


async def test_what_we_open_beside_a_hosts_engine_is_bounded_and_closed_with_us(
    engine_of_host: MakeEngine, backend: Backend
) -> None:
    engine = engine_of_host(pool_size=20)
    engines = lent_engines(engine)

    async def hold() -> None:
        async with engines.counters.connect() as connection:
            await connection.execute(select(1))
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(hold())
    pool: Any = engines.counters.sync_engine.pool
    assert pool.checkedin() <= 3
    await engines.close()
    assert pool is not engines.counters.sync_engine.pool
    assert engines.counters.sync_engine.pool.checkedin() == 0  # type: ignore[attr-defined]
    async with engine.connect() as connection:
        assert (await connection.execute(select(1))).scalar_one() == 1


async def test_what_a_host_hangs_on_its_engine_after_us_reaches_every_connection(
    engine_of_host: MakeEngine, backend: Backend
) -> None:
    """As a search path is often set."""
    if backend.name == "sqlite":
        pytest.skip("its engine is of our making")
    engine = engine_of_host(pool_size=2)
    engines = lent_engines(engine)
    seen: list[Any] = []
    event.listen(engine.sync_engine, "connect", lambda connection, _record: seen.append(connection))

    for each in (engines.main, engines.counters, engines.reader):
        async with each.connect() as connection:
            raw = await connection.get_raw_connection()
            assert raw.dbapi_connection in seen
    await engines.close()


async def fail(engine: AsyncEngine) -> None:
    async with alone(engine) as connection:
        await connection.execute(text("SELECT * FROM there_is_no_such_table"))


async def give_up(engine: AsyncEngine) -> None:
    async with asyncio.timeout(None) as scope, alone(engine):
        scope.reschedule(0)
        await asyncio.sleep(60)


@pytest.mark.parametrize("end", [fail, give_up])
async def test_a_migration_that_fails_lets_the_next_one_in(
    engine_of_host: MakeEngine, end: Callable[[AsyncEngine], Awaitable[None]]
) -> None:
    broken, other = engine_of_host(pool_size=1, max_overflow=0), engine_of_host(pool_size=1, max_overflow=0)
    async with other.connect() as connection:
        await connection.execute(select(1))
    with pytest.raises(Exception, match=r"there_is_no_such_table|^$"):
        await end(broken)
    async with asyncio.timeout(30):
        async with alone(other) as connection:
            assert (await connection.execute(select(1))).scalar_one() == 1
        async with broken.connect() as connection:
            assert (await connection.execute(select(1))).scalar_one() == 1
