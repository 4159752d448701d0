"""Threads that hash passwords, and a bounded queue in front of them."""

import asyncio
import contextlib
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from propusk.errors import Overloaded


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
    """

    def __init__(self, *, threads: int, queue: int) -> None:
        self.started = 0
        self._threads = ThreadPoolExecutor(threads, "propusk-hash", initializer=_stand_back)
        self._free = asyncio.Semaphore(threads)
        self._places = queue
        self._waiting: Counter[str] = Counter()

    async def run(self, share: str, job: Callable[[], Any]) -> Any:
        """The result of `job`. A caller that is cancelled while it waits gives up its place, and nothing is computed.

        Raises:
            Overloaded: the queue, or this share's half of it, is full.
        """
        if self._free.locked():
            self._check_room(share)
        self._waiting[share] += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting[share] -= 1
            if not self._waiting[share]:
                del self._waiting[share]
        return await self._start(job)

    def _check_room(self, share: str) -> None:
        if self._waiting.total() >= self._places or self._waiting[share] >= max(1, self._places // 2):
            raise Overloaded

    async def _start(self, job: Callable[[], Any]) -> Any:
        self.started += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, job)
        running.add_done_callback(lambda _: self._free.release())
        # A thread cannot be stopped: when its caller is cancelled, it is free only once the job is done.
        return await asyncio.shield(running)

    def close(self) -> None:
        """Take no more jobs; threads end with the one they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)
