"""Who begins when, in a crowd."""

import asyncio
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from propusk.web.problems import Render, problems
from propusk.web.route import LeanRoute
from propusk.web.turns import Turns
from tests.kit import make_settings
from tests.unit.rounds import Rounds

TURNS = Turns()


class Host:
    """As much of an app as a route asks for."""

    router = APIRouter()


async def begun_in(crowd: int, *, gone: int | None = None) -> list[int]:
    """The rounds in which each of a crowd begins; one of them may go away at once."""
    rounds, found = Rounds(), []

    async def begin() -> None:
        await TURNS.take()
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


async def test_in_each_round_begins_what_its_share_has_room_for() -> None:
    now, rounds, found = 0.0, Rounds(), list[int]()
    turns = Turns(share=0.001, clock=lambda: now)

    def begin() -> None:
        nonlocal now
        now += 0.0003
        found.append(rounds.count)

    def begin_slowly() -> None:
        nonlocal now
        now += 5
        found.append(rounds.count)

    for act in [begin] * 8 + [begin_slowly] * 2:
        turns.begin(act)
    first = rounds.count
    assert found == [first] * 4, "at once, while there is room"
    turns.begin(begin)
    for _ in range(10):
        await asyncio.sleep(0)
    rounds.stop()
    assert [n - first for n in found] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 4], "in order, and one at least"


async def test_what_fails_to_begin_holds_nobody_up() -> None:
    turns, begun, heard = Turns(), list[str](), list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(str(context["exception"])))

    def fail() -> None:
        raise ValueError("no")

    for act in [lambda: begun.append("first"), fail, lambda: begun.append("last")]:
        turns.begin(act)
    for _ in range(4):
        await asyncio.sleep(0)
    assert (begun, heard) == (["first", "last"], ["no"])


def test_an_event_loop_that_ended_in_the_middle_leaves_the_next_alone() -> None:
    async def leave() -> None:
        crowd = [asyncio.create_task(TURNS.take()) for _ in range(3)]
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
