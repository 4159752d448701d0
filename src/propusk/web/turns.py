"""One dear request begins in each round of the event loop, so that a crowd does not stand before all others."""

import asyncio
from collections import deque
from weakref import WeakKeyDictionary


class _Turns:
    """Of one event loop."""

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._is_taken:
            turn = loop.create_future()
            self._waiting.append(turn)
            await turn
        else:
            self._is_taken = True
            loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_taken = False
        while self._waiting and not self._is_taken:
            turn = self._waiting.popleft()
            if not turn.done():  # a request that was cancelled meanwhile
                turn.set_result(None)
                self._is_taken = True
                loop.call_soon(self._next, loop)


_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


async def take_turn() -> None:
    """Wait until it is one's turn to begin: at once, unless another one began in this round.

    asyncio runs all that is ready before it looks for anything new: hundreds of logins that come at once would all be
    read, and refused, before somebody else is told who they are.
    """
    loop = asyncio.get_running_loop()
    if (turns := _TURNS.get(loop)) is None:
        turns = _TURNS[loop] = _Turns()
    await turns.take(loop)
