"""What goes wrong in a host's route is the host's; what is wrong with the database is a 503."""

import asyncio

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text

from propusk import Ctx
from propusk.db.engine import connect, database_url
from propusk.db.transactions import session_factory
from tests.backends import Backend
from tests.host.stand import MakeStand

SLEEPS = {"postgresql": "SELECT pg_sleep(60)", "mysql": "SELECT SLEEP(60)"}


def shop() -> FastAPI:
    """One route that asks others beside the database, and one that tells it anything."""
    app = FastAPI()

    @app.exception_handler(OSError)
    async def away(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"own": type(error).__name__}, 504)

    @app.get("/pay")
    async def pay(ctx: Ctx, by: str) -> None:
        await ctx.db.execute(text("SELECT 1"))
        match by:
            case "refused":
                raise ConnectionRefusedError
            case "late":
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()
            case "hangs":
                await asyncio.Event().wait()

    @app.get("/sql")
    async def sql(ctx: Ctx, text_: str) -> None:
        await ctx.db.execute(text(text_))

    return app


async def test_a_hosts_own_faults_go_to_its_own_handlers(make_stand: MakeStand) -> None:
    stand = await make_stand(shop())

    for by, name in (("refused", "ConnectionRefusedError"), ("late", "TimeoutError")):
        answer = await stand.client.get("/pay", params={"by": by})
        assert (answer.status_code, answer.json()) == (504, {"own": name})


async def test_a_fault_of_a_statement_is_no_database_that_is_away(make_stand: MakeStand) -> None:
    stand = await make_stand(shop())

    async with stand.auth.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE host_few (n INTEGER CHECK (n < 3))"))
    try:
        for statement in (
            "SELECT nosuch FROM host_few",
            "INSERT INTO host_few (nosuch) VALUES (1)",
            "INSERT INTO host_few VALUES (4)",
            "SELECT * FROM host_none",
            "SELEC",
            "SELECT JSON_EXTRACT('{', '$.a')",
        ):
            answer = await stand.client.get("/sql", params={"text_": statement})
            is_forgiven = answer.status_code == 200 and "JSON" in statement
            assert answer.status_code == 500 or is_forgiven, statement
    finally:
        async with stand.auth.engine.begin() as connection:
            await connection.execute(text("DROP TABLE host_few"))


@pytest.mark.one_database
async def test_what_hangs_in_a_hosts_hands_is_a_503(make_stand: MakeStand) -> None:
    stand = await make_stand(shop())
    answer = await stand.client.get("/pay", params={"by": "hangs"})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_statement_that_takes_too_long_is_a_503(make_stand: MakeStand, backend: Backend) -> None:
    if backend.name == "sqlite":
        pytest.skip("it has no statement that sleeps")
    stand = await make_stand(shop())
    answer = await stand.client.get("/sql", params={"text_": SLEEPS[stand.auth.engine.dialect.name]})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize("where", ["nobody listens", "no such database"])
async def test_a_database_that_is_away_is_a_503(make_stand: MakeStand, where: str) -> None:
    stand = await make_stand(shop())
    url = database_url(stand.auth.settings)
    if url.get_backend_name() == "sqlite":
        nowhere = url.set(database="/nonexistent/propusk.db")
    else:
        nowhere = url.set(port=1) if where == "nobody listens" else url.set(database="propusk_nowhere")
    engine = connect(nowhere, pool_size=1)
    stand.auth.sessions = session_factory(engine)

    answer = await stand.client.get("/sql", params={"text_": "SELECT 1"})
    await engine.dispose()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
