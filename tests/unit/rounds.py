"""The rounds of the event loop, counted."""

import asyncio


class Rounds:
    """Counts the rounds of the event loop that runs."""

    def __init__(self) -> None:
        self.count = 0
        self._turn()

    def _turn(self) -> None:
        self.count += 1
        self._handle = asyncio.get_running_loop().call_soon(self._turn)

    def stop(self) -> None:
        """Count no more."""
        self._handle.cancel()
