"""How many connections a process may open, in all."""

from pathlib import Path

import pytest
from sqlalchemy import QueuePool

from propusk.db.engine import split_connections
from propusk.db.engines import open_engines
from tests.kit import make_settings


@pytest.mark.parametrize("most", [5, 6, 7, 15, 16, 1000])
def test_use_cases_counters_and_the_reader_share_what_the_setting_allows(most: int) -> None:
    use_cases, counters = split_connections(most)
    assert use_cases + counters + 1 == most
    assert min(use_cases, counters) >= 2


async def test_the_pools_are_as_large_as_that_and_never_larger(tmp_path: Path) -> None:
    settings = make_settings("postgresql://nobody@127.0.0.1:1/none", tmp_path, database_connections=7)
    engines = open_engines(settings)
    pools = [engine.pool for engine in (engines.main, engines.counters)]
    assert all(isinstance(pool, QueuePool) and pool._max_overflow == 0 for pool in pools)
    assert [pool.size() for pool in pools if isinstance(pool, QueuePool)] == list(split_connections(7))
    await engines.close()
