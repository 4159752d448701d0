"""Threads that hash passwords, and a bounded queue in front of them."""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from propusk.errors import Overloaded

TOGETHER = 4
"""Results that are given back at once, where many wait."""


async def never() -> bool:
    """A caller who waits as long as it takes."""
    return False


def hashing_threads(workers: int) -> int:
    """How many threads one of `workers` processes should hash with: its part of the cores we may use, at least 1."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores // workers)


def _stand_back() -> None:
    """Hash only with what the event loops leave over, so that a storm of logins does not starve them of their core."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it; slower answers are better than none
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


class HashingPool:
    """Runs slow jobs in a few threads. Belongs to one event loop.

    Args:
        threads: jobs that run at once; each holds the memory of one hash.
        queue: jobs that may wait for a thread. One share (a client's network) may hold half of these places, so that
            nobody fills the queue for everybody.
        late: seconds of waiting after which a result is given back as soon as it is there: requests have a deadline.
    """

    def __init__(self, *, threads: int, queue: int, late: float = 5.0) -> None:
        self.started = 0
        self._threads = ThreadPoolExecutor(threads, "propusk-hash", initializer=_stand_back)
        self._free = asyncio.Semaphore(threads)
        self._places = queue
        self._waiting: Counter[str] = Counter()
        self._late = late
        self._queued = 0
        self._done: list[tuple[asyncio.Future[None], int]] = []

    @contextlib.contextmanager
    def expecting(self, share: str) -> Iterator[None]:
        """Hold a place while a job is prepared that is run right after, so that who finds no place is refused before
        anything is done for them.

        Raises:
            Overloaded: the queue, or this share's half of it, is full.
        """
        self._check_room(share)
        with self._place(share):
            yield

    async def run(self, share: str, job: Callable[[], Any], *, has_gone: Callable[[], Awaitable[bool]] = never) -> Any:
        """The result of `job`. A caller that is cancelled while it waits gives up its place, and nothing is computed.

        Args:
            has_gone: asked when its turn has come: whether nobody waits for the result any more. If not, `job` begins.
        Raises:
            Overloaded: the queue, or this share's half of it, is full; or they had gone, and nothing was computed.
        """
        if self._free.locked():
            self._check_room(share)
        begun, ahead = time.monotonic(), self._queued
        with self._place(share):
            await self._take_thread()
        try:
            if await has_gone():
                raise Overloaded
        except BaseException:
            self._free.release()
            raise
        try:
            result = await self._start(job)
        except BaseException:
            self._give_all()  # or they would wait for what does not come
            raise
        await self._meet_others(0 if time.monotonic() - begun > self._late else ahead // 4)
        return result

    @contextlib.contextmanager
    def _place(self, share: str) -> Iterator[None]:
        self._waiting[share] += 1
        try:
            yield
        finally:
            self._waiting[share] -= 1
            if not self._waiting[share]:
                del self._waiting[share]

    def _check_room(self, share: str) -> None:
        if self._waiting.total() >= self._places or self._waiting[share] >= max(1, self._places // 2):
            raise Overloaded

    async def _take_thread(self) -> None:
        self._queued += 1
        try:
            await self._free.acquire()
        finally:
            self._queued -= 1
            self._let_go()

    async def _meet_others(self, most: int) -> None:
        """Wait until so many results are there, or fewer where few are queued: `most` is a quarter of those who were
        ahead when this one came, so that nobody waits longer by over a quarter.

        A hash leaves nothing of ours in the caches of its core. What comes after it costs less for those who
        find there what one of them has fetched.
        """
        let_go = asyncio.get_running_loop().create_future()
        self._done.append((let_go, most))
        self._let_go()
        await let_go

    def _let_go(self) -> None:
        if len(self._done) >= min(TOGETHER, self._queued // 4, *(most for _, most in self._done)):
            self._give_all()

    def _give_all(self) -> None:
        for let_go, _ in self._done:
            if not let_go.done():  # a request that was cancelled meanwhile
                let_go.set_result(None)
        self._done.clear()

    async def _start(self, job: Callable[[], Any]) -> Any:
        self.started += 1
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, job)
        except RuntimeError:  # closed
            self._free.release()
            raise
        running.add_done_callback(lambda _: self._free.release())
        # A thread cannot be stopped: when its caller is cancelled, it is free only once the job is done.
        return await asyncio.shield(running)

    def close(self) -> None:
        """Take no more jobs; threads end with the one they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._give_all()
