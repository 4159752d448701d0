"""Mails go on when the connections that they are sent by die without a word."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from propusk.db.engine import SILENCE
from tests.process.people import Records, new_person
from tests.process.proxy import Proxy
from tests.process.service import PATIENCE, Service
from tests.process.test_worker import worker
from tests.process.town import Town, town_on

pytestmark = pytest.mark.xdist_group("processes")
SLACK = 20
"""Seconds beyond the silence, which takes two looks into the outbox, a mail and a busy machine."""


@pytest.fixture
def far_worker(server_database: str, tmp_path: Path) -> Iterator[tuple[Town, Proxy]]:
    """A service, and `propusk worker` with its database at the end of a wire."""
    if server_database != "mariadb":
        pytest.skip("on PostgreSQL the bound of a transaction does nearly as well: 24 s where the driver's takes 19")
    with (
        town_on(server_database, tmp_path, settings={"PROPUSK_JOBS_INLINE": "false"}, workers=1) as town,
        Proxy(server_database) as proxy,
    ):
        env = {**town.service.env, "PROPUSK_DATABASE_URL": proxy.url(town.backend.url)}
        with worker(Service(tmp_path, env=env)):
            yield town, proxy


async def test_mails_go_on_soon_after_a_network_forgot_every_connection(far_worker: tuple[Town, Proxy]) -> None:
    """Without `read_timeout`, by the bound of a transaction alone, it takes 43 s: the next connection is as dead."""
    town, proxy = far_worker
    await new_person(town.port)
    await are_sent(town.records, 1, within=PATIENCE)

    proxy.forget_connections()
    await new_person(town.port)
    await are_sent(town.records, 2, within=SILENCE + SLACK)


async def are_sent(records: Records, number: int, *, within: float) -> None:
    mails = records.tables.mails
    end = time.monotonic() + within
    while len(await records.rows(mails, mails.c.state == "sent")) < number:
        assert time.monotonic() < end, f"fewer than {number} mails went out in {within} s"
        await asyncio.sleep(0.1)
