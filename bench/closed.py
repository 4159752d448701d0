"""A closed loop for slow requests: who has an answer asks again, until the time is up; then all answers are awaited.

wrk hangs up at the end. Where an answer takes a good part of the run, what was under way then would not be counted, and
would be the next run's load.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator

from bench.load import Result
from tests.process.wire import Wire


def run(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> Result:
    """Answers per second until the last one."""
    return asyncio.run(_run(port, requests, connections, seconds))


def encode(path: str, headers: dict[str, str], body: str) -> bytes:
    """A POST as it goes over the wire."""
    content = body.encode()
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


async def _run(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> Result:
    times: list[float] = []
    bad = 0
    begun = time.monotonic()

    async def one() -> None:
        nonlocal bad
        wire = await Wire.open(port)
        while (sent := time.monotonic()) < begun + seconds:
            wire.send(next(requests))
            answer = await wire.receive()
            times.append(time.monotonic() - sent)
            bad += answer.status >= 400
            if "content-length" not in answer.headers:  # node sends in chunks, which a Wire does not read
                await wire.close()
                wire = await Wire.open(port)
        await wire.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    took = time.monotonic() - begun
    p99 = statistics.quantiles(times, n=100, method="inclusive")[98]
    return Result(len(times) / took, 1000 * statistics.median(times), 1000 * p99, bad, took)
