"""Raw keep-alive connections: many requests, all but their last bytes sent, set off at the same moment."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Self

from tests.process.service import PATIENCE


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The code of a problem document; None when all is well."""
        return str(self.json()["code"]) if self.status >= 400 else None

    @property
    def worker(self) -> str:
        """Which process answered: it begins its request ids with a name of its own."""
        return self.headers["x-request-id"].rpartition("-")[0]


@dataclass(frozen=True)
class Ask:
    """A request to send."""

    method: str
    path: str
    token: str | None = field(default=None, repr=False)
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def encode(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.token is not None:
            lines.append(f"Authorization: Bearer {self.token}")
        content = b"" if self.body is None else json.dumps(self.body).encode()
        if content:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


class Wire:
    """One connection. Not for two callers at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, *, source: str | None = None) -> Self:
        """Connect; `source` is the address to come from (any of 127.0.0.0/8)."""
        local = (source, 0) if source is not None else None
        return cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=local))

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def ask(self, request: Ask) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            ConnectionError: the other side went away before the answer was complete.
        """
        self.send(request.encode())
        return await self.receive()

    async def receive(self) -> Answer:
        """The next answer."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the answer is not complete") from error
        return Answer(int(first.split()[1]), headers, body)

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


class Wires(list[Wire]):
    """Several connections, closed together: `async with await connect(port, 32) as wires:`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(wire.close() for wire in self))


async def connect(port: int, count: int, *, sources: Sequence[str] = ()) -> Wires:
    """Open many connections, from each of `sources` in turn."""
    return Wires(
        await asyncio.gather(
            *(Wire.open(port, source=sources[n % len(sources)] if sources else None) for n in range(count))
        )
    )


async def connect_to_all(port: int, count: int, *, workers: int) -> Wires:
    """That many connections, at least one of them to each worker.

    The kernel picks who accepts, so it may take more; and a service is ready before its last worker is.
    """
    found: dict[str, Wires] = {}
    end = time.monotonic() + PATIENCE
    while len(found) < workers and time.monotonic() < end:
        # All are asked each time, as the service closes idle connections.
        held = [*(wire for wires in found.values() for wire in wires), *await connect(port, count)]
        answers = await asyncio.gather(*(_ask_who(wire) for wire in held))
        found = {}
        for wire, worker in zip(held, answers, strict=True):
            if worker is not None:
                found.setdefault(worker, Wires()).append(wire)
        for worker, surplus in found.items():
            await asyncio.gather(*(wire.close() for wire in surplus[:-count]))
            found[worker] = Wires(surplus[-count:])
    assert len(found) == workers, f"not every one of {workers} workers accepts connections"
    in_turn = [wire for row in zip_longest(*found.values()) for wire in row if wire is not None]
    await asyncio.gather(*(wire.close() for wire in in_turn[count:]))
    return Wires(in_turn[:count])


async def _ask_who(wire: Wire) -> str | None:
    """Which worker answers; None, and the connection is given up, where it was closed."""
    try:
        return (await wire.ask(Ask("GET", "/healthz"))).worker
    except ConnectionError:
        await wire.close()
        return None


async def together(wires: Sequence[Wire], requests: Sequence[Ask]) -> list[Answer]:
    """One request on each connection, the last bytes of all sent in one go; the answers in the same order."""
    assert len(wires) == len(requests)
    texts = [request.encode() for request in requests]
    for wire, text in zip(wires, texts, strict=True):
        wire.send(text[:-1])
    await asyncio.sleep(0.05)  # let them arrive: what remains is one byte each
    for wire, text in zip(wires, texts, strict=True):
        wire.send(text[-1:])
    return list(await asyncio.gather(*(wire.receive() for wire in wires)))


async def at_once(port: int, requests: Sequence[Ask]) -> list[Answer]:
    """The same, on connections of their own."""
    async with await connect(port, len(requests)) as wires:
        return await together(wires, requests)


async def once(port: int, request: Ask, *, source: str | None = None) -> Answer:
    """A request on a connection of its own, from `source` (any of 127.0.0.0/8)."""
    wire = await Wire.open(port, source=source)
    try:
        return await wire.ask(request)
    finally:
        await wire.close()


async def timed(port: int, request: Ask) -> tuple[Answer, float]:
    """The answer to a request on a connection of its own, and after how many seconds it came."""
    begun = time.monotonic()
    answer = await once(port, request)
    return answer, time.monotonic() - begun
