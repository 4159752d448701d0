"""Redis counts; while it is away, the database does. It is never open, and nobody waits for Redis twice.

What is counted in two places is not counted exactly, so this is the bound: in any window at most twice the limit
pass, once what Redis let pass and once what the database did, whatever happens to Redis and however often. For that,
Redis knows since when it has known of every attempt; while that is less than a window ago, the database is asked too.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from weakref import WeakKeyDictionary

from propusk.setting_redis import RedisServer
from propusk.store import Hit, Store
from propusk.store.redis import RedisAway, RedisStore

log = logging.getLogger(__name__)
T = TypeVar("T")
Counted = dict[bytes, tuple[int, datetime]]

AT_ONCE = 16
"""Questions to Redis at the same time, and so connections of one process."""


class FallbackStore:
    """`Store` over two.

    Args:
        redis: what counts.
        database: what counts while the first is away, and as long as it may not know of every attempt.
        pause: seconds without Redis before one attempt tries it again.
    """

    def __init__(self, redis: RedisStore, database: Store, *, pause: float = 3.0) -> None:
        self._redis = redis
        self._database = database
        self._pause = pause
        self._retry_at: float | None = None  # by the loop's clock; None while Redis answers
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._counted_in: WeakKeyDictionary[Hit, tuple[Store, ...]] = WeakKeyDictionary()

    async def hit(self, hits: Sequence[Hit], *, now: datetime) -> Counted:
        answer = await self._try(lambda: self._redis.count(hits, now=now), now)
        counted, since = answer or ({}, None)
        doubtful = [hit for hit in hits if since is None or since + hit.limit.window > now]
        for hit in hits:
            in_redis: tuple[Store, ...] = (self._redis,) if answer else ()
            self._counted_in[hit] = (*in_redis, self._database) if hit in doubtful else in_redis
        if not doubtful:
            return counted
        for key, found in (await self._database.hit(doubtful, now=now)).items():
            counted[key] = max(counted.get(key, found), found)
        return counted

    async def give_back(self, hits: Sequence[Hit], *, clear: Sequence[Hit] = (), now: datetime) -> None:
        """Where each was counted, and nowhere else: a count there is another attempt's. What Redis cannot be told
        stays counted until its window ends.
        """
        back, cleared = self._of(self._redis, hits), self._of(self._redis, clear)
        if back or cleared:
            await self._try(lambda: self._redis.give_back(back, clear=cleared, now=now), now)
        back_there, cleared_there = self._of(self._database, hits), self._of(self._database, clear)
        if back_there or cleared_there:
            await self._database.give_back(back_there, clear=cleared_there, now=now)

    async def health(self) -> Mapping[str, bool]:
        return await self._redis.health()

    async def close(self) -> None:
        """Give back the connections to Redis, and end what the database is counting."""
        await self._database.close()
        await self._redis.close()
        self._gate = asyncio.Semaphore(AT_ONCE)  # the old one belongs to this event loop

    def _of(self, store: Store, hits: Sequence[Hit]) -> list[Hit]:
        return [hit for hit in hits if store in self._counted_in.get(hit, ())]

    async def _try(self, ask: Callable[[], Awaitable[T]], now: datetime) -> T | None:
        """What Redis says; None if it is away. Who waited for their turn while it went away does not try, too."""
        if self._is_away():
            return None
        async with self._gate:
            if self._is_away():
                return None
            returning = self._retry_at is not None
            if returning:
                self._retry_at = self._later()  # the others go on without, until this one knows
            try:
                if returning:
                    await self._redis.begin_anew(now=now)
                answer = await ask()
            except RedisAway as error:
                self._leave(error)
                return None
            if returning:
                self._return()
            return answer

    def _is_away(self) -> bool:
        return self._retry_at is not None and asyncio.get_running_loop().time() < self._retry_at

    def _leave(self, error: RedisAway) -> None:
        if self._retry_at is None:
            log.warning("Redis is away (%s): the database counts until it is back", error)
        self._retry_at = self._later()

    def _return(self) -> None:
        self._retry_at = None
        log.warning("Redis is back and counts again")

    def _later(self) -> float:
        return asyncio.get_running_loop().time() + self._pause


def with_redis(server: RedisServer, database: Store, *, installation: str) -> FallbackStore:
    """A store in this Redis, and in the database while it is away."""
    return FallbackStore(RedisStore(server, installation=installation), database)
