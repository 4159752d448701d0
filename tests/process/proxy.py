"""A database at the end of a wire that a test can cut, freeze or make deaf."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

PORTS = {"postgresql": 5432, "mariadb": 3306}
"""Where the servers of the tests listen."""
COMMITS = {"postgresql": b"COMMIT;", "mariadb": b"\x03COMMIT"}
"""A commit on the wire; MariaDB's begins with the number of its command, as SET AUTOCOMMIT is none."""


class Proxy:
    """Forwards TCP connections to a database of this machine, from a thread of its own.

    Args:
        database: which, by its name.
    """

    def __init__(self, database: str) -> None:
        self.port = 0
        self._target = PORTS[database]
        self.commit = COMMITS[database]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_server, self._to_client = _open_valve(), _open_valve()
        self._is_cut = False
        self._markers: tuple[bytes, ...] = ()
        self._seen: Counter[asyncio.StreamWriter] = Counter()
        self._heard: list[bytes] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Meanwhile every connection is reset, and every new one."""
        self._run(self._set_cut(True))
        with self._restored():
            yield

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Meanwhile nothing is forwarded in either direction; connections stay open, new ones are accepted."""
        self._run(self._call(self._to_server.clear))
        self._run(self._call(self._to_client.clear))
        with self._restored():
            yield

    def forget_connections(self) -> None:
        """Those that are open now stay so, and nothing comes through them any more; new ones are as ever."""
        self._run(self._forget())

    def url(self, direct: str) -> str:
        """The URL of a database, through here."""
        return direct.replace("127.0.0.1", f"127.0.0.1:{self.port}")

    @contextmanager
    def overheard(self) -> Iterator[list[bytes]]:
        """What the service sends meanwhile, in pieces as they came."""
        heard: list[bytes] = []
        self._heard = heard
        try:
            yield heard
        finally:
            self._heard = None

    @contextmanager
    def silent_after(self, *markers: bytes) -> Iterator[None]:
        """Once the service has sent these on one connection, in this order, what it sends is forwarded, but no reply of
        the database. On one: SQLAlchemy sends a COMMIT on every new connection to MariaDB, as it sets the isolation.
        """
        self._run(self._set_markers(markers))
        with self._restored():
            yield

    @contextmanager
    def _restored(self) -> Iterator[None]:
        """Afterwards forward again, what was held back first."""
        try:
            yield
        finally:
            self._run(self._set_markers(()))
            self._run(self._set_cut(False))
            self._run(self._call(self._to_server.set))
            self._run(self._call(self._to_client.set))

    def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _call(self, act: Callable[[], None]) -> None:
        act()

    async def _forget(self) -> None:
        self._to_server.clear()
        self._to_client.clear()
        self._to_server, self._to_client = _open_valve(), _open_valve()

    async def _set_markers(self, markers: tuple[bytes, ...]) -> None:
        self._markers = markers
        self._seen.clear()

    async def _set_cut(self, value: bool) -> None:
        self._is_cut = value
        if value:
            for writer in self._writers:
                writer.transport.abort()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, back}
        look = partial(self._look, back)
        for pump in (self._pump(reader, back, self._to_server, look), self._pump(there, writer, self._to_client)):
            task = asyncio.create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        flow: asyncio.Event,
        look: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        try:
            while data := await reader.read(65536):
                await flow.wait()
                look(data)
                writer.write(data)
                await writer.drain()
        except (ConnectionError, OSError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _look(self, to: asyncio.StreamWriter, data: bytes) -> None:
        if self._heard is not None:
            self._heard.append(data)
        seen = self._seen[to]
        if seen < len(self._markers) and self._markers[seen] in data:
            self._seen[to] += 1
            if self._seen[to] == len(self._markers):
                self._to_client.clear()

    async def _stop(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _open_valve() -> asyncio.Event:
    valve = asyncio.Event()
    valve.set()
    return valve
