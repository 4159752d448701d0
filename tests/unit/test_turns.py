"""Who begins when, in a crowd."""

import asyncio
import gc
import weakref
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from propusk.web.problems import Render, problems
from propusk.web.route import LeanRoute
from propusk.web.turns import Begin, Turns, TurnsOfLoops
from tests.kit import make_settings
from tests.unit.rounds import Rounds

TURNS = TurnsOfLoops()


class Host:
    """As much of an app as a route asks for."""

    router = APIRouter()


async def begun_in(crowd: int, *, gone: int = 0) -> list[int]:
    """The rounds in which each of a crowd begins; so many of them, from the second on, go away at once."""
    rounds, found = Rounds(), []

    async def begin() -> None:
        await TURNS.take()
        found.append(rounds.count)

    tasks = [asyncio.create_task(begin()) for _ in range(crowd)]
    await asyncio.sleep(0)
    for task in tasks[1 : 1 + gone]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    rounds.stop()
    return found


async def test_t09_of_a_crowd_one_begins_in_each_round() -> None:
    found = await begun_in(50)
    assert len(found) == len(set(found)) == 50
    assert found == sorted(found)
    assert found[-1] - found[0] < 60, "and nobody waits for a round in which nobody begins"


async def test_a_request_that_went_away_takes_nobodys_turn() -> None:
    heard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))
    [first, last] = await begun_in(12, gone=10)
    assert last - first <= 2
    assert heard == []


def starters(rounds: Rounds, begun: list[tuple[int, int]], count: int) -> list[Begin]:
    """So many that note which of them began in which round."""

    def starter(n: int) -> Begin:
        def begin() -> bool:
            begun.append((n, rounds.count))
            return True

        return begin

    return [starter(n) for n in range(count)]


async def sleep_rounds(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_so_many_begin_in_each_round_and_nobody_overtakes() -> None:
    turns, rounds, begun = Turns(each=3), Rounds(), list[tuple[int, int]]()
    loop, [*crowd, late, last] = asyncio.get_running_loop(), starters(rounds, begun, 9)
    first = rounds.count
    for begin in crowd:
        turns.begin(loop, begin)
    assert begun == [(n, first) for n in range(3)], "at once, while there is room"
    await asyncio.sleep(0)
    turns.begin(loop, late)
    await sleep_rounds(4)
    turns.begin(loop, last)
    rounds.stop()
    assert [n for n, _ in begun] == list(range(9))
    assert [n - first for _, n in begun[:-1]] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert begun[-1][1] == rounds.count, "there is room again"


async def test_who_waits_gets_as_much_as_is_given_to_others() -> None:
    turns, rounds, begun = Turns(each=1), Rounds(), list[tuple[int, int]]()
    loop = asyncio.get_running_loop()
    turns.make_room()  # while nobody waits, it is for nobody
    for begin in starters(rounds, begun, 8):
        turns.begin(loop, begin)
    for _ in range(3):
        turns.make_room()
    await sleep_rounds(5)
    rounds.stop()
    first = begun[0][1]
    assert [n - first for _, n in begun] == [0, 1, 1, 1, 1, 2, 3, 4]


async def test_what_fails_to_begin_holds_nobody_up() -> None:
    turns, rounds, begun, heard = Turns(), Rounds(), list[tuple[int, int]](), list[str]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: heard.append(str(context["exception"])))

    def fail() -> bool:
        raise ValueError("no")

    first, last = starters(rounds, begun, 2)
    for begin in (first, fail, last):
        turns.begin(loop, begin)
    await sleep_rounds(4)
    rounds.stop()
    assert ([n for n, _ in begun], heard) == ([0, 1], ["no"])


def test_an_event_loop_that_has_ended_is_not_kept() -> None:
    async def leave() -> "weakref.ref[asyncio.AbstractEventLoop]":
        crowd = [asyncio.create_task(TURNS.take()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not crowd[-1].done()
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(leave())
    gc.collect()
    assert loop() is None


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
