"""One run of a periodic job, by one process of all."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from propusk.context import Context, Transaction, brief
from propusk.errors import AuthError
from propusk.jobs import queries
from propusk.jobs.models import JobState
from propusk.registry import Periodic

log = logging.getLogger(__name__)
LEASE = timedelta(seconds=10)
"""How long a run counts as going on without a sign of life: after so long, another process takes over."""


class Refused(Exception):
    """A job raised a refusal, of which some would keep their writes: those of a job are kept by its end alone."""


class LeaseLost(Exception):
    """Somebody else took over meanwhile: nothing of this run may be kept."""


def held_until(state: JobState, now: datetime, lease: timedelta = LEASE) -> datetime:
    """Until when somebody has the job; `now` or before when nobody does.

    A lease that ends later than twice its length from now is of a clock that was ahead, and counts for nothing.
    """
    return now if state.leased_until > now + 2 * lease else state.leased_until


def time_until_due(job: Periodic, state: JobState, now: datetime, lease: timedelta = LEASE) -> timedelta:
    """How long there is nothing to do about a job; nothing or less when it may be run.

    One that is due later than its rhythm has room for was put off by a clock that was wrong, or had a slower rhythm.
    """
    is_put_off = state.due_at > now + job.every + LEASE
    held = held_until(state, now, lease)
    return (held if is_put_off else max(state.due_at, held)) - now


def next_due(due_at: datetime, every: timedelta, now: datetime) -> datetime:
    """The first time after `now` in the rhythm that the job has: what was missed is not made up for."""
    return now + every - (now - due_at) % every


def _kind(error: BaseException) -> str:
    """What is shown of an error: no text of it, which may hold anything."""
    return type(error.__cause__ if isinstance(error, Refused) else error).__name__[:300]


def ends_us(error: BaseException) -> bool:
    """Whether this task or the process is to end, as opposed to a library that lets its own cancellation escape."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(error, KeyboardInterrupt)


async def run_if_due(transaction: Transaction, job: Periodic, state: JobState, *, lease: timedelta = LEASE) -> bool:
    """Run a job once if it is due and free; says whether we did.

    The effects and the end of the lease are one transaction: a process that was frozen for longer than the lease, and
    goes on, fails to commit. What it did outside the database has then happened twice.
    """
    async with brief(transaction)() as ctx:
        if time_until_due(job, state, ctx.now, lease) > timedelta(0):
            return False
        if not await queries.claim_job(ctx, state, lease=lease):
            return False
    run = _Run(transaction, job, state.due_at, state.generation + 1, lease)
    try:
        await run.work()
    except LeaseLost:
        log.warning("job %s gave no sign of life for longer than its lease: the work of this run is dropped", job.name)
    except GeneratorExit:
        raise
    except BaseException as error:
        if ends_us(error):
            await run.give_back()
            raise
        log.exception("job %s failed", job.name)
        await run.note_failure(error)
    return True


@dataclass
class _Run:
    """A run under way: the lease is ours as long as the row has this generation."""

    transaction: Transaction
    job: Periodic
    due_at: datetime
    generation: int
    lease: timedelta
    started: float = field(default_factory=time.monotonic)
    is_ending: bool = False

    async def work(self) -> None:
        """Do the work and give the lease back, both or neither.

        Raises:
            LeaseLost
        """
        scope = asyncio.timeout(None)
        try:
            async with scope, self._kept_alive(scope), self.transaction() as ctx:
                more = await self._call(ctx)
                self.is_ending = True
                ended = ctx.now + self._took()
                due_at = ctx.now if more else next_due(self.due_at, self.job.every, ended)
                if not await self._finish(ctx, due_at=due_at, at=ended, error=None):
                    raise LeaseLost
        except TimeoutError:
            if scope.expired():
                raise LeaseLost from None
            raise

    async def _call(self, ctx: Context) -> bool:
        try:
            return await self.job.run(ctx) is True
        except AuthError as refusal:
            raise Refused(type(refusal).__name__) from refusal

    async def note_failure(self, error: BaseException) -> None:
        """The run failed: note by what, and let the job rest until its next time."""
        async with brief(self.transaction)() as ctx:
            due_at = next_due(self.due_at, self.job.every, ctx.now)
            await self._finish(ctx, due_at=due_at, at=ctx.now, error=_kind(error))

    async def _finish(self, ctx: Context, *, due_at: datetime, at: datetime, error: str | None) -> bool:
        name, took = self.job.name, self._took()
        return await queries.finish_job(ctx, name, self.generation, due_at=due_at, at=at, took=took, error=error)

    async def give_back(self) -> None:
        """The run was broken off because this process ends: let another begin it anew at once."""
        try:
            async with asyncio.timeout(1), self.transaction() as ctx:
                await queries.release_job(ctx, self.job.name, self.generation)
        except Exception:
            log.warning("job %s could not be given back; others wait for its lease to end", self.job.name)

    def _took(self) -> timedelta:
        return timedelta(seconds=time.monotonic() - self.started)

    @asynccontextmanager
    async def _kept_alive(self, scope: asyncio.Timeout) -> AsyncIterator[None]:
        """Renew the lease while the run goes on; break the run off when it is lost."""
        task = asyncio.create_task(self._renew(scope))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _renew(self, scope: asyncio.Timeout) -> None:
        while True:
            await asyncio.sleep(self.lease.total_seconds() / 3)
            try:
                async with brief(self.transaction)() as ctx:
                    kept = await queries.renew_lease(ctx, self.job.name, self.generation, until=ctx.now + self.lease)
            except Exception:
                log.warning("the lease of job %s could not be renewed", self.job.name, exc_info=True)
                continue
            if not kept:
                # At its end the run finds out by itself, and may have given the lease back in this moment.
                if not self.is_ending:
                    scope.reschedule(0)
                return
