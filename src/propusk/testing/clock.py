"""A clock that a test moves."""

from datetime import datetime, timedelta

from propusk.db.clock import DatabaseClock

_MOMENT = timedelta(microseconds=1)


class Clock:
    """Call it for the time, as `create_auth(clock=…)` does. It goes by a microsecond each time, so that what happened
    earlier is earlier, and waits for the test to do more.

    Args:
        now: where it begins, aware; by default at the real time.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or DatabaseClock()()

    def __call__(self) -> datetime:
        self.now += _MOMENT
        return self.now

    def forward(self, **span: float) -> None:
        """Move on: `forward(minutes=11)`.

        Args:
            span: as for `timedelta`: `weeks`, `days`, `hours`, `minutes`, `seconds`, …
        """
        self.now += timedelta(**span)
