"""The loops that run what is due: mails one after another, and periodic jobs beside each other."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from propusk.context import Transaction, brief
from propusk.crypto.secrets import Entropy
from propusk.db.dialect import is_away
from propusk.jobs import queries
from propusk.jobs.lease import LEASE, ends_us, held_until, run_if_due, time_until_due
from propusk.jobs.models import JobState
from propusk.mail.queries import is_any_due
from propusk.registry import Periodic

log = logging.getLogger(__name__)
POLL = timedelta(seconds=5)
"""How often the outbox is looked into by who was not woken."""
BLUR = timedelta(milliseconds=800)
"""At most between a wake and the mail it is about."""
LOOK = timedelta(seconds=30)
"""How often the jobs are looked at when none is due before."""
GRACE = timedelta(seconds=5)
"""How long what is under way may take to end when the process is to stop; then it is broken off."""
_BREATH = timedelta(milliseconds=50)
_SOON = timedelta(seconds=1)


class Worker:
    """Runs mails and periodic jobs, in one process of several. A slow job delays neither the others nor the mails.

    `lease` is how long a run of ours counts as going on without a sign of life. `is_awaited` is set by who counts on
    the app's start for us to run.

    Args:
        transaction: for work.
        glance: for a look at what there is to do, which is to cost as little as it can.
        periodic: the jobs; more may be added at any time.
        deliver: sends the next mail that is due; False when there is none.
        entropy: n random bytes.
    """

    def __init__(
        self,
        transaction: Transaction,
        glance: Transaction,
        periodic: Sequence[Periodic],
        deliver: Callable[[], Awaitable[bool]],
        entropy: Entropy,
    ) -> None:
        self._transaction = transaction
        self._brief = brief(transaction)
        self._glance = brief(glance)
        self._periodic = list(periodic)
        self._deliver = deliver
        self._entropy = entropy
        self.lease = LEASE
        self._running: set[str] = set()
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget that we were stopped; an event belongs to the event loop that waited for it."""
        self.is_awaited = False
        self._stopping = asyncio.Event()
        self._mail_came = asyncio.Event()
        self._jobs_changed = asyncio.Event()
        self._delivering = asyncio.Lock()

    @property
    def periodic(self) -> Sequence[Periodic]:
        """The jobs that this process may run."""
        return tuple(self._periodic)

    def add(self, job: Periodic) -> None:
        """One more periodic job, which is due at once.

        Raises:
            ValueError: there is one of that name.
        """
        if any(known.name == job.name for known in self._periodic):
            raise ValueError(f"two jobs of one name: {job.name}")
        self._periodic.append(job)
        self._jobs_changed.set()

    def wake(self) -> None:
        """There is mail: send it within `BLUR`, not at the next look."""
        if self.is_awaited:
            self.is_awaited = False
            log.warning(
                "a mail waits, and nothing here sends it: the app was not started. One that is mounted inside another"
                " never is: enter auth.running() in the outer lifespan, or turn jobs_inline off and run a worker"
            )
        self._mail_came.set()

    async def run_due(self) -> None:
        """Everything that is due now, once, one after another."""
        states, _ = await self._states()
        for job in self._periodic:
            await run_if_due(self._transaction, job, states[job.name], lease=self.lease)
        await self.send_due()

    async def send_due(self) -> None:
        """Every mail that is due now, one after another; and the one that is under way, if we run beside it."""
        while await self._deliver_next():
            pass

    async def _deliver_next(self) -> bool:
        async with self._delivering:
            return await self._deliver()

    @asynccontextmanager
    async def running(
        self, *, poll: timedelta = POLL, processes: int = 1, grace: timedelta = GRACE
    ) -> AsyncIterator[None]:
        """Work beside what happens inside.

        Args:
            poll: how often to look into the outbox unless woken.
            processes: how many of us take turns at that.
            grace: how long what is under way at the end may go on; then it is broken off.
        """
        self._begin_anew()
        task = asyncio.create_task(self.run_forever(poll=poll, processes=processes))
        try:
            yield
        finally:
            self.stop()
            await asyncio.wait([task], timeout=grace.total_seconds())
            task.cancel()
            # What does not even end when it is cancelled must not keep the process.
            await asyncio.wait([task], timeout=GRACE.total_seconds())
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                log.error("the jobs ended by themselves", exc_info=error)

    def stop(self) -> None:
        """Begin nothing any more: `run_forever` returns when what is under way has ended."""
        self._stopping.set()
        self._mail_came.set()
        self._jobs_changed.set()

    async def run_forever(self, *, poll: timedelta = POLL, processes: int = 1) -> None:
        """Go on until stopped or cancelled. A database that is away is waited for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_forever(poll, processes))
            group.create_task(self._run_jobs_forever(group))

    async def _send_forever(self, poll: timedelta, processes: int) -> None:
        # Processes that start together have numbers that follow each other: each has its own turn.
        came, pause = True, poll * (1 + os.getpid() % processes)
        while not self._stopping.is_set():
            self._mail_came.clear()
            try:
                if came or await self._mail_is_due():
                    await self._send_all()
            except BaseException as error:
                if ends_us(error):
                    raise
                _complain("the outbox could not be worked on", error)
            came, pause = await _wait(self._mail_came, pause), poll * processes
            if came:
                # A stranger's request costs this process some milliseconds more where there is somebody to write to:
                # at a moment that nobody knows, nobody can wait for them.
                await _wait(self._stopping, BLUR * int.from_bytes(self._entropy(2)) / 2**16)

    async def _mail_is_due(self) -> bool:
        async with self._glance() as ctx:
            return await is_any_due(ctx)

    async def _send_all(self) -> None:
        while not self._stopping.is_set() and await self._deliver_next():
            pass

    async def _run_jobs_forever(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping.is_set():
            self._jobs_changed.clear()
            try:
                pause = await self._begin_due(group)
            except BaseException as error:
                if ends_us(error):
                    raise
                _complain("the jobs could not be looked at", error)
                pause = POLL
            # Who always has more to do leaves others the time to come in between.
            await asyncio.sleep(_BREATH.total_seconds())
            await _wait(self._jobs_changed, pause - _BREATH)

    async def _begin_due(self, group: asyncio.TaskGroup) -> timedelta:
        """Begin the jobs that are due, each by itself; returns how long there is nothing to do."""
        states, now = await self._states()
        pauses = [LOOK]
        for job in self._periodic:
            if job.name in self._running or self._stopping.is_set():
                continue
            state = states[job.name]
            if (wait := time_until_due(job, state, now, self.lease)) <= timedelta(0):
                self._running.add(job.name)
                group.create_task(self._run_job(job, state))
            elif held_until(state, now, self.lease) > now:
                # Another runs it. Once it is through, we want to know when the next time is, and not by the lease.
                pauses.append(min(wait, max(job.every, _SOON)))
            else:
                pauses.append(wait)
        return min(pauses)

    async def _run_job(self, job: Periodic, state: JobState) -> None:
        try:
            await run_if_due(self._transaction, job, state, lease=self.lease)
        except BaseException as error:
            if ends_us(error):
                raise
            _complain(f"job {job.name} could not be run", error)
            await _wait(self._stopping, POLL)
        finally:
            self._running.discard(job.name)
            self._jobs_changed.set()

    async def _states(self) -> tuple[dict[str, JobState], datetime]:
        """The states of all jobs, those that the database does not know yet included, and the time."""
        async with self._glance() as ctx:
            states = {state.name: state for state in await queries.list_jobs(ctx)}
            now = ctx.now
        if all(job.name in states for job in self._periodic):
            return states, now
        async with self._brief() as ctx:
            for job in self._periodic:
                if job.name not in states:
                    await queries.insert_job(ctx, job.name)
            return {state.name: state for state in await queries.list_jobs(ctx)}, ctx.now


async def _wait(event: asyncio.Event, longest: timedelta) -> bool:
    """Wait until the event is set, at most so long; says whether it was."""
    try:
        async with asyncio.timeout(longest.total_seconds()):
            return await event.wait()
    except TimeoutError:
        return False


def _complain(what: str, error: BaseException) -> None:
    """A database that is away is no fault of ours, and says so again and again."""
    if is_away(error) or isinstance(error, TimeoutError):
        log.warning("%s: the database is away (%s)", what, type(error).__name__)
    else:
        log.error(what, exc_info=error)
