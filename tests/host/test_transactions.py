"""Ours in the host's transaction, the host's in ours, on the host's own engine: both or neither."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI, HTTPException
from sqlalchemy import Column, ForeignKey, MetaData, String, Table, delete, func, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import registry

from propusk import AuthError, Client, Context, Ctx, CurrentPrincipal, SettingsError, create_auth, make_engine
from propusk.auth import Auth
from propusk.context import keep
from propusk.db.dialect import read
from propusk.db.sqlite_connection import PATIENCE
from propusk.db.types import Id
from propusk.domain import (
    change_user,
    complete_login,
    create_user_with_password,
    end_all_sessions,
    find_user_by_login,
    list_live_sessions,
    login_with_password,
    refresh_session,
    register_with_password,
    replace_password,
)
from propusk.errors import AccountDisabled, EmailTaken, InvalidAccessToken, InvalidCredentials
from propusk.events import LoginFailed, UserRegistered, publish
from propusk.features import password
from propusk.mail.memory import MemoryMailer
from tests.backends import Backend
from tests.host.stand import ADA, MakeStand
from tests.kit import PASSWORD, FakeClock, make_settings

EMAIL = "ada@example.com"


class Ledger:
    """A host's own table beside ours, with a foreign key to our users."""

    def __init__(self, auth: Auth, *, references: bool = True) -> None:
        self.auth = auth
        self.metadata = MetaData()
        owner = [ForeignKey(auth.tables.users.c.id, ondelete="CASCADE")] if references else []
        self.table = Table(
            "host_ledger", self.metadata, Column("user_id", Id, *owner, primary_key=True), Column("note", String(50))
        )

    def entry(self, **values: Any) -> object:
        """A row as an object of the ORM."""
        entry = type("Entry", (), {})
        registry(metadata=self.metadata).map_imperatively(entry, self.table)
        made = entry()
        for name, value in values.items():
            setattr(made, name, value)
        return made

    async def write(self, db: AsyncSession, user_id: UUID, note: str = "hello", way: str = "session") -> None:
        values = {"user_id": user_id, "note": note}
        match way:
            case "session":
                await db.execute(insert(self.table).values(values))
            case "object":
                db.add(self.entry(**values))
            case "flush":
                db.add(self.entry(**values))
                await db.flush()
            case "bulk":
                await db.run_sync(lambda session: session.bulk_save_objects([self.entry(**values)]))
            case _:
                await (await db.connection()).execute(insert(self.table).values(values))

    async def notes(self) -> list[str]:
        async with self.auth.sessions() as db:
            return list((await db.execute(select(self.table.c.note))).scalars())


@pytest.fixture
def engine(backend: Backend) -> AsyncEngine:
    """The host's own: as anybody makes one, but for SQLite."""
    drivers = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy"}
    scheme, _, rest = backend.url.partition("://")
    return make_engine(backend.url) if scheme == "sqlite" else create_async_engine(f"{drivers[scheme]}://{rest}")


@pytest.fixture
async def ledger(
    engine: AsyncEngine, backend: Backend, signing_key_file: Path, tmp_path: Path
) -> AsyncIterator[Ledger]:
    settings = make_settings(backend.url, tmp_path, signing_key_file=signing_key_file)
    auth = create_auth(settings, engine=engine, clock=FakeClock(), mailer=MemoryMailer())
    ledger = Ledger(auth)
    async with engine.begin() as connection:
        for table in reversed(auth.tables.metadata.sorted_tables):
            if table is not auth.tables.locks:
                await connection.execute(delete(table))
        await connection.run_sync(ledger.metadata.create_all)
    await auth.start()
    yield ledger
    async with engine.begin() as connection:
        await connection.run_sync(ledger.metadata.drop_all)
    await auth.close()
    await engine.dispose()


