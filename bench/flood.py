"""Logins at a given rate, whoever is still waiting: an open loop, from many networks, each on its own connection."""

import asyncio
import time
from dataclasses import dataclass

from bench.speech import Speech
from tests.process.wire import Wire

NETWORKS = 100
PATIENCE = 30


@dataclass(frozen=True)
class Flooded:
    """What was found.

    Args:
        accepted: logins per second answered well while the flood lasted.
        turned_away: how many were answered 503 meanwhile, and the 99th percentile of their times in milliseconds.
        open: connections without an answer when it ended; they are closed then.
        well_after: seconds from its end to the first login that takes no longer than `quiet` allows.
    """

    accepted: float
    turned_away: int
    turned_away_p99: float
    open: int
    well_after: float


def flood(speech: Speech, port: int, email: str, *, rate: float, seconds: float, normal: float) -> Flooded:
    """So many logins a second, for so long; `normal` is what a login may take to count as normal."""
    return asyncio.run(_flood(_login(speech, email), port, rate, seconds, normal))


def login_seconds(speech: Speech, port: int, email: str) -> float:
    """What one login takes."""
    _, seconds = asyncio.run(_ask(port, _login(speech, email), "127.0.0.1"))
    return seconds


def _login(speech: Speech, email: str) -> bytes:
    return next(speech.logins([email]))


async def _ask(port: int, login: bytes, source: str) -> tuple[int, float]:
    begun = time.monotonic()
    wire = await Wire.open(port, source=source)
    try:
        wire.send(login)
        return (await wire.receive()).status, time.monotonic() - begun
    finally:
        await wire.close()


async def _flood(login: bytes, port: int, rate: float, seconds: float, normal: float) -> Flooded:
    begun = time.monotonic()
    tasks: list[asyncio.Task[tuple[int, float]]] = []
    for n in range(round(rate * seconds)):
        await asyncio.sleep(begun + n / rate - time.monotonic())
        tasks.append(asyncio.create_task(_ask(port, login, f"127.0.{1 + n % NETWORKS}.1")))
    await asyncio.sleep(begun + seconds - time.monotonic())
    done = [task.result() for task in tasks if task.done() and task.exception() is None]
    waiting = [task for task in tasks if not task.done()]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    away = sorted(took for status, took in done if status == 503)
    return Flooded(
        accepted=sum(status == 200 for status, _ in done) / seconds,
        turned_away=len(away),
        turned_away_p99=1000 * away[int(len(away) * 0.99)] if away else 0,
        open=len(waiting),
        well_after=await _wait(port, login, normal),
    )


async def _wait(port: int, login: bytes, normal: float) -> float:
    """Log in until it is as it was; no longer than our patience lasts."""
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < PATIENCE:
        try:
            async with asyncio.timeout(PATIENCE - passed):
                status, took = await _ask(port, login, "127.0.0.1")
        except (TimeoutError, ConnectionError):
            continue
        if status in (200, 204) and took <= normal:
            break
        await asyncio.sleep(0.02)
    return time.monotonic() - begun
