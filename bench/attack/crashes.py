"""SIGKILL of the whole process group, again and again."""

import asyncio
from collections.abc import Iterator

from bench.attack.row import Attack
from tests.process.test_durability import kill_and_check, lose_an_answer
from tests.process.town import Town


def crashes(town: Town, scale: float) -> Iterator[Attack]:
    """Against a service that is restarted each time; its grace must be longer than a restart."""
    against = f"{town.backend.name}, {town.service.workers} workers"
    kills, losses = max(1, round(20 * scale)), max(1, round(5 * scale))
    yield Attack("T59", "kill -9 in the middle of everything", against, lambda: _kill(town, kills))
    yield Attack("T22", "kill -9 between advance and answer", against, lambda: _lose(town, losses))


def _kill(town: Town, kills: int) -> str:
    done = asyncio.run(kill_and_check(town, kills=kills))
    return f"{kills} kills: all of {done} acknowledged acts are there, nothing by halves"


def _lose(town: Town, losses: int) -> str:
    for _ in range(losses):
        asyncio.run(lose_an_answer(town))
    return f"{losses} kills: the retry got the same successor"
