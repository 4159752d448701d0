"""Some things begin in each round of the event loop, and the rest wait, so that a crowd does not stand before others.

asyncio runs all that is ready before it looks for anything new. What a crowd of hundreds has sent would all be read,
and every login of it begun, before somebody else is told who they are.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

Begin = Callable[[], object]


class Turns:
    """Turns of one kind, in the order they are asked for; in each event loop by themselves.

    Args:
        share: seconds of each round that what begins may take; one begins in each, however long it takes.
        clock: monotonic, in seconds.
    """

    def __init__(self, share: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()

    def begin(self, begin: Begin) -> None:
        """Call `begin` when its turn has come: at once, unless enough began in this round."""
        loop = asyncio.get_running_loop()
        if (turns := self._loops.get(loop)) is None:
            turns = self._loops[loop] = _Turns(self._share, self._clock)
        turns.begin(loop, begin)

    async def take(self) -> None:
        """Wait for one's turn."""
        turn = asyncio.get_running_loop().create_future()

        def begin() -> None:
            if not turn.done():  # a request that was cancelled meanwhile
                turn.set_result(None)

        self.begin(begin)
        await turn


class _Turns:
    """Of one event loop."""

    def __init__(self, share: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._clock = clock
        self._end: float | None = None  # of this round's share; None before anything began
        self._waiting: deque[Begin] = deque()

    def begin(self, loop: asyncio.AbstractEventLoop, begin: Begin) -> None:
        if not self._waiting and self._has_room():
            self._begin(loop, begin)
        else:
            self._waiting.append(begin)

    def _has_room(self) -> bool:
        return self._end is None or self._clock() < self._end

    def _begin(self, loop: asyncio.AbstractEventLoop, begin: Begin) -> None:
        if self._end is None:
            self._end = self._clock() + self._share
            loop.call_soon(self._next_round, loop)
        begin()

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._end = None
        while self._waiting and self._has_room():
            self._begin(loop, self._waiting.popleft())
