"""Counters in Redis or Valkey: a script for all counters of an attempt, in one trip, at once or not at all."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from propusk.db.counters import latest_end
from propusk.setting_redis import RedisServer
from propusk.store import Hit
from propusk.store.redis_client import open_client

PATIENCE = 0.4
"""Seconds: a login waits as long for a Redis that hangs, and no longer."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ALL = 2**31 - 1
"""More than any counter holds."""

# Times are microseconds since 1970 by our clock: Redis' own decides nothing but when a counter's memory is freed. Lua
# has them as doubles, which hold them to the microsecond until 2255; they are kept and answered as text, as Lua would
# write them with 14 digits. What is further away than a right clock can have put it begins anew, as in the database.
_COUNT = """
local now = tonumber(ARGV[1])
local far = tonumber(ARGV[2])
local since = redis.call('GET', KEYS[1])
if not since or tonumber(since) > far then
  since = ARGV[1]
  redis.call('SET', KEYS[1], since)
end
local answer = {since}
for i = 2, #KEYS do
  local ends = redis.call('HGET', KEYS[i], 'end')
  if not ends or tonumber(ends) <= now or tonumber(ends) > far then
    ends = ARGV[2 * i - 1]
    redis.call('HSET', KEYS[i], 'n', 0, 'end', ends)
    redis.call('PEXPIRE', KEYS[i], ARGV[2 * i])
  end
  answer[2 * i - 2] = redis.call('HINCRBY', KEYS[i], 'n', 1)
  answer[2 * i - 1] = ends
end
return answer
"""
_UNCOUNT = """
local now = tonumber(ARGV[1])
for i = 1, #KEYS do
  local held = redis.call('HMGET', KEYS[i], 'n', 'end')
  if held[2] and tonumber(held[2]) > now then
    redis.call('HSET', KEYS[i], 'n', math.max(0, tonumber(held[1]) - tonumber(ARGV[i + 1])))
  end
end
"""


class RedisAway(Exception):
    """Redis gave no answer in time, or none that is of use. The text says which, and no secret."""


class RedisStore:
    """`Store` in Redis alone; every method raises RedisAway where it can only give up.

    All keys have one hash tag, as the script for several of them needs them in one place: in a cluster, all counters
    of an installation are on one of its shards.

    Args:
        installation: what no other installation with the same Redis is called: neither may clear the other's counts.
        patience: seconds that one question may take, connecting included; then Redis counts as away.
    """

    def __init__(self, server: RedisServer, *, installation: str, patience: float = PATIENCE) -> None:
        self._open = partial(open_client, server, timeout=patience)
        self._client: Any  # redis-py types the scripts' arguments as text, and has two classes
        self._client, self._sentinels = self._open()
        self._patience = patience
        self._tag = b"{propusk:%s}:" % hashlib.sha256(installation.encode()).hexdigest()[:16].encode()
        self._since = self._tag + b"since"

    async def hit(self, hits: Sequence[Hit], *, now: datetime) -> dict[bytes, tuple[int, datetime]]:
        return (await self.count(hits, now=now))[0]

    async def count(self, hits: Sequence[Hit], *, now: datetime) -> tuple[dict[bytes, tuple[int, datetime]], datetime]:
        """What `hit` returns, and since when Redis has known of every attempt: since it was empty, or `begin_anew`."""
        windows = {hit.key: hit.limit.window for hit in hits}
        arguments = [_number(now), _number(latest_end(max(windows.values()), now))]
        for window in windows.values():
            arguments += [_number(now + window), -(window // -timedelta(milliseconds=1))]
        since, *answer = await self._run(_COUNT, [self._since, *self._keys(windows)], arguments)
        counts = zip(answer[::2], answer[1::2], strict=True)
        return {k: (n, _time(end)) for k, (n, end) in zip(windows, counts, strict=True)}, _time(since)

    async def give_back(self, hits: Sequence[Hit], *, clear: Sequence[Hit] = (), now: datetime) -> None:
        taken = dict.fromkeys((hit.key for hit in hits), 1) | dict.fromkeys((hit.key for hit in clear), _ALL)
        await self._run(_UNCOUNT, self._keys(taken), [_number(now), *taken.values()])

    async def begin_anew(self, *, now: datetime) -> None:
        """Attempts were counted elsewhere until now: what Redis knows is all there is only from here on."""
        await self._ask(self._client.set(self._since, _number(now)))

    async def check(self) -> None:
        """Find our way to it and ask something."""
        await self._ask(self._client.get(self._since))

    async def evicts(self) -> bool:
        """Whether it throws counters out to make room. A cluster is not asked, as it would answer for each node."""
        memory = await self._ask(self._client.info("memory"))
        return bool(memory.get("maxmemory")) and memory.get("maxmemory_policy") != "noeviction"

    async def health(self) -> Mapping[str, bool]:
        try:
            await self.check()
        except RedisAway:
            return {"redis": False}
        return {"redis": True}

    async def close(self) -> None:
        """Give back every connection."""
        clients = self._client, *self._sentinels
        self._client, self._sentinels = self._open()  # the old ones have locks that belong to this event loop
        for client in clients:
            await client.aclose()

    def _keys(self, keys: Mapping[bytes, object]) -> list[bytes]:
        return [self._tag + key for key in keys]

    async def _run(self, script: str, keys: Sequence[bytes], arguments: Sequence[int]) -> Any:
        digest = _DIGESTS[script]
        given = (len(keys), *keys, *arguments)
        try:
            return await self._ask(self._client.evalsha(digest, *given))
        except NoScriptError:  # it was restarted, or sees us for the first time
            return await self._ask(self._client.eval(script, *given))

    async def _ask(self, question: Any) -> Any:
        try:
            async with asyncio.timeout(self._patience):
                return await question
        except NoScriptError:
            raise
        except (RedisError, OSError, TimeoutError) as error:
            raise RedisAway((str(error).splitlines() or [""])[0][:200] or type(error).__name__) from error


_DIGESTS = {script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest() for script in (_COUNT, _UNCOUNT)}


def _number(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _time(number: bytes) -> datetime:
    return _EPOCH + int(number) * _MICROSECOND
