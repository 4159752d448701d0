"""A Redis of the test's own, to be stopped, killed and restarted empty; and the store that speaks to one."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from redis import Redis, RedisError

from propusk.store.redis import RedisStore
from tests.kit import House
from tests.process.service import free_port

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")


@asynccontextmanager
async def redis_store(house: House) -> AsyncIterator[RedisStore]:
    """What a house keeps in its Redis, without the database beside it."""
    settings = house.auth.settings
    assert settings.redis_server is not None
    store = RedisStore(settings.redis_server, installation=settings.public_url, patience=30)
    yield store
    await store.close()


class RedisServer:
    """`redis-server` that keeps nothing on the disk.

    Args:
        folder: where it runs.
        options: more of its command line.
        config: of a sentinel, which has one and rewrites it.
    """

    def __init__(self, folder: Path, *options: str, config: Path | None = None) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self.options = options
        self._config = (str(config), "--sentinel") if config is not None else ("--save", "")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, *self._config, "--port", str(self.port), "--bind", "127.0.0.1", *self.options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        with Redis(port=self.port, socket_timeout=1) as client:
            self._wait(client)

    def kill(self) -> None:
        """SIGKILL: it forgets everything."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, new ones are accepted by the kernel, nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _wait(self, client: Redis) -> None:
        end = time.monotonic() + 60
        while True:
            try:
                client.ping()
                return
            except RedisError:
                assert time.monotonic() < end, "redis-server did not start"
                time.sleep(0.02)


@contextmanager
def redis_of_its_own(folder: Path, *options: str, config: Path | None = None) -> Iterator[RedisServer]:
    """A running server, killed afterwards; skipped where the program is not installed."""
    if PROGRAM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is required with CI=true and is not installed")
        pytest.skip("redis-server is not installed on this machine")
    server = RedisServer(folder, *options, config=config)
    server.start()
    try:
        yield server
    finally:
        server.kill()
