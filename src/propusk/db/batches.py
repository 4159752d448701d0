"""What is asked for at the same moment is done in one go: sixteen requests pay for one trip to the database."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from functools import partial
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
R = TypeVar("R")
Act = Callable[[list[T]], Awaitable[Sequence[R]]]


class Batches(Generic[T, R]):
    """One batch is under way, and who comes meanwhile is in the next; so for each event loop that asks.

    Args:
        act: does several things in one go; returns what came of each, in their order. What it raises is raised to
            everybody whose thing it was. A TimeoutError is for those who wait as well: they have waited as long.
        most: so many in one go.
        patience: seconds after which the next batch waits no longer for one that is stuck. By default it does.
    """

    def __init__(self, act: Act[T, R], *, most: int | None = None, patience: float | None = None) -> None:
        self._act = act
        self._most = most
        self._patience = patience
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue[T, R]] = WeakKeyDictionary()

    def do(self, thing: T) -> "asyncio.Future[R]":
        """What comes of a thing, begun after this call. One that is cancelled before its turn is not done."""
        return self._queue().add(thing)

    async def close(self) -> None:
        """Give up what this event loop has under way or in the queue: RuntimeError to who waits for it."""
        await self._queue().close()

    def _queue(self) -> "_Queue[T, R]":
        loop = asyncio.get_running_loop()
        if (queue := self._queues.get(loop)) is None:
            queue = self._queues[loop] = _Queue(self._act, self._most, self._patience)
        return queue


class _Queue(Generic[T, R]):
    """The batches of one event loop. Idle, it holds nothing of that, or the loop would stay for ever."""

    def __init__(self, act: Act[T, R], most: int | None, patience: float | None) -> None:
        self._act = act
        self._most = most
        self._patience = patience
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._waited_for: asyncio.Task[None] | None = None

    def add(self, thing: T) -> "asyncio.Future[R]":
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((thing, future))
        self._begin()
        return future

    def _begin(self) -> None:
        if not self._waiting or self._waited_for is not None:
            return
        loop = asyncio.get_running_loop()
        batch: list[tuple[T, asyncio.Future[R]]] = []
        # Not in the context of who came first: what is logged is about all of them.
        task = self._waited_for = loop.create_task(self._run(batch), context=Context())
        self._under_way.add(task)
        timer = None if self._patience is None else loop.call_later(self._patience, self._go_on_without, task)
        task.add_done_callback(partial(self._end, batch, timer))

    async def _run(self, batch: "list[tuple[T, asyncio.Future[R]]]") -> None:
        batch += [(thing, future) for thing, future in self._waiting[: self._most] if not future.done()]
        self._waiting[: self._most] = []
        answers = await self._act([thing for thing, _ in batch]) if batch else ()
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _end(
        self, batch: "list[tuple[T, asyncio.Future[R]]]", timer: asyncio.TimerHandle | None, task: "asyncio.Task[None]"
    ) -> None:
        self._under_way.discard(task)
        if timer is not None:
            timer.cancel()
        error = RuntimeError("given up") if task.cancelled() else task.exception()
        if error is not None:
            # Everybody must hear of it, or they would wait for ever.
            _fail(batch, error)
            if task.cancelled() or isinstance(error, TimeoutError):
                self._fail_waiting(error)
        self._go_on_without(task)

    def _go_on_without(self, task: "asyncio.Task[None]") -> None:
        if self._waited_for is task:
            self._waited_for = None
            self._begin()

    def _fail_waiting(self, error: BaseException) -> None:
        waiting, self._waiting = self._waiting, []
        _fail(waiting, error)

    async def close(self) -> None:
        under_way = list(self._under_way)
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)


def _fail(batch: "Sequence[tuple[T, asyncio.Future[R]]]", error: BaseException) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error if isinstance(error, Exception) else RuntimeError("given up"))