async def test_ours_runs_in_the_hosts_transaction_which_alone_commits(ledger: Ledger, engine: AsyncEngine) -> None:
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    async with sessions() as db:
        ctx = await ledger.auth.context(db, client=Client(ip="198.51.100.9", network="198.51.100.9"))
        user = await register_with_password(ctx, email=EMAIL, password=PASSWORD)
        await ledger.write(db, user.id)
        assert db.in_transaction()
        await db.rollback()
    assert await ledger.notes() == []

    async with sessions() as db:
        ctx = await ledger.auth.context(db, client=None)
        assert await find_user_by_login(ctx, EMAIL) is None
        user = await register_with_password(ctx, email=EMAIL, password=PASSWORD)
        await ledger.write(db, user.id)
        pair = await complete_login(ctx, user, methods=("pwd",))
        await db.commit()
    assert await ledger.notes() == ["hello"]
    assert await ledger.auth.live.get(pair.session.id, ledger.auth.clock()) is not None

    async with sessions() as db:
        ctx = await ledger.auth.context(db, client=None)
        assert pair.refresh_token is not None
        await refresh_session(ctx, token=pair.refresh_token)
        await db.commit()
        with pytest.raises(EmailTaken):
            await register_with_password(ctx, email=EMAIL.upper(), password=PASSWORD)
        await end_all_sessions(ctx, user_id=user.id, actor_id=None)
        await db.commit()
    assert await ledger.auth.live.get(pair.session.id, ledger.auth.clock()) is None


async def test_the_mails_of_a_lent_transaction_go_out_after_its_commit_alone(
    ledger: Ledger, engine: AsyncEngine
) -> None:
    mailer = ledger.auth.mailer
    assert isinstance(mailer, MemoryMailer)
    for is_kept in (False, True):
        async with async_sessionmaker(engine)() as db:
            ctx = await ledger.auth.context(db, client=None)
            await register_with_password(ctx, email=EMAIL, password=PASSWORD)
            await (db.commit() if is_kept else db.rollback())
        await ledger.auth.worker.run_due()
        assert [mail.to for mail in mailer.messages] == ([EMAIL] if is_kept else [])


async def test_a_transaction_of_ours_is_committed_at_its_end_and_undone_by_what_is_raised(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError):
        async with ledger.auth.transaction() as ctx:
            user = await register_with_password(ctx, email=EMAIL, password=PASSWORD)
            await ledger.write(ctx.db, user.id)
            raise ZeroDivisionError
    assert await ledger.notes() == []

    async with ledger.auth.transaction() as ctx:
        user = await register_with_password(ctx, email=EMAIL, password=PASSWORD)
        await ledger.write(ctx.db, user.id)
        await change_user(ctx, user_id=user.id, changes={"name": "Ada"}, actor_id=None)
    assert await ledger.notes() == ["hello"]


async def test_a_refusal_that_is_to_be_remembered_is(ledger: Ledger) -> None:
    with pytest.raises(InvalidCredentials):
        async with ledger.auth.transaction() as ctx:
            await login_with_password(ctx, login=EMAIL, password=PASSWORD)
    async with ledger.auth.transaction() as ctx:
        kinds = (await ctx.db.execute(select(ctx.tables.audit_events.c.kind))).scalars().all()
    assert kinds == ["login_failed"]


async def test_the_hosts_engine_stays_open_when_we_close(ledger: Ledger, engine: AsyncEngine) -> None:
    await ledger.auth.close()
    async with engine.connect() as connection:
        assert (await connection.execute(select(1))).scalar_one() == 1


