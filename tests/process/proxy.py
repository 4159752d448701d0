"""A database at the end of a wire that a test can cut, freeze or make deaf."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
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
        self._is_cut = False
        self._markers: list[bytes] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset every connection, and every new one."""
        self._run(self._set_cut(True))

    def freeze(self) -> None:
        """Forward nothing more in either direction; connections stay open, new ones are accepted."""
        self._run(self._call(self._to_server.clear))
        self._run(self._call(self._to_client.clear))

    def url(self, direct: str) -> str:
        """The URL of a database, through here."""
        return direct.replace("127.0.0.1", f"127.0.0.1:{self.port}")

    def hold_replies_after(self, *markers: bytes) -> None:
        """Once the service has sent these, in this order, forward what it sends but no reply of the database."""
        self._run(self._call(lambda: self._markers.extend(markers)))

    def restore(self) -> None:
        """Forward again, what was held back first."""
        self._run(self._set_cut(False))
        self._run(self._call(self._to_server.set))
        self._run(self._call(self._to_client.set))

    def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _call(self, act: Callable[[], None]) -> None:
        act()

    async def _set_cut(self, value: bool) -> None:
        self._is_cut = value
        if value:
            for writer in self._writers:
                writer.transport.abort()

    async def _listen(self) -> None:
        self._to_server, self._to_client = asyncio.Event(), asyncio.Event()
        self._to_server.set()
        self._to_client.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, back}
        for pump in (self._pump(reader, back, self._to_server, self._look), self._pump(there, writer, self._to_client)):
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

    def _look(self, data: bytes) -> None:
        if self._markers and self._markers[0] in data:
            del self._markers[0]
            if not self._markers:
                self._to_client.clear()

    async def _stop(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
