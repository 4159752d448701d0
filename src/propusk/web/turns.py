"""Some things begin in each round of the event loop, and the rest wait, so that a crowd does not stand before others.

asyncio runs all that is ready before it looks for anything new. What a crowd of hundreds has sent would all be read,
and every login of it begun, before somebody else is told who they are.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

Begin = Callable[[], bool]
"""Begins something; False when there is nothing to begin any more, and the turn is the next one's."""


class Turns:
    """Turns of one kind in one event loop, in the order they are asked for.

    Args:
        each: how many begin in each round.
    """

    def __init__(self, each: int = 1) -> None:
        self._each = each
        self._room = each  # of this round
        self._extra = 0  # for the next one
        self._is_counting = False
        self._waiting: deque[Begin] = deque()

    def begin(self, loop: asyncio.AbstractEventLoop, begin: Begin) -> None:
        """Call `begin` when its turn has come: at once, unless enough began in this round."""
        if not self._is_counting:
            self._is_counting = True
            loop.call_soon(self._next_round, loop)
        if not self._room:
            self._waiting.append(begin)
        elif begin():
            self._room -= 1

    def make_room(self) -> None:
        """Let one more begin in the next round, as somebody else was served in this one. Where many are, rounds are
        long, and who waits shall not wait for ever.
        """
        if self._waiting:
            self._extra += 1

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._room, self._extra = self._each + self._extra, 0
        self._is_counting = bool(self._waiting)
        if self._is_counting:
            loop.call_soon(self._next_round, loop)
        while self._waiting and self._room:
            if self._waiting.popleft()():
                self._room -= 1


class TurnsOfLoops:
    """Turns of one kind, for each event loop its own. See `Turns`."""

    def __init__(self, each: int = 1) -> None:
        self._each = each
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()

    def of(self, loop: asyncio.AbstractEventLoop) -> Turns:
        """Those of this one."""
        if (turns := self._loops.get(loop)) is None:
            turns = self._loops[loop] = Turns(self._each)
        return turns

    async def take(self) -> None:
        """Wait for one's turn."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()

        def begin() -> bool:
            if turn.done():  # a request that was cancelled meanwhile
                return False
            turn.set_result(None)
            return True

        self.of(loop).begin(loop, begin)
        await turn