def test_a_sqlite_engine_that_is_not_ours_is_refused_in_a_sentence(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/app.db")
    with pytest.raises(SettingsError, match=r"propusk\.make_engine"):
        create_auth(make_settings("sqlite:///x.db", tmp_path), engine=engine)


def test_an_engine_whose_types_have_other_names_is_refused_in_a_sentence(tmp_path: Path) -> None:
    engine = create_async_engine("mariadb+asyncmy://root@127.0.0.1/app")
    with pytest.raises(SettingsError, match=r"mysql\+"):
        create_auth(make_settings("sqlite:///x.db", tmp_path), engine=engine)


async def test_a_handler_of_the_host_writes_its_own_rows_with_ours(make_stand: MakeStand) -> None:
    """A foreign key to a row that we have not committed yet holds, and its refusal undoes both."""
    ledgers: list[Ledger] = []

    async def open_account(ctx: Context, event: UserRegistered) -> None:
        assert event.user_id is not None
        await ledgers[0].write(ctx.db, event.user_id)
        if (await ctx.db.execute(select(ctx.tables.users.c.email))).scalars().all() == ["twice@example.com"]:
            await ledgers[0].write(ctx.db, event.user_id)

    stand = await make_stand(on=[(UserRegistered, open_account)])
    ledgers.append(Ledger(stand.auth))
    async with stand.auth.engine.begin() as connection:
        await connection.run_sync(ledgers[0].metadata.create_all)
    try:
        bad = {"email": "twice@example.com", "password": PASSWORD}
        assert (await stand.client.post("/auth/register", json=bad)).status_code == 500
        assert await ledgers[0].notes() == []
        assert (await stand.client.post("/auth/register", json=ADA)).status_code == 201
        assert await ledgers[0].notes() == ["hello"]
    finally:
        async with stand.auth.engine.begin() as connection:
            await connection.run_sync(ledgers[0].metadata.drop_all)


def bank() -> FastAPI:
    """Routes in the host's own shapes, on the same functions as ours."""
    app = FastAPI()

    @app.post("/enter")
    async def enter(ctx: Ctx, login: str, password: str) -> dict[str, str]:
        pair = await login_with_password(ctx, login=login, password=password)
        return {"token": pair.access_token}

    @app.post("/new-secret")
    async def new_secret(ctx: Ctx, principal: CurrentPrincipal, secret: str) -> int:
        await replace_password(ctx, principal=principal, new_password=secret)
        return len(await list_live_sessions(ctx, principal.user.id, limit=10, before=None))

    @app.post("/oops")
    async def oops(ctx: Ctx) -> None:
        await register_with_password(ctx, email="oops@example.com", password=PASSWORD)
        raise ZeroDivisionError

    return app


async def test_routes_of_the_host_call_the_domain_and_commit_before_they_answer(make_stand: MakeStand) -> None:
    stand = await make_stand(bank(), routes=["/auth/register"])
    await stand.client.post("/auth/register", json=ADA)

    async def enter(password: str) -> dict[str, str]:
        answer = await stand.client.post("/enter", params={"login": EMAIL, "password": password})
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    here, there = await enter(PASSWORD), await enter(PASSWORD)
    answer = await stand.client.post("/new-secret", params={"secret": "zq7canary new mare"}, headers=here)
    assert (answer.status_code, answer.json()) == (200, 1)
    answer = await stand.client.post("/new-secret", params={"secret": "zq7canary third"}, headers=there)
    assert (answer.status_code, answer.json()["code"]) == (401, InvalidAccessToken.code)
    await enter("zq7canary new mare")
    answer = await stand.client.post("/enter", params={"login": EMAIL, "password": PASSWORD})
    assert answer.status_code == 401
    assert (await stand.client.post("/oops")).status_code == 500
    answer = await stand.client.post("/enter", params={"login": "oops@example.com", "password": PASSWORD})
    assert answer.status_code == 401


def no_ledger() -> Ledger:
    raise AssertionError


def boutique(ledger: Callable[[], Ledger]) -> FastAPI:
    """Routes that write of their own before and after ours."""
    app = FastAPI()

    @app.post("/join")
    async def join(ctx: Ctx, way: str) -> None:
        await ledger().write(ctx.db, UUID(int=1), way=way)
        await register_with_password(ctx, email=EMAIL, password=PASSWORD)

    @app.post("/sign-up")
    async def sign_up(ctx: Ctx) -> str:
        user = await register_with_password(ctx, email=EMAIL, password=PASSWORD)
        return (await complete_login(ctx, user, methods=("pwd",))).access_token

    @app.post("/enter")
    async def enter(ctx: Ctx, way: str | None = None) -> None:
        if way is not None:
            await ledger().write(ctx.db, UUID(int=1), way=way)
        try:
            await login_with_password(ctx, login=EMAIL, password="zq7canary wrong")
        except AuthError as refusal:
            raise HTTPException(418) from refusal

    @app.post("/refresh")
    async def refresh(ctx: Ctx, token: str) -> str:
        try:
            pair = await refresh_session(ctx, token=token)
        except AuthError as refusal:
            raise HTTPException(418) from refusal
        return str(pair.refresh_token)

    return app


async def test_a_savepoint_that_comes_first_is_undone_with_the_request(make_stand: MakeStand) -> None:
    app = FastAPI()

    @app.post("/invite")
    async def invite(ctx: Ctx) -> None:
        async with ctx.db.begin_nested():
            await create_user_with_password(ctx, actor=None, email=EMAIL, password=None)
        raise ZeroDivisionError

    stand = await make_stand(app)
    assert (await stand.client.post("/invite")).status_code == 500
    async with stand.auth.transaction() as ctx:
        assert await find_user_by_login(ctx, EMAIL) is None


@pytest.mark.parametrize("way", ["session", "object", "flush", "bulk", "connection"])
async def test_what_a_host_wrote_before_a_refusal_of_ours_is_not_kept(make_stand: MakeStand, way: str) -> None:
    ledgers: list[Ledger] = []
    stand = await make_stand(boutique(lambda: ledgers[0]))
    ledgers.append(Ledger(stand.auth, references=False))
    await stand.client.post("/auth/register", json=ADA)
    async with stand.auth.engine.begin() as connection:
        await connection.run_sync(ledgers[0].metadata.create_all)
    try:
        answer = await stand.client.post("/join", params={"way": way})
        # SQLite has one writer, and attempts are counted beside the transaction: a sentence at once, not a time-out.
        is_sqlite = stand.auth.engine.dialect.name == "sqlite"
        assert answer.status_code == (500 if is_sqlite else 409)
        assert await ledgers[0].notes() == []
        # What a failed login leaves is kept all the same.
        answer = await stand.client.post("/enter", params={"way": way})
        assert answer.status_code == (500 if is_sqlite else 418)
        assert await ledgers[0].notes() == []
        async with stand.auth.transaction() as ctx:
            kinds = (await ctx.db.execute(select(ctx.tables.audit_events.c.kind))).scalars().all()
        assert kinds.count("login_failed") == (0 if is_sqlite else 1)
    finally:
        async with stand.auth.engine.begin() as connection:
            await connection.run_sync(ledgers[0].metadata.drop_all)


async def is_locked(auth: Auth, table: Table) -> bool:
    """Whether somebody holds a lock on its rows."""
    async with auth.sessions() as db:
        try:
            await db.execute(select(table).with_for_update(nowait=True))
        except DBAPIError:
            return True
        return False


async def is_taken(auth: Auth, lock: int) -> bool:
    """Whether somebody holds this lock of PostgreSQL's."""
    async with auth.sessions() as db:
        return not (await db.execute(select(func.pg_try_advisory_xact_lock(lock)))).scalar_one()


async def refused_login(ctx: Context) -> None:
    with suppress(InvalidCredentials):
        await login_with_password(ctx, login=EMAIL, password="zq7canary wrong")


async def registration(ctx: Context) -> None:
    await register_with_password(ctx, email="new@example.com", password=PASSWORD)


@pytest.mark.parametrize("use_case", [refused_login, registration])
async def test_a_lock_that_a_host_took_first_is_held_until_its_own_end(
    ledger: Ledger, use_case: Callable[[Context], Awaitable[None]]
) -> None:
    auth = ledger.auth
    if auth.engine.dialect.name == "sqlite":
        pytest.skip("it has no locks of rows")
    async with auth.transaction() as ctx:
        user = await create_user_with_password(ctx, actor=None, email=EMAIL, password=PASSWORD)
        await ledger.write(ctx.db, user.id)
    async with auth.transaction() as ctx:
        await ctx.db.execute(select(ledger.table).with_for_update())
        await use_case(ctx)
        assert await is_locked(auth, ledger.table)
    assert not await is_locked(auth, ledger.table)


async def test_a_lock_that_a_host_took_by_a_function_is_held_while_a_password_is_hashed(ledger: Ledger) -> None:
    auth = ledger.auth
    if auth.engine.dialect.name != "postgresql":
        pytest.skip("it has none that ends with a transaction")
    async with auth.transaction() as ctx:
        await ctx.db.execute(select(func.pg_advisory_xact_lock(7)))
        await registration(ctx)
        assert await is_taken(auth, 7)
    assert not await is_taken(auth, 7)


async def test_a_use_case_in_a_savepoint_of_the_hosts_leaves_it_open(ledger: Ledger) -> None:
    auth = ledger.auth
    if auth.engine.dialect.name == "sqlite":
        pytest.skip("its attempts are counted before any savepoint")
    async with auth.transaction() as ctx:
        with suppress(ZeroDivisionError):
            async with ctx.db.begin_nested():
                await registration(ctx)
                raise ZeroDivisionError
        assert await find_user_by_login(ctx, "new@example.com") is None
        async with ctx.db.begin_nested():
            await refused_login(ctx)


async def test_what_a_host_only_read_before_does_not_undo_what_a_refusal_leaves(ledger: Ledger) -> None:
    with pytest.raises(InvalidCredentials):
        async with ledger.auth.transaction() as ctx:
            await ctx.db.execute(select(ledger.table))
            await login_with_password(ctx, login=EMAIL, password=PASSWORD)
    async with ledger.auth.transaction() as ctx:
        kinds = (await ctx.db.execute(select(ctx.tables.audit_events.c.kind))).scalars().all()
    assert kinds == ["login_failed"]


@pytest.fixture(params=[None, "redis://127.0.0.1:1/0"], ids=["database", "redis-away"])
async def counting(
    request: pytest.FixtureRequest, ledger: Ledger, engine: AsyncEngine, signing_key_file: Path, tmp_path: Path
) -> AsyncIterator[Auth]:
    """One that counts in the database, though it was told of a Redis."""
    url = ledger.auth.settings.database_url
    assert url is not None
    settings = make_settings(
        url.get_secret_value(), tmp_path, signing_key_file=signing_key_file, redis_url=request.param
    )
    auth = create_auth(settings, engine=engine, clock=FakeClock(), mailer=MemoryMailer())
    yield auth
    await auth.close()


@pytest.mark.parametrize("way", ["session", "object", "connection", "savepoint"])
async def test_who_wrote_first_is_told_at_once_what_sqlite_cannot(
    ledger: Ledger, engine: AsyncEngine, counting: Auth, way: str
) -> None:
    """It has one writer, and attempts are counted beside the transaction: that would wait for itself."""
    async with ledger.auth.transaction() as ctx:
        user = await create_user_with_password(ctx, actor=None, email=EMAIL, password=None)
    refused: type[Exception] = RuntimeError if engine.dialect.name == "sqlite" else InvalidCredentials
    for sessions in (counting.sessions, async_sessionmaker(engine)):
        async with sessions() as db:
            ctx = await counting.context(db, client=None)
            if way == "savepoint":
                _ = await db.begin_nested()
            else:
                await ledger.write(db, user.id, way=way)
            async with asyncio.timeout(PATIENCE - 1):
                with pytest.raises(refused):
                    await login_with_password(ctx, login=EMAIL, password=PASSWORD)


async def test_who_only_looked_by_a_connection_may_be_counted_anywhere(ledger: Ledger) -> None:
    async with ledger.auth.transaction() as ctx:
        await (await ctx.db.connection()).execute(select(ledger.table))
        await registration(ctx)
        user = await find_user_by_login(ctx, "new@example.com")
    assert user is not None


async def test_a_registration_whose_login_is_refused_is_not_kept(make_stand: MakeStand) -> None:
    stand = await make_stand(boutique(no_ledger), settings={"require_verified_email": True})
    for _ in range(2):
        answer = await stand.client.post("/sign-up")
        assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")
    async with stand.auth.transaction() as ctx:
        assert await find_user_by_login(ctx, EMAIL) is None


async def test_what_a_refusal_is_to_leave_is_left_whatever_the_host_makes_of_it(make_stand: MakeStand) -> None:
    """A failed login in the audit trail, and a stolen session ended, though the host answers in its own way."""
    stand = await make_stand(boutique(no_ledger), settings={"refresh_grace": 0})
    await stand.client.post("/auth/register", json=ADA)
    assert (await stand.client.post("/enter")).status_code == 418
    login = {"login": EMAIL, "password": PASSWORD}
    stolen = (await stand.client.post("/auth/login", json=login)).json()["refresh_token"]
    current = (await stand.client.post("/refresh", params={"token": stolen})).json()
    stand.clock.tick(seconds=1)

    assert (await stand.client.post("/refresh", params={"token": stolen})).status_code == 418
    assert (await stand.client.post("/refresh", params={"token": current})).status_code == 418
    async with stand.auth.transaction() as ctx:
        kinds = (await ctx.db.execute(select(ctx.tables.audit_events.c.kind))).scalars().all()
    assert [kinds.count(kind) for kind in ("login_failed", "refresh_token_reuse_detected")] == [1, 1]


def exchange(ledger: Callable[[], Ledger]) -> FastAPI:
    """A route that writes before it refreshes, and has its own way with what is refused."""
    app = FastAPI()

    @app.post("/refresh")
    async def refresh(ctx: Ctx, token: str, way: str) -> str:
        await ledger().write(ctx.db, UUID(int=1), way)
        try:
            await refresh_session(ctx, token=token)
        except AuthError as refusal:
            if way == "translates":
                raise HTTPException(418) from refusal
            if way == "hangs":
                await asyncio.Event().wait()
            if way == "rolls back":
                await ctx.db.rollback()
            if way == "raises":
                raise
        return way

    return app


@pytest.mark.parametrize(
    ("way", "status", "kept"),
    [
        ("raises", 401, []),
        ("translates", 418, []),
        ("hangs", 503, []),
        ("rolls back", 200, []),
        ("commits", 200, ["commits"]),
    ],
)
async def test_a_stolen_session_ends_whatever_a_host_wrote_before_and_makes_of_it(
    make_stand: MakeStand, way: str, status: int, kept: list[str]
) -> None:
    ledgers: list[Ledger] = []
    stand = await make_stand(exchange(lambda: ledgers[0]), settings={"refresh_grace": 0})
    if stand.auth.engine.dialect.name == "sqlite":
        pytest.skip("nobody refreshes there after a write: it is refused before anything is looked at")
    ledgers.append(Ledger(stand.auth, references=False))
    await stand.client.post("/auth/register", json=ADA)
    login = {"login": EMAIL, "password": PASSWORD}
    stolen = (await stand.client.post("/auth/login", json=login)).json()
    current = (await stand.client.post("/auth/refresh", json={"refresh_token": stolen["refresh_token"]})).json()
    stand.clock.tick(seconds=1)
    async with stand.auth.engine.begin() as connection:
        await connection.run_sync(ledgers[0].metadata.create_all)
    try:
        answer = await stand.client.post("/refresh", params={"token": stolen["refresh_token"], "way": way})
        assert answer.status_code == status
        assert await ledgers[0].notes() == kept
    finally:
        async with stand.auth.engine.begin() as connection:
            await connection.run_sync(ledgers[0].metadata.drop_all)
    me = await stand.client.get("/users/me", headers={"Authorization": f"Bearer {current['access_token']}"})
    again = await stand.client.post("/auth/refresh", json={"refresh_token": current["refresh_token"]})
    assert (me.status_code, again.status_code) == (401, 401)
    async with stand.auth.transaction() as ctx:
        kinds = (await ctx.db.execute(select(ctx.tables.audit_events.c.kind))).scalars().all()
    assert kinds.count("refresh_token_reuse_detected") == 1


async def test_what_a_refusal_leaves_is_written_after_a_transaction_that_others_wrote_in(ledger: Ledger) -> None:
    async def leave(ctx: Context) -> None:
        await publish(ctx, LoginFailed(user_id=None, detail="left"))

    with pytest.raises(InvalidCredentials):
        async with ledger.auth.transaction(Client(ip="198.51.100.9")) as ctx:
            user = await create_user_with_password(ctx, actor=None, email=EMAIL, password=None)
            await ledger.write(ctx.db, user.id)
            await keep(ctx, leave)
            raise InvalidCredentials
    assert await ledger.notes() == []
    async with ledger.auth.transaction() as ctx:
        events = ctx.tables.audit_events.c
        assert (await ctx.db.execute(select(events.kind, events.ip))).all() == [("login_failed", "198.51.100.9")]


async def test_a_handler_that_refuses_undoes_all_of_it(make_stand: MakeStand) -> None:
    async def refuse(_ctx: Context, _event: UserRegistered) -> None:
        raise AccountDisabled

    stand = await make_stand(on=[(UserRegistered, refuse)])
    assert (await stand.client.post("/auth/register", json=ADA)).status_code == 403
    async with stand.auth.transaction() as ctx:
        assert await find_user_by_login(ctx, EMAIL) is None


async def test_a_handler_may_be_the_first_to_ask_the_database(make_stand: MakeStand) -> None:
    """Without an audit trail, a failed login has written nothing before."""
    heard: list[str | None] = []

    async def note(ctx: Context, event: LoginFailed) -> None:
        await ctx.db.execute(select(1))
        heard.append(event.detail)

    stand = await make_stand(features=[password.feature()], on=[(LoginFailed, note)])
    answer = await stand.client.post("/auth/login", json={"login": EMAIL, "password": PASSWORD})
    assert (answer.status_code, heard) == (401, ["invalid_credentials"])


async def test_a_handler_may_call_what_hashes_a_password(make_stand: MakeStand) -> None:
    """It gives no connection back: that would end the transaction that the handler is in."""

    async def register_another(ctx: Context, _event: LoginFailed) -> None:
        await register_with_password(ctx, email="decoy@example.com", password=PASSWORD)

    stand = await make_stand(features=[password.feature()], on=[(LoginFailed, register_another)])
    answer = await stand.client.post("/auth/login", json={"login": EMAIL, "password": PASSWORD})
    assert answer.status_code == 401
    async with stand.auth.transaction() as ctx:
        assert await find_user_by_login(ctx, "decoy@example.com") is not None


async def test_several_use_cases_are_one_transaction(make_stand: MakeStand) -> None:
    stand = await make_stand()
    async with stand.auth.transaction() as ctx:
        for n in range(3):
            fields = {"email": f"user{n}@example.com", "password": PASSWORD}
            await create_user_with_password(ctx, actor=None, **fields)
    with pytest.raises(EmailTaken):
        async with stand.auth.transaction() as ctx:
            await create_user_with_password(ctx, actor=None, email="new@example.com", password=PASSWORD)
            await create_user_with_password(ctx, actor=None, email="user1@example.com", password=PASSWORD)
    async with stand.auth.transaction() as ctx:
        assert await find_user_by_login(ctx, "user2@example.com") is not None
        assert await find_user_by_login(ctx, "new@example.com") is None


def test_every_refusal_is_one_class_for_the_host_to_catch() -> None:
    assert issubclass(EmailTaken, AuthError)


async def test_what_a_hosts_objects_wait_to_write_comes_before_our_statements(ledger: Ledger) -> None:
    async with ledger.auth.transaction() as ctx:
        user = await create_user_with_password(ctx, actor=None, email=EMAIL, password=PASSWORD)
        ctx.db.add(ledger.entry(user_id=user.id, note="waits"))
        assert list((await read(ctx.db, select(ledger.table.c.note))).scalars()) == ["waits"]
