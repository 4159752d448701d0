"""The issuer's keys as the verifier keeps them: cached, renewed in time, and never lost to a bad answer."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from propusk.verify.http import Fetch, Request
from propusk.verify.jwks import UnusableKeys, VerifyKey, lifetime, read_keys
from propusk.verify.loops import PerLoop
from propusk.verify.refusals import InvalidToken, IssuerUnavailable

log = logging.getLogger("propusk.verify")

LEAST, MOST = 30.0, 3600.0
"""Seconds for which keys are kept at least and at most, whatever the issuer's Cache-Control says."""
FIRST_PAUSE = 1.0
"""Seconds between two attempts while there is no key at all."""


@dataclass
class _Flight:
    """A request for the keys that is on its way, or the last one."""

    task: asyncio.Task[None] | None = None


class KeySource:
    """Finds keys by their ids.

    Args:
        url: of the key set.
        pause: seconds between two requests for it, however many unknown ids come along.
        max_stale: seconds since the last good answer after which its keys are not used any more.
        timeout: seconds for one request.
        timer: seconds that only grow.
    """

    def __init__(
        self,
        url: str,
        *,
        fetch: Fetch,
        algorithms: Collection[str],
        pause: float,
        max_stale: float,
        timeout: float,
        timer: Callable[[], float],
    ) -> None:
        self._url = url
        self._fetch = fetch
        self._algorithms = algorithms
        self._pause = pause
        self._max_stale = max_stale
        self._timeout = timeout
        self._timer = timer
        self._keys: Mapping[str, VerifyKey] = {}
        self._read_at = self._ahead_at = self._lapses_at = self._next_at = float("-inf")
        self._failing = False
        self._flights = PerLoop(_Flight)

    async def find(self, kid: str) -> VerifyKey:
        """The key of this id, exactly.

        Raises:
            InvalidToken: the issuer has no such key.
            IssuerUnavailable: there are no keys yet, only too old ones, or the id is not among old ones.
        """
        await self._keep_fresh()
        if self._is_stale():
            await self._renewed()
        if self._is_stale():
            raise IssuerUnavailable("the issuer's keys cannot be read")
        if kid not in self._keys:
            await self._renewed()
        if (found := self._keys.get(kid)) is not None:
            return found
        if self._failing:
            raise IssuerUnavailable("an unknown key, and the issuer's keys cannot be read anew")
        raise InvalidToken("unknown key")

    async def _keep_fresh(self) -> None:
        """Wait for new keys once the old ones have lapsed, so that a revoked one goes in time; ask ahead of that, and
        when the issuer is known to be away, without anybody waiting.
        """
        now = self._timer()
        if now >= self._lapses_at and not self._failing:
            await self._renewed()
        elif now >= self._ahead_at or self._failing:
            self._renew()

    def _is_stale(self) -> bool:
        return self._timer() > self._read_at + self._max_stale

    async def _renewed(self) -> None:
        """Wait for the request that is on its way, or for a new one if it may be sent."""
        task = self._renew()
        if task is not None:
            await asyncio.shield(task)

    def _renew(self) -> asyncio.Task[None] | None:
        flight = self._flights.here()
        if flight.task is not None and not flight.task.done():
            return flight.task
        if self._timer() < self._next_at:
            return None
        self._next_at = self._timer() + (self._pause if self._keys else min(FIRST_PAUSE, self._pause))
        flight.task = asyncio.create_task(self._read(), name="propusk.verify keys")
        return flight.task

    async def _read(self) -> None:
        """Replace the keys, or keep them if there are no good new ones. Never raises, so that nobody need look."""
        request = Request("GET", self._url, {"Accept": "application/json", "Connection": "close"})
        asked_at = self._timer()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._fetch(request)
            keys = read_keys(response, self._algorithms)
        except Exception as error:
            self._failing = True
            why = str(error) if isinstance(error, UnusableKeys) else type(error).__name__
            log.warning("the keys at %s cannot be read: %s", self._url, why)
            return
        self._keys, self._failing = keys, False
        self._read_at = asked_at
        kept = lifetime(response, least=LEAST, most=min(MOST, self._max_stale))
        self._ahead_at, self._lapses_at = asked_at + kept * 0.8, asked_at + kept
        self._next_at = self._timer() + self._pause
