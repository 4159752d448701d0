"""Who begins when, in a crowd."""

import asyncio
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from propusk.web.problems import Render, problems
from propusk.web.route import LeanRoute
from propusk.web.turns import take_turn
from tests.kit import make_settings


class Host:
    """As much of an app as a route asks for."""

    router = APIRouter()


class Rounds:
    """Counts the rounds of the event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._turn()

    def _turn(self) -> None:
        self.count += 1
        self._handle = asyncio.get_running_loop().call_soon(self._turn)

    def stop(self) -> None:
        self._handle.cancel()


async def begun_in(crowd: int, *, gone: int | None = None) -> list[int]:
    """The rounds in which each of a crowd begins; one of them may go away at once."""
    rounds, found = Rounds(), []

    async def begin() -> None:
        await take_turn()
        found.append(rounds.count)

    tasks = [asyncio.create_task(begin()) for _ in range(crowd)]
    await asyncio.sleep(0)
    if gone is not None:
        tasks[gone].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    rounds.stop()
    return found


async def test_t09_of_a_crowd_one_begins_in_each_round() -> None:
    found = await begun_in(50)
    assert len(found) == len(set(found)) == 50
    assert found == sorted(found)
    assert found[-1] - found[0] < 60, "and nobody waits for a round in which nobody begins"


async def test_a_request_that_went_away_takes_nobodys_turn() -> None:
    found = await begun_in(10, gone=3)
    assert len(found) == len(set(found)) == 9


def test_an_event_loop_that_ended_in_the_middle_leaves_the_next_alone() -> None:
    async def leave() -> None:
        crowd = [asyncio.create_task(take_turn()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not crowd[-1].done()

    asyncio.run(leave())
    for _ in range(2):
        assert len(asyncio.run(begun_in(3))) == 3


async def test_t09_a_crowd_at_a_lean_route_is_let_in_one_by_one(tmp_path: Path) -> None:
    router = APIRouter(route_class=LeanRoute)
    begun: list[int] = []

    @router.post("/dear")
    async def dear(_request: Request) -> Response:
        begun.append(rounds.count)
        return Response()

    [route] = [route for route in router.routes if isinstance(route, LeanRoute)]
    render: Render = problems(make_settings("sqlite:///unused.db", tmp_path))
    app, rounds = route.past(render), Rounds()

    async def ask() -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_message: Message) -> None: ...

        scope = {"type": "http", "method": "POST", "path": "/dear", "headers": [], "query_string": b"", "app": Host()}
        await app(scope, receive, send)

    await asyncio.gather(*(ask() for _ in range(20)))
    rounds.stop()
    assert len(set(begun)) == len(begun) == 20
