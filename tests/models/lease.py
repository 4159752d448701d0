"""One tick of a periodic job, kept once: whoever runs it, dies or freezes in the middle, and is overtaken.

Mirrors `run_if_due`, `_Run.work`, `_Run._renew` and `_Run.give_back` (jobs/lease.py) with `claim_job`, `renew_lease`,
`finish_job` and `release_job` (jobs/queries.py). A process that is frozen is one whose next step is far away: nothing
says how long. The clock may be read long before the statement that uses it.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tests.models.explore import (
    Found,
    Program,
    Rows,
    World,
    act,
    choose,
    commit,
    explore,
    insert,
    read,
    rollback,
    update,
)
from tests.models.model import Model

LEASE, EVERY, LAST = 1, 2, 2
"""Ticks of the clock: of the lease, of the rhythm, and how many there are."""


class Job(NamedTuple):
    """The row; and, to be checked by, who took it last, and whether that run is over."""

    generation: int = 0
    leased_until: int = 0
    due: int = 0
    by: str = ""
    over: bool = True


WORKERS = ("one", "two")
ROWS: Rows = {"job": Job(), "clock": 0} | {f"tick of {name}": None for name in WORKERS}
BUGS = {
    "commit without the generation": "the work is committed by who was overtaken, too",
    "effects before the end": "the work and the end of the lease are two transactions",
    "claim without the generation": "who claims the job asks whether it is free, not whether it is as it was read",
    "end keeps the generation": "the end of a run gives the lease back and leaves the generation",
}


def worker(bug: str | None, name: str) -> Program:
    """Looks once, and runs the job if it is due; may die of it, or be asked to end."""
    job = yield read("list_jobs", lambda rows: rows["job"])
    now = yield read("now", lambda rows: rows["clock"])
    if max(job.due, job.leased_until) > now:
        return
    if not (yield update("claim_job", "job", partial(_is_free, bug, job, now), partial(_taken, job, now, name))):
        yield rollback()
        return
    yield commit()
    mine = job.generation + 1
    yield insert("work", f"tick of {name}", job.due)
    if bug == "effects before the end":
        yield commit()
    raised = mine + (bug != "end keeps the generation")
    match (yield choose("the process", "goes on", "dies", "is asked to end")):
        case "dies":
            yield rollback()
            return
        case "is asked to end":
            yield rollback()
            now = yield read("now", lambda rows: rows["clock"])
            yield update("release_job", "job", lambda j: j.generation == mine, lambda j: Job(raised, now, j.due))
            yield commit()
        case _:
            now = yield read("now", lambda rows: rows["clock"])
            ended = yield update(
                "finish_job",
                "job",
                lambda j: j.generation == mine or bug == "commit without the generation",
                lambda j: Job(raised, now, now + EVERY - (now - job.due) % EVERY),
            )
            yield commit() if ended else rollback()


def _is_free(bug: str | None, seen: Job, now: int, job: Job) -> bool:
    free = job.leased_until <= now or job.leased_until > now + 2 * LEASE
    return free and (job.generation == seen.generation or bug == "claim without the generation")


def _taken(seen: Job, now: int, name: str, job: Job) -> Job:
    return Job(seen.generation + 1, now + LEASE, job.due, name, over=False)


def renewal(name: str) -> Program:
    """A sign of life, which may be on its way for long."""
    mine = yield act(
        "run",
        lambda rows: [(rows, rows["job"].generation)] if (rows["job"].by, rows["job"].over) == (name, False) else [],
    )
    now = yield read("now", lambda rows: rows["clock"])
    yield update("renew_lease", "job", lambda j: j.generation == mine, lambda j: j._replace(leased_until=now + LEASE))
    yield commit()


def clock() -> Program:
    for _ in range(LAST):
        yield act("tick", lambda rows: [({**rows, "clock": rows["clock"] + 1}, None)])


def check(world: World) -> str | None:
    rows: Rows = dict(world.rows)
    kept = [rows[f"tick of {name}"] for name in WORKERS if rows[f"tick of {name}"] is not None]
    if len(kept) > len(set(kept)):
        return "one tick was kept twice"
    if rows["job"].over and rows["job"].leased_until > rows["clock"]:
        return "the job is held by a run that has ended"
    return None


def explore_all(bug: str | None = None) -> Found:
    actors: dict[str, Callable[[], Program]] = {f"worker {name}": partial(worker, bug, name) for name in WORKERS}
    actors |= {"renewal": partial(renewal, WORKERS[0]), "clock": clock}
    return explore(ROWS, actors, check=check, may_wait={"renewal"})


MODEL = Model("lease with a generation", "run_if_due, renew_lease, finish_job, release_job", explore_all, BUGS)
