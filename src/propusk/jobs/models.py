"""Periodic work, as the installation knows it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class JobState:
    """The row of a periodic job. The fields are the columns of its table, in its order.

    `generation` is raised by whoever takes the job and again by whoever gives it back; the work of a run is committed
    only if it is still as the run began with. A run may be going on until `leased_until`; it is that moment's past
    when none is. `duration_ms` and `error`, the kind of what was raised, are of the last run that ended.
    """

    name: str
    generation: int
    leased_until: datetime
    due_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    succeeded_at: datetime | None
    duration_ms: int | None
    error: str | None
    runs: int
    failures: int
