"""Many who ask at the same moment: one trip, and each hears what is theirs."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from propusk.db.batches import Batches
from tests.kit import until


class Server:
    """Answers each thing with its double, and remembers which came together. Waits to be let go, if told to."""

    def __init__(self, *, error: BaseException | None = None) -> None:
        self.seen: list[list[int]] = []
        self.error = error
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def act(self, things: list[int]) -> Sequence[int]:
        self.seen.append(things)
        await self.let_go.wait()
        error, self.error = self.error, None
        if error is not None:
            raise error
        return [2 * thing for thing in things]


async def begin() -> None:
    """Let what was asked for so far be under way."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_who_comes_at_once_goes_together_and_each_hears_their_own() -> None:
    server = Server()
    batches = Batches(server.act)

    assert await asyncio.gather(*(batches.do(n) for n in (3, 1, 3))) == [6, 2, 6]

    assert server.seen == [[3, 1, 3]]


async def test_who_comes_while_a_batch_is_under_way_is_in_the_next() -> None:
    server = Server()
    server.let_go.clear()
    batches = Batches(server.act)
    first = batches.do(1)
    await begin()
    later = [batches.do(2), batches.do(3)]
    await begin()
    assert server.seen == [[1]], "what is asked for now must begin after now"

    server.let_go.set()

    assert [await first, *[await each for each in later]] == [2, 4, 6]
    assert server.seen == [[1], [2, 3]]


async def test_a_batch_has_its_bound_and_the_rest_follow_in_their_order() -> None:
    server = Server()
    batches = Batches(server.act, most=2)

    assert await asyncio.gather(*(batches.do(n) for n in range(5))) == [0, 2, 4, 6, 8]

    assert server.seen == [[0, 1], [2, 3], [4]]


async def test_what_is_cancelled_before_its_turn_is_not_done() -> None:
    server = Server()
    batches = Batches(server.act)
    kept, cancelled = batches.do(1), batches.do(2)
    cancelled.cancel()

    assert await kept == 2

    assert server.seen == [[1]]


async def test_where_all_are_cancelled_nothing_is_asked() -> None:
    server = Server()
    batches = Batches(server.act)
    batches.do(1).cancel()
    await begin()

    assert server.seen == []
    assert await batches.do(2) == 4


async def test_what_is_cancelled_under_way_spoils_nothing_for_others() -> None:
    server = Server()
    server.let_go.clear()
    batches = Batches(server.act)
    cancelled, kept = batches.do(1), batches.do(2)
    await begin()
    cancelled.cancel()
    server.let_go.set()

    assert await kept == 4
    assert cancelled.cancelled()


async def test_what_goes_wrong_is_told_to_all_of_its_batch_and_to_nobody_else() -> None:
    server = Server(error=ValueError("no"))
    server.let_go.clear()
    batches = Batches(server.act)
    failed = [batches.do(1), batches.do(2)]
    await begin()
    later = batches.do(3)
    server.let_go.set()

    found = await asyncio.gather(*failed, later, return_exceptions=True)

    assert [type(each) for each in found[:2]] == [ValueError, ValueError]
    assert found[2] == 6


async def test_who_waits_behind_a_batch_that_timed_out_waits_no_longer() -> None:
    server = Server(error=TimeoutError())
    server.let_go.clear()
    batches = Batches(server.act)
    asked = [batches.do(1)]
    await begin()
    asked.append(batches.do(2))
    server.let_go.set()

    found = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(each) for each in found] == [TimeoutError, TimeoutError]
    assert server.seen == [[1]]
    assert await batches.do(3) == 6


async def test_who_waits_when_it_is_closed_hears_of_it_begun_or_not() -> None:
    server = Server()
    server.let_go.clear()
    batches = Batches(server.act)
    begun = batches.do(1)
    await begin()
    queued = batches.do(2)
    await batches.close()
    unstarted = batches.do(3)
    await batches.close()

    found = await asyncio.gather(begun, queued, unstarted, return_exceptions=True)

    assert [type(each) for each in found] == [RuntimeError] * 3
    server.let_go.set()
    assert await batches.do(4) == 8
    assert server.seen == [[1], [4]]


