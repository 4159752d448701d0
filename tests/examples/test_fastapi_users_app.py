"""The example for clients of FastAPI Users: as processes, as its README says; its links, counter and migrations."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from alembic import command
from alembic.config import Config
from joserfc import jws
from sqlalchemy import inspect

import propusk.db.revision
from propusk.alembic import alone
from tests.examples.conftest import StartExample
from tests.examples.test_fastapi_users_recording import acts
from tests.process.service import NO_LIMITS, PROGRAM, environment, free_port

DATABASES = ("sqlite", "postgresql")
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "fastapi_users_app"
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADA = {"email": "ada@example.com", "password": "zq7canary old horse"}
FORM = {"username": ADA["email"], "password": ADA["password"]}


@contextmanager
def workers(folder: Path, number: int, settings: dict[str, str]) -> Iterator[tuple[str, Path]]:
    """The example in processes, as its README starts it; its address and what it prints."""
    port, log = free_port(), folder / "app.log"
    arguments = ["--app-dir", str(ROOT), "--workers", str(number), "--port", str(port)]
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "examples.fastapi_users_app:app", *arguments],
            cwd=folder,
            env=environment(NO_LIMITS | settings),
            stdout=out,
            stderr=out,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait(url, process, log)
        yield url, log
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            process.kill()


def wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/users/me", timeout=20, trust_env=False).status_code == 401:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def ticks(log: Path) -> list[int]:
    return [int(n) for n in re.findall(r"^counter: (\d+)$", log.read_text(), re.MULTILINE)]


def ticked(log: Path, often: int) -> None:
    """Wait until it counted so far."""
    end = time.monotonic() + 60
    while len(ticks(log)) < often:
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def visitor(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=60, trust_env=False)


def test_two_workers_serve_and_one_of_them_counts(database: dict[str, str], tmp_path: Path) -> None:
    """From an empty database, which both migrate at once. The rhythm of ten seconds is shortened to one."""
    settings = {**database, "COUNTER_SECONDS": "1", "PROPUSK_WORKERS": "2"}
    with workers(tmp_path, 2, settings) as (url, log), visitor(url) as client:
        assert client.post("/auth/register", json=ADA).status_code == 201
        for _ in range(20):  # answered by either worker
            with visitor(url) as another:
                token = another.post("/auth/jwt/login", data=FORM).json()["access_token"]
                bearer = {"Authorization": f"Bearer {token}"}
                assert another.get("/users/me", headers=bearer).status_code == 200
                assert another.post("/auth/jwt/logout", headers=bearer).status_code == 204
            assert client.get("/users/me", headers=bearer).status_code == 401
        start, before = time.monotonic(), len(ticks(log))
        ticked(log, before + 4)
        seconds, counted = time.monotonic() - start, ticks(log)
    assert counted == list(range(1, len(counted) + 1)), "each tick once"
    assert len(counted) - before <= seconds + 1
    counted = ticks(log)
    with workers(tmp_path, 1, settings) as (_, log):
        ticked(log, len(counted) + 1)
    assert ticks(log)[: len(counted) + 1] == list(range(1, len(counted) + 2)), "it goes on where it was"


async def test_a_token_lives_an_hour_unless_a_setting_says_otherwise(start_example: StartExample) -> None:
    example = await start_example("fastapi_users_app")
    assert (await example.client.post("/auth/register", json=ADA)).status_code == 201
    token = (await example.client.post("/auth/jwt/login", data=FORM)).json()["access_token"]
    claims = jws.extract_compact(token.encode()).payload
    assert _life(claims) == 3600


async def test_the_setting_wins(start_example: StartExample) -> None:
    example = await start_example("fastapi_users_app", PROPUSK_ACCESS_TOKEN_TTL="5m")
    assert (await example.client.post("/auth/register", json=ADA)).status_code == 201
    token = (await example.client.post("/auth/jwt/login", data=FORM)).json()["access_token"]
    assert _life(jws.extract_compact(token.encode()).payload) == 300


def _life(claims: bytes) -> int:
    issued, expires = (int(re.findall(rf'"{name}":\s*(\d+)', claims.decode())[0]) for name in ("iat", "exp"))
    return expires - issued


async def test_links_open_pages_that_work(start_example: StartExample) -> None:
    example = await start_example("fastapi_users_app")
    assert (await example.client.post("/auth/register", json=ADA)).status_code == 201
    token = await acts(example)["mail_token"]("verify", ADA["email"])

    page = await example.client.get("/verify-email", params={"token": token})
    assert (page.status_code, "<form" in page.text) == (200, True)
    style = re.findall(r'href="/?([^"]+\.css)"', page.text)
    assert (await example.client.get("/" + style[0].lstrip("./"))).status_code == 200
    pressed = await example.client.post(
        "/verify-email", data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert pressed.status_code == 200
    again = await example.client.post("/auth/verify", json={"token": token})
    assert again.json() == {"detail": "VERIFY_USER_ALREADY_VERIFIED"}


async def test_nothing_else_of_ours_is_served(start_example: StartExample) -> None:
    example = await start_example("fastapi_users_app")
    for path in ("/auth/login", "/auth/refresh", "/auth/sessions", "/users", "/users/me/password"):
        assert (await example.client.post(path, json={})).status_code in (404, 405), path


async def test_the_history_has_both_tables_and_autogenerate_has_nothing_to_add(
    start_example: StartExample, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = await start_example("fastapi_users_app")
    config = Config(FOLDER / "alembic.ini")
    async with example.auth.engine.connect() as connection:
        names = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
    assert {"counters", "propusk_users", "alembic_version"} <= names
    assert "propusk_schema_version" not in names
    assert await propusk.db.revision.is_current(example.auth.engine, example.auth.tables.metadata)
    async with alone(example.auth) as connection:

        def compare(sync: object) -> None:
            config.attributes["connection"] = sync
            command.check(config)

        await connection.run_sync(compare)


async def test_of_several_that_start_at_once_one_migrates(start_example: StartExample) -> None:
    example = await start_example("fastapi_users_app")

    async def migrate() -> None:
        async with alone(example.auth):
            pass

    async with alone(example.auth):
        another = asyncio.create_task(migrate())
        await asyncio.sleep(0.5)
        assert not another.done()
    await asyncio.wait_for(another, 60)


def test_alembics_own_command_works(database: dict[str, str], tmp_path: Path) -> None:
    def alembic(*arguments: str) -> str:
        program = [str(Path(PROGRAM).with_name("alembic")), "-c", str(FOLDER / "alembic.ini")]
        done = subprocess.run(
            [*program, *arguments],
            cwd=tmp_path,
            env=environment(database),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    alembic("upgrade", "heads")
    assert {"app_0001", propusk.db.revision.newest_revision()} <= set(alembic("current").split())
    alembic("downgrade", "app@base")
    assert "app_0001" not in alembic("current").split()


def test_the_readme_does_what_it_says(tmp_path: Path) -> None:
    blocks = BLOCK.findall((FOLDER / "README.md").read_text())
    assert len([kind for kind, _ in blocks if kind == "text"]) >= 5
    script = "set -eu\n" + "".join(text if kind == "sh" else "echo '--- expected'\n" for kind, text in blocks)
    path = f"{Path(PROGRAM).parent}:{environment()['PATH']}"
    with workers(tmp_path, 1, {}) as (url, _):
        env = environment({"URL": url, "PATH": path})
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split("--- expected\n")
    for output, said in zip(printed, (text for kind, text in blocks if kind == "text"), strict=False):
        pattern = ".*".join(re.escape(part) for part in said.strip().split("…"))
        assert re.fullmatch(pattern, output.strip(), re.DOTALL), f"{output}\nis not\n{said}"


def test_it_is_short() -> None:
    lines = sum(len(path.read_text().splitlines()) for path in FOLDER.rglob("*.py"))
    assert lines <= 100
