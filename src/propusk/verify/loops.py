"""State that belongs to an event loop: a verifier made at import may serve one loop after another, as in tests."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One `T` for each event loop, made when it is first asked for."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def here(self) -> T:
        """That of the running loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            self._made = {old: made for old, made in self._made.items() if not old.is_closed()}
            self._made[loop] = self._make()
        return self._made[loop]
