"""Periodic work of two nodes with two workers each: one tick a second, through kills and frozen processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.engine import connect, database_url
from propusk.jobs.lease import LEASE
from tests.backends import Backend
from tests.kit import make_settings
from tests.process.service import PATIENCE, SECRET_KEY, environment, free_port, propusk
from tests.process.ticking import TICKS
from tests.process.town import backend_of_its_own

pytestmark = pytest.mark.xdist_group("processes")
ROOT = Path(__file__).parents[2]
SLACK = 10.0
"""Seconds beyond the lease in which the next tick must have been committed: two of the rhythm, and a busy machine's."""


@dataclass
class Tick:
    due_at: datetime
    at: datetime
    pid: int


@dataclass
class Clockwork:
    """The nodes that tick, and what they wrote."""

    folder: Path
    engine: AsyncEngine
    lease: float

    async def ticks(self) -> list[Tick]:
        async with self.engine.connect() as connection:
            columns = (TICKS.c.due_at, TICKS.c.at, TICKS.c.pid)
            return [Tick(*row) for row in await connection.execute(select(*columns).order_by(TICKS.c.at))]

    async def more_ticks(self, number: int, *, within: float) -> float:
        """Wait for that many more; returns after how many seconds they were there."""
        start, before = time.monotonic(), len(await self.ticks())
        while len(await self.ticks()) < before + number:
            assert time.monotonic() - start < within, f"not {number} more ticks within {within} s"
            await asyncio.sleep(0.05)
        return time.monotonic() - start

    async def keep_their_rhythm(self) -> None:
        """Wait until four ticks in a row are a second apart."""
        async with asyncio.timeout(PATIENCE):
            while steps_between((await self.ticks())[-4:]) != [1, 1, 1]:
                await asyncio.sleep(0.05)

    async def holder_in_the_middle(self, *, other_than: int = 0) -> int:
        """Let ticks take long, and wait until one is being run; the number of the process that runs it."""
        (self.folder / "slow").touch()
        start = time.monotonic()
        while (pid := self._holder()) in (0, other_than):
            assert time.monotonic() - start < self.lease + SLACK, "nobody runs a tick"
            await asyncio.sleep(0.02)
        return pid

    def _holder(self) -> int:
        try:
            return int((self.folder / "holder").read_text())
        except FileNotFoundError:
            return 0

    def be_quick(self) -> None:
        (self.folder / "slow").unlink()
        (self.folder / "holder").unlink()


def steps_between(ticks: list[Tick]) -> list[float]:
    return [(b.due_at - a.due_at).total_seconds() for a, b in pairwise(ticks)]


@contextmanager
def node(folder: Path, env: Mapping[str, str]) -> Iterator[int]:
    """Two workers of the application."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "tests.process.ticking:make_app", "--workers", "2"]
    # Its own watch over its workers would end a frozen one before we could wake it.
    command += ["--port", str(port), "--log-level", "warning", "--timeout-worker-healthcheck", "120"]
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(env), stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_ready(port)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def _wait_ready(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the application did not start")


@pytest.fixture
def backend_of_ours(database: str, tmp_path: Path) -> Iterator[Backend]:
    """An empty database: PostgreSQL for all with row locks, and SQLite. On MariaDB there are tests/contract."""
    if database == "mariadb":
        pytest.skip("the statements are those of PostgreSQL, and tests/contract/test_jobs.py runs them here")
    with backend_of_its_own(database, tmp_path) as backend:
        yield backend


@asynccontextmanager
async def two_nodes(backend: Backend, folder: Path, *, lease: float) -> AsyncIterator[Clockwork]:
    """Two nodes on one database."""
    with ExitStack() as stack:
        env = {
            "PROPUSK_DATABASE_URL": backend.url,
            "PROPUSK_DATA_DIR": str(folder / "data"),
            "PROPUSK_SECRET_KEY": SECRET_KEY,
            "TICK_FOLDER": str(folder),
            "TICK_LEASE": str(lease),
        }
        (folder / "data").mkdir()
        done = propusk(folder, "migrate", env={k: v for k, v in env.items() if k.startswith("PROPUSK_")})
        assert done.returncode == 0, done.stderr
        engine = connect(database_url(make_settings(backend.url, folder)), pool_size=1)
        async with engine.begin() as connection:
            await connection.run_sync(TICKS.metadata.create_all)
        try:
            for _ in range(2):
                await asyncio.to_thread(stack.enter_context, node(folder, env))
            yield Clockwork(folder, engine, lease)
        finally:
            await engine.dispose()


async def test_every_tick_is_kept_once_whoever_dies_or_freezes_in_the_middle(
    backend_of_ours: Backend, tmp_path: Path
) -> None:
    # On one database with the lease as it is, on the others with a shorter one, so that nobody waits too long.
    lease = LEASE.total_seconds() / (1 if backend_of_ours.name == "postgresql" else 2)
    async with two_nodes(backend_of_ours, tmp_path, lease=lease) as clockwork:
        await clockwork.keep_their_rhythm()

        last = (await clockwork.ticks())[-1]
        os.kill(last.pid, signal.SIGKILL)
        idle = await clockwork.more_ticks(1, within=lease + SLACK)

        frozen = await clockwork.holder_in_the_middle()
        os.kill(frozen, signal.SIGSTOP)
        try:
            start = time.monotonic()
            killed = await clockwork.holder_in_the_middle(other_than=frozen)
            after_frozen = time.monotonic() - start
            os.kill(killed, signal.SIGKILL)
            clockwork.be_quick()
            after_killed = await clockwork.more_ticks(1, within=lease + SLACK)
        finally:
            os.kill(frozen, signal.SIGCONT)
        await clockwork.keep_their_rhythm()

        ticks = await clockwork.ticks()
        print(
            f"{backend_of_ours.name}: {len(ticks)} ticks; idle {idle:.1f} s, {after_frozen:.1f} s, {after_killed:.1f} s"
        )
        assert after_frozen < lease + SLACK
        assert len({tick.due_at for tick in ticks}) == len(ticks), "no tick was kept twice"
        steps = steps_between(ticks)
        assert all(step >= 1 and step == round(step) for step in steps), "at times of the rhythm alone"