async def test_a_batch_that_is_cancelled_leaves_nobody_waiting() -> None:
    """As the end of an event loop does."""
    server = Server()
    server.let_go.clear()
    batches = Batches(server.act)
    asked = [batches.do(1)]
    await begin()
    asked.append(batches.do(2))
    [task] = asyncio.all_tasks() - {asyncio.current_task()}
    task.cancel()

    found = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(each) for each in found] == [RuntimeError] * 2
    assert server.seen == [[1]]


async def test_a_batch_that_is_stuck_holds_up_the_next_for_so_long_and_no_longer() -> None:
    stuck = asyncio.Event()
    seen: list[list[int]] = []

    async def act(things: list[int]) -> Sequence[int]:
        seen.append(things)
        if things == [1]:
            await stuck.wait()
        return things

    clock = asyncio.get_running_loop().time
    batches, begun = Batches(act, patience=0.05), clock()
    first = batches.do(1)
    await begin()
    later = [batches.do(2), batches.do(3)]

    assert [await each for each in later] == [2, 3]
    assert clock() - begun >= 0.049
    assert await batches.do(4) == 4
    assert not first.done()
    stuck.set()
    assert await first == 1
    assert await batches.do(5) == 5
    assert seen == [[1], [2, 3], [4], [5]]


async def test_a_batch_that_was_not_waited_for_any_more_lets_nobody_in_when_it_ends() -> None:
    ends = {1: asyncio.Event(), 2: asyncio.Event(), 3: asyncio.Event()}
    seen: list[list[int]] = []

    async def act(things: list[int]) -> Sequence[int]:
        seen.append(things)
        await ends[things[0]].wait()
        return things

    batches = Batches(act, patience=0.05)
    asked = [batches.do(1)]
    await begin()
    batches._queue()._patience = None  # the second is waited for, however long this test takes
    asked.append(batches.do(2))
    await until(lambda: len(seen) == 2)
    ends[1].set()
    assert await asked[0] == 1
    asked.append(batches.do(3))
    await begin()
    assert seen == [[1], [2]]
    for end in ends.values():
        end.set()
    assert await asyncio.gather(*asked) == [1, 2, 3]


@pytest.mark.parametrize(("answers", "unanswered"), [([], 2), ([1], 1), ([1, 2, 3], 0)])
async def test_a_wrong_number_of_answers_leaves_nobody_waiting(answers: list[int], unanswered: int) -> None:
    async def act(_things: list[int]) -> Sequence[int]:
        return answers

    batches = Batches(act)
    found = await asyncio.gather(batches.do(1), batches.do(2), return_exceptions=True)
    assert sum(isinstance(each, ValueError) for each in found) == unanswered


async def test_what_is_done_for_all_is_in_nobodys_context() -> None:
    caller = ContextVar("caller", default="nobody")

    async def act(things: list[int]) -> Sequence[str]:
        return [caller.get() for _ in things]

    batches = Batches(act)
    caller.set("ada")
    assert await batches.do(1) == "nobody"


def test_an_event_loop_that_ended_is_forgotten() -> None:
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def act(things: list[int]) -> Sequence[int]:
        return things

    batches = Batches(act, patience=60)

    async def ask() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await batches.do(1)

    for _ in range(3):
        asyncio.run(ask())
    gc.collect()
    assert [loop() for loop in loops] == [None] * 3


def test_each_event_loop_has_its_own() -> None:
    """A test client runs requests in loops of several threads, and ends one with things under way."""
    both = threading.Barrier(2, timeout=10)

    async def act(things: list[int]) -> Sequence[int]:
        await asyncio.to_thread(both.wait)
        return [2 * thing for thing in things]

    batches = Batches(act)
    found: dict[int, int] = {}

    async def ask(n: int) -> int:
        return await asyncio.wait_for(batches.do(n), 20)

    def run(n: int) -> None:
        found[n] = asyncio.run(ask(n))

    threads = [threading.Thread(target=run, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {1: 2, 2: 4}
