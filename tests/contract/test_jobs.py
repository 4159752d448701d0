"""One tick of a periodic job is run by one worker of all, and kept once, whatever happens to that worker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert

from propusk.context import Context
from propusk.db.dialect import changed
from propusk.errors import TooManyRequests
from propusk.jobs import queries
from propusk.jobs.lease import LEASE, held_until, next_due, run_if_due, time_until_due
from propusk.jobs.models import JobState
from propusk.jobs.worker import LOOK, Worker
from propusk.registry import Periodic
from tests.kit import FakeClock, House, in_some_round, until

MINUTE = timedelta(minutes=1)
Act = Callable[[Context], Awaitable[Any]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def write_line(ctx: Context) -> None:
    """What a job does here: a row for each tick."""
    line = ctx.entropy(32)
    await changed(ctx.db, insert(ctx.tables.counters).values(key=line, count=1, resets_at=ctx.now))


def job(run: Act = write_line, *, every: timedelta = MINUTE) -> Periodic:
    return Periodic("test.tick", every, run)


async def state_of(house: House, name: str = "test.tick") -> JobState:
    states: list[JobState] = await house.do(queries.list_jobs)
    return next(state for state in states if state.name == name)


async def new_state(house: House) -> JobState:
    await house.do(lambda ctx: queries.insert_job(ctx, "test.tick"))
    return await state_of(house)


async def lines(house: House) -> int:
    return len(await house.rows("counters"))


async def run(house: House, what: Periodic, state: JobState) -> bool:
    return await run_if_due(house.auth.transaction, what, state)


def worker(house: House, *jobs: Periodic) -> Worker:
    async def no_mail() -> bool:
        return False

    return Worker(house.auth.transaction, house.auth.glance, jobs, no_mail, house.auth.entropy)


async def test_of_many_who_see_a_job_due_one_runs_it(house: House) -> None:
    state = await new_state(house)

    ran = await asyncio.gather(*(run(house, job(), state) for _ in range(4)))

    assert sorted(ran) == [False, False, False, True]
    assert await lines(house) == 1
    assert (await state_of(house)).runs == 1


async def test_who_saw_it_due_before_it_was_run_does_not_run_it_after(house: House) -> None:
    state = await new_state(house)
    assert await run(house, job(), state)

    assert not await run(house, job(), state)
    house.clock.tick(seconds=59)
    assert not await run(house, job(), await state_of(house))
    house.clock.tick(seconds=1)
    assert await run(house, job(), await state_of(house))
    assert await lines(house) == 2


async def test_a_holder_that_was_frozen_for_longer_than_its_lease_keeps_nothing(house: House) -> None:
    state = await new_state(house)

    async def freeze(ctx: Context) -> None:
        house.clock.tick(seconds=LEASE.total_seconds())
        assert await run(house, job(), await state_of(house)), "another takes over"
        await write_line(ctx)

    assert await run(house, job(freeze), state)
    assert await lines(house) == 1
    assert (await state_of(house)).runs == 1


async def test_nor_when_the_other_has_finished_and_a_third_has_begun(house: House) -> None:
    state = await new_state(house)

    async def freeze(ctx: Context) -> None:
        house.clock.tick(seconds=LEASE.total_seconds())
        assert await run(house, job(), await state_of(house))
        house.clock.tick(minutes=1)
        third = await state_of(house)
        assert await house.do(lambda ctx: queries.claim_job(ctx, third, lease=LEASE))
        await write_line(ctx)

    assert await run(house, job(freeze), state)
    assert await lines(house) == 1
    assert (await state_of(house)).leased_until == house.clock() + LEASE, "the third still has it"


async def test_who_saw_the_lease_lapse_does_not_run_what_the_holder_has_finished_since(house: House) -> None:
    state = await new_state(house)
    seen: list[JobState] = []

    async def linger(ctx: Context) -> None:
        house.clock.tick(seconds=LEASE.total_seconds())
        seen.append(await state_of(house))
        await write_line(ctx)

    assert await run(house, job(linger), state)
    assert await lines(house) == 1, "nobody else was there, so its work counts"
    assert not await run(house, job(), seen[0])
    assert await lines(house) == 1


async def test_while_the_lease_lasts_nobody_else_runs_it(house: House) -> None:
    state = await new_state(house)
    await house.do(lambda ctx: queries.claim_job(ctx, state, lease=LEASE))
    house.clock.tick(seconds=LEASE.total_seconds() - 1)
    assert not await run(house, job(), await state_of(house))
    house.clock.tick(seconds=1)
    assert await run(house, job(), await state_of(house))


async def test_a_sign_of_life_that_comes_after_the_end_does_not_take_the_job_again(house: House) -> None:
    state = await new_state(house)
    await run(house, job(), state)

    renewed = await house.do(
        lambda ctx: queries.renew_lease(ctx, "test.tick", state.generation + 1, until=ctx.now + LEASE)
    )

    assert not renewed
    assert (await state_of(house)).leased_until == house.clock()


async def test_who_lives_keeps_the_lease_for_as_long_as_it_takes(house: House) -> None:
    state, lease = await new_state(house), timedelta(seconds=0.6)

    async def is_renewed() -> bool:
        return (await state_of(house)).leased_until == house.clock() + lease

    async def take_long(ctx: Context) -> None:
        for _ in range(5):
            house.clock.tick(seconds=0.5)
            await until(is_renewed)
            assert not await run(house, job(), await state_of(house))
        await write_line(ctx)

    assert await run_if_due(house.auth.transaction, job(take_long), state, lease=lease)
    assert (await lines(house), (await state_of(house)).failures) == (1, 0)


async def test_who_lost_the_lease_is_broken_off_before_the_end(house: House) -> None:
    state = await new_state(house)

    async def hang(_ctx: Context) -> None:
        house.clock.tick(seconds=LEASE.total_seconds())
        assert await run(house, job(), await state_of(house))
        await asyncio.Event().wait()

    async with asyncio.timeout(60):
        assert await run_if_due(house.auth.transaction, job(hang), state, lease=timedelta(seconds=0.3))
    assert (await lines(house), (await state_of(house)).runs) == (1, 1)


class Quits(BaseException):
    """What no `except Exception` sees."""


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, SystemExit, Quits, TimeoutError])
async def test_a_failure_is_noted_undone_and_rests_until_the_next_time(
    house: House, error: type[BaseException]
) -> None:
    state = await new_state(house)

    async def fail(ctx: Context) -> None:
        await write_line(ctx)
        raise error("zq7canary: what it says is nobody's business")

    assert await run(house, job(fail), state)

    noted = await state_of(house)
    assert await lines(house) == 0
    assert (noted.runs, noted.failures, noted.error, noted.succeeded_at) == (1, 1, error.__name__, None)
    assert (noted.due_at, noted.leased_until) == (house.clock() + MINUTE, house.clock())
    house.clock.tick(minutes=1)
    assert await run(house, job(), noted)
    after = await state_of(house)
    assert (after.runs, after.failures, after.error, after.succeeded_at) == (2, 1, None, after.finished_at)


async def test_a_refusal_that_would_keep_its_writes_keeps_none_here(house: House) -> None:
    state = await new_state(house)

    class Kept(TooManyRequests):
        keeps_writes = True

    async def fail(ctx: Context) -> None:
        await write_line(ctx)
        raise Kept(timedelta(seconds=1))

    await run(house, job(fail), state)
    assert await lines(house) == 0
    assert (await state_of(house)).error == "Kept"


async def test_a_run_that_is_broken_off_leaves_nothing_and_is_due_for_others_at_once(house: House) -> None:
    state, begun = await new_state(house), asyncio.Event()

    async def hang(ctx: Context) -> None:
        await write_line(ctx)
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(run(house, job(hang), state))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert await lines(house) == 0
    assert await run(house, job(), await state_of(house))
    assert await lines(house) == 1


async def test_a_job_whose_row_is_gone_keeps_nothing_and_is_made_known_again(house: House) -> None:
    state = await new_state(house)

    async def lose_row(ctx: Context) -> None:
        await house.do(lambda other: changed(other.db, delete(other.tables.jobs)))
        await write_line(ctx)

    assert await run(house, job(lose_row), state)
    assert await lines(house) == 0
    await worker(house, job()).run_due()
    assert await lines(house) == 1


async def test_more_to_do_is_done_at_once(house: House) -> None:
    left = [1, 2, 3]

    async def take_one(ctx: Context) -> bool:
        await write_line(ctx)
        left.pop()
        return bool(left)

    someone = worker(house, job(take_one))
    for _ in range(5):
        await someone.run_due()
    assert (await lines(house), (await state_of(house)).runs) == (3, 3)


def test_the_next_time_is_in_the_rhythm_and_what_was_missed_is_not_made_up_for(clock: FakeClock) -> None:
    due = clock()
    for late, then in ((0, 60), (1, 60), (59.9, 60), (60, 120), (3601, 3660)):
        assert next_due(due, MINUTE, due + timedelta(seconds=late)) == due + timedelta(seconds=then)


async def test_a_job_that_got_a_faster_rhythm_does_not_wait_for_the_slower_one(house: House) -> None:
    state = await new_state(house)
    await run(house, job(every=timedelta(days=1)), state)
    house.clock.tick(seconds=30)

    assert not await run(house, job(every=timedelta(days=1)), await state_of(house))
    assert await run(house, job(every=MINUTE), await state_of(house))
    assert time_until_due(job(every=MINUTE), await state_of(house), house.clock()) == timedelta(seconds=30)


async def test_a_lease_of_a_clock_that_was_ahead_holds_nobody_off(house: House) -> None:
    state = await new_state(house)
    house.clock.tick(days=1)
    await house.do(lambda ctx: queries.claim_job(ctx, state, lease=LEASE))
    house.clock.tick(days=-1)

    left_behind = await state_of(house)
    assert held_until(left_behind, house.clock()) == house.clock()
    assert await run(house, job(), left_behind)
    assert await lines(house) == 1


async def test_a_lease_that_was_renewed_since_we_looked_at_the_clock_holds_us_off(house: House) -> None:
    """Who waits for a row may find a lease that was begun later than the time that they know."""
    state = await new_state(house)
    house.clock.tick(seconds=9)
    await house.do(lambda ctx: queries.claim_job(ctx, state, lease=LEASE))
    house.clock.tick(seconds=-9)

    assert not await run(house, job(), await state_of(house))


async def test_a_slow_job_delays_no_other(house: House) -> None:
    released, other = asyncio.Event(), asyncio.Event()

    async def slow(_ctx: Context) -> None:
        await released.wait()

    async def quick(_ctx: Context) -> None:
        other.set()

    jobs = Periodic("test.slow", MINUTE, slow), Periodic("test.quick", MINUTE, quick)
    async with asyncio.timeout(60), worker(house, *jobs).running(grace=MINUTE):
        await other.wait()
        assert (await state_of(house, "test.slow")).runs == 0
        released.set()
    assert (await state_of(house, "test.slow")).runs == 1, "what was under way could end"


async def test_a_job_may_be_added_while_the_worker_runs_and_not_twice(house: House) -> None:
    ran = asyncio.Event()

    async def tick(_ctx: Context) -> None:
        ran.set()

    someone = worker(house)
    # Less than `LOOK`: it is told, and need not look.
    async with asyncio.timeout(LOOK.total_seconds() / 2), someone.running():
        await until(lambda: someone._jobs_changed._waiters)
        someone.add(job(tick))
        with pytest.raises(ValueError, match=r"test\.tick"):
            someone.add(job(tick))
        await ran.wait()


async def test_what_escapes_from_a_job_ends_neither_the_others_nor_the_mail(house: House) -> None:
    async def fail(_ctx: Context) -> None:
        raise asyncio.CancelledError

    sent, ticks = asyncio.Event(), asyncio.Event()

    async def deliver() -> bool:
        sent.set()
        return False

    async def tick(_ctx: Context) -> None:
        ticks.set()

    someone = Worker(
        house.auth.transaction, house.auth.glance, [Periodic("test.bad", MINUTE, fail), job(tick)], deliver, bytes
    )
    async with asyncio.timeout(60), someone.running(poll=timedelta(hours=1)):
        await ticks.wait()
        await until(lambda: not someone._running)
        sent.clear()
        someone.wake()
        await sent.wait()
    assert (await state_of(house, "test.bad")).error == "CancelledError"


@pytest.mark.parametrize(("drawn", "least", "most"), [(b"\xff", 0.75, 3), (b"\0", 0, 0.5)])
async def test_t02_a_wake_is_followed_by_mail_after_a_time_that_is_drawn(
    house: House, drawn: bytes, least: float, most: float
) -> None:
    """Whoever is served by this process while a mail is written waits for it, if there is somebody to write to."""
    looked = asyncio.Event()

    async def deliver() -> bool:
        looked.set()
        return False

    someone = Worker(house.auth.transaction, house.auth.glance, [], deliver, lambda size: drawn * size)
    clock = asyncio.get_running_loop().time
    async with someone.running(poll=timedelta(hours=1)):
        for _ in range(10):
            await until(lambda: someone._mail_came._waiters)
            looked.clear()
            begun = clock()
            someone.wake()
            async with asyncio.timeout(60):
                await looked.wait()
            took = clock() - begun
            assert took > least
            if took < most:  # one of ten, as a busy machine may take its time as well
                return
    pytest.fail("it always came too late")


async def test_a_worker_that_stops_gives_the_work_a_moment_and_breaks_it_off_then(house: House) -> None:
    begun = asyncio.Event()

    async def hang(ctx: Context) -> None:
        await write_line(ctx)
        begun.set()
        await asyncio.Event().wait()

    async def is_given_back() -> bool:
        house.clock.tick(seconds=LEASE.total_seconds())
        begun.clear()
        running = worker(house, job(hang)).running(grace=timedelta(milliseconds=200))
        async with asyncio.timeout(60), running:
            await begun.wait()
        state = await state_of(house)
        assert (await lines(house), state.runs) == (0, 0)
        return state.leased_until == house.clock()

    assert await in_some_round(is_given_back), "else others wait for the lease to end"


async def test_idle_it_asks_once_for_each_look_and_for_nothing_else(house: House) -> None:
    someone = worker(house, job(every=timedelta(hours=1)))
    await someone.run_due()
    clock, poll = asyncio.get_running_loop().time, timedelta(milliseconds=200)
    with house.statements() as seen:
        begun = clock()
        async with someone.running(poll=poll):
            await until(lambda: len([statement for statement in seen if "propusk_mails" in statement]) >= 3)
        looks = (clock() - begun) / poll.total_seconds()

    about_jobs = [statement for statement in seen if "propusk_jobs" in statement]
    about_mails = [statement for statement in seen if "propusk_mails" in statement]
    assert len(about_jobs) == 1
    assert len(about_mails) <= looks
    assert len(seen) == len(about_jobs) + len(about_mails)
    assert all(statement.startswith("SELECT") for statement in seen)


async def test_a_database_that_is_away_is_waited_for(house: House) -> None:
    is_away, ran = True, asyncio.Event()

    @asynccontextmanager
    async def glance() -> AsyncIterator[Context]:
        if is_away:
            raise ConnectionRefusedError
        async with house.auth.glance() as ctx:
            yield ctx

    async def tick(_ctx: Context) -> None:
        ran.set()

    async def no_mail() -> bool:
        return False

    someone = Worker(house.auth.transaction, glance, [job(tick)], no_mail, bytes)
    async with asyncio.timeout(60), someone.running():
        await asyncio.sleep(0.3)
        assert not ran.is_set()
        is_away = False
        someone.add(Periodic("test.other", MINUTE, write_line))
        await ran.wait()
