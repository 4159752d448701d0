"""A rolling restart: every node is stopped and started, one after another, while people are served."""

import asyncio
import time
from collections.abc import Iterator

from tests.faults.balancer import CHECKED
from tests.faults.cluster import Cluster
from tests.faults.row import Trial
from tests.faults.watch import watch


def rolling(cluster: Cluster, on: str) -> Iterator[Trial]:
    """With a load of its own."""
    yield Trial("rolling restart, twice over", on, lambda: asyncio.run(_restart(cluster)))


async def _restart(cluster: Cluster) -> tuple[str]:
    async with watch(cluster.port, cluster.ports[:0], people=12) as (seen, citizens):
        await asyncio.sleep(2)
        begun = time.monotonic()
        for node in [*cluster.nodes] * 2:
            status = await asyncio.to_thread(node.service.stop)
            assert status == 0, f"it ended with {status}"
            await asyncio.to_thread(node.service.start, timeout=60)
            await asyncio.sleep(CHECKED)
        ended = time.monotonic()
    what = seen.what(begun, ended)
    assert not seen.wrong, seen.wrong[0]
    lost = sum([await one.lost() for one in citizens])
    assert lost == 0, f"{lost} acknowledged acts were lost"
    failed = sum(one.what not in ("200", "201", "204") for one in seen.seen)
    assert failed == 0, f"{failed} failed: {what}"
    return (f"0 failed of {len(seen.seen)} requests",)
