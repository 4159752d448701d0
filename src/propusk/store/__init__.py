"""Short-lived counters, shared by every process of the installation."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol

from propusk.errors import TooManyRequests
from propusk.setting_types import Limit


@dataclass(frozen=True, eq=False)
class Hit:
    """One attempt to count: under which name, for whom, against which limit. Two attempts are never the same one, so
    give back the very object that was counted: a store may remember where.
    """

    name: str
    who: str
    limit: Limit

    @cached_property
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

    async def health(self) -> Mapping[str, bool]:
        """What it uses beside the database, by name, and whether that answers. Nothing here is needed to go on."""
        ...

    async def close(self) -> None:
        """Give back connections of its own."""
        ...


def by_network(name: str, network: str, limit: Limit, *, account: str = "") -> list[Hit]:
    """The attempt as one from this network (at this account, if it says one); none where there is no network."""
    return [Hit(name, f"{account} {network}" if account else network, limit)] if network else []


async def check_limits(store: Store, hits: Sequence[Hit], *, now: datetime) -> None:
    """Count each attempt, if there is one, and refuse if one is over its limit.

    Raises:
        TooManyRequests: with the longest wait among the limits that were passed.
    """
    if hits:
        refuse_over(await store.hit(hits, now=now), hits, now=now)


def is_over(counted: Mapping[bytes, tuple[int, datetime]], hits: Iterable[Hit]) -> bool:
    """Whether one of these attempts, already counted, is over its limit."""
    return any(counted[hit.key][0] > hit.limit.count for hit in hits)


def refuse_over(counted: Mapping[bytes, tuple[int, datetime]], hits: Sequence[Hit], *, now: datetime) -> None:
    """Refuse if one of these attempts, already counted, is over its limit.

    Raises:
        TooManyRequests: with the longest wait among the limits that were passed.
    """
    waits = [counted[hit.key][1] - now for hit in hits if is_over(counted, [hit])]
    if waits:
        raise TooManyRequests(max(waits))
