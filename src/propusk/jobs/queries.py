"""SQL about periodic jobs, one statement a function."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, or_, select, update

from propusk.context import Context
from propusk.db.dialect import changed, insert_if_absent, read
from propusk.jobs.models import JobState


async def insert_job(ctx: Context, name: str) -> bool:
    """Make a job known, due at once; False when it is known already."""
    values = {"name": name, "generation": 0, "leased_until": ctx.now, "due_at": ctx.now, "runs": 0, "failures": 0}
    return await insert_if_absent(ctx.db, ctx.tables.jobs, values)


async def list_jobs(ctx: Context) -> list[JobState]:
    """The jobs that the installation knows, by name."""
    j = ctx.tables.jobs
    return [JobState(*row) for row in await read(ctx.db, select(*j.c).order_by(j.c.name))]


async def claim_job(ctx: Context, state: JobState, *, lease: timedelta) -> bool:
    """Take a job that is as `state` says; False when somebody else did, or has it still.

    A lease that ends further away than a right clock can have put it holds nobody off. Twice the length, because we may
    have waited for the row since we looked at the clock, while its holder renewed.
    """
    j = ctx.tables.jobs
    free = or_(j.c.leased_until <= ctx.now, j.c.leased_until > ctx.now + 2 * lease)
    mine = (j.c.name == state.name, j.c.generation == state.generation, free)
    values = {"generation": state.generation + 1, "leased_until": ctx.now + lease, "started_at": ctx.now}
    return await changed(ctx.db, update(j).where(*mine).values(**values)) == 1


async def renew_lease(ctx: Context, name: str, generation: int, *, until: datetime) -> bool:
    """Keep a lease; False when it was lost, or given back."""
    j = ctx.tables.jobs
    statement = update(j).where(j.c.name == name, j.c.generation == generation)
    return await changed(ctx.db, statement.values(leased_until=until)) == 1


async def release_job(ctx: Context, name: str, generation: int) -> bool:
    """Give a job back whose run was broken off, as due as it was; False when the lease was lost."""
    j = ctx.tables.jobs
    statement = update(j).where(j.c.name == name, j.c.generation == generation)
    return await changed(ctx.db, statement.values(generation=generation + 1, leased_until=ctx.now)) == 1


async def finish_job(
    ctx: Context, name: str, generation: int, *, due_at: datetime, at: datetime, took: timedelta, error: str | None
) -> bool:
    """Give a job back and note how the run went; False when the lease was lost.

    Args:
        due_at: when it is to be run next.
        at: when the run ended.
        took: how long it lasted.
        error: the kind of what was raised; None for a success.
    """
    j = ctx.tables.jobs
    values: dict[str, Any] = {
        # Raised, so that a sign of life that is on its way does not take the job again.
        "generation": generation + 1,
        "leased_until": ctx.now,
        "due_at": due_at,
        "finished_at": at,
        "duration_ms": round(took.total_seconds() * 1000),
        "error": error,
        "runs": j.c.runs + 1,
    }
    values |= {"succeeded_at": at} if error is None else {"failures": j.c.failures + 1}
    statement = update(j).where(j.c.name == name, j.c.generation == generation)
    return await changed(ctx.db, statement.values(**values)) == 1


async def forget_jobs(ctx: Context, *, due_before: datetime) -> int:
    """Forget jobs that nobody has run since then: no process has them any more. Returns how many."""
    j = ctx.tables.jobs
    return await changed(ctx.db, delete(j).where(j.c.due_at < due_before, j.c.leased_until < due_before))


async def delete_counters(ctx: Context, *, limit: int) -> int:
    """Delete counters whose window has passed, at most `limit`; returns how many were found."""
    c = ctx.tables.counters
    found = await read(ctx.db, select(c.c.key).where(c.c.resets_at <= ctx.now).limit(limit))
    # In the order in which they are counted, so that nobody waits for us who holds what we wait for; and only if they
    # have not been counted anew meanwhile.
    rows = [{"passed": key, "now": ctx.now} for key in sorted(bytes(key) for key in found.scalars())]
    if rows:
        await changed(ctx.db, delete(c).where(c.c.key == bindparam("passed"), c.c.resets_at <= bindparam("now")), rows)
    return len(rows)
