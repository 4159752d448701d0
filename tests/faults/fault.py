"""A fault, played while people live: what they were told, how long it lasted, and what must never be."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.faults.cluster import Cluster
from tests.faults.row import Trial
from tests.faults.watch import watch

BEFORE = 2.0
"""Seconds in which all is well, at least, so that there is something to lose."""


def fault(
    what: str,
    on: str,
    cluster: Cluster,
    play: Callable[[], AbstractContextManager[None]],
    *,
    seconds: float,
    strike: bool = True,
    late: bool = False,
    loses: bool = False,
) -> Trial:
    """A fault that lasts `seconds`, from when `play` is entered to when it is left.

    Args:
        strike: try ended sessions at each node directly as well; not where a node does not answer.
        late: a request may reach a node long after its sender repeated it elsewhere.
        loses: the database comes back without its newest writes; the row tells how many.
    """
    return Trial(what, on, lambda: asyncio.run(_meet(cluster, play, seconds, strike, late, loses)))


async def _meet(
    cluster: Cluster,
    play: Callable[[], AbstractContextManager[None]],
    seconds: float,
    strike: bool,
    late: bool,
    loses: bool,
) -> tuple[str, ...]:
    ports = cluster.ports if strike else []
    async with watch(cluster.port, [cluster.port, *ports]) as (seen, citizens):
        await asyncio.sleep(BEFORE)
        async with asyncio.timeout(60):
            while not seen.revoked:
                await asyncio.sleep(0.1)
        begun = time.monotonic()
        context = play()
        await asyncio.to_thread(context.__enter__)
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)
        ended = time.monotonic()
        await seen.calm()
    well = max(0.0, seen.last_bad() - ended)
    what = seen.what(begun, ended + well)
    lost = sum([await one.lost() for one in citizens])
    done = sum(one.done for one in citizens)
    if loses:
        return what, f"{well:.1f} s", f"**{seen.accepted}** of {seen.strikes}", f"**{lost}** of {done}"
    assert not seen.wrong, f"{seen.wrong[0]} ({what})"
    assert seen.accepted == 0, f"{seen.accepted} of {seen.strikes} requests of ended sessions accepted"
    assert lost == 0, f"{lost} of {done} acknowledged acts were lost"
    assert late or not seen.stolen, f"{seen.stolen} living sessions were ended as stolen ({what})"
    if late:
        what += f"; {seen.stolen} sessions ended as stolen"
    return what, f"{well:.1f} s", f"0 of {seen.strikes}", f"0 of {done}"


@contextmanager
def done_once(act: Callable[[], object]) -> Iterator[None]:
    """A fault that is over as soon as it has happened."""
    act()
    yield
