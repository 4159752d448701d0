"""Short-lived counters, shared by every process of the installation."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from propusk.errors import TooManyRequests
from propusk.setting_types import Limit


@dataclass(frozen=True)
class Hit:
    """One attempt to count: under which name, for whom, against which limit."""

    name: str
    who: str
    limit: Limit

    @property
    def key(self) -> bytes:
        """A fixed-size key, so that nobody's choice of words decides how much we store, nor can be read there."""
        return hashlib.sha256(f"{self.name}\0{self.who}".encode()).digest()


class Store(Protocol):
    """Counters in windows. Called before the first write of a use case: they commit by themselves, whatever comes."""

    async def hit(self, hits: Sequence[Hit], *, now: datetime) -> dict[bytes, tuple[int, datetime]]:
        """Count each attempt, atomically. Returns for each key the count with this one, and when its window ends."""
        ...

    async def give_back(self, hits: Sequence[Hit], *, clear: Sequence[Hit] = (), now: datetime) -> None:
        """Uncount one attempt each, and set the counters of `clear` to nothing."""
        ...


async def check_limits(store: Store, hits: Sequence[Hit], *, now: datetime) -> None:
    """Count each attempt and refuse if one is over its limit.

    Raises:
        TooManyRequests: with the longest wait among the limits that were passed.
    """
    refuse_over(await store.hit(hits, now=now), hits, now=now)


def refuse_over(counted: Mapping[bytes, tuple[int, datetime]], hits: Sequence[Hit], *, now: datetime) -> None:
    """Refuse if one of these attempts, already counted, is over its limit.

    Raises:
        TooManyRequests: with the longest wait among the limits that were passed.
    """
    waits = [counted[hit.key][1] - now for hit in hits if counted[hit.key][0] > hit.limit.count]
    if waits:
        raise TooManyRequests(max(waits))
