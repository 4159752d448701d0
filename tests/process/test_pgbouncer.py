"""Through PgBouncer in transaction mode, each transaction may be on another connection of the server."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backends import is_reachable
from tests.faults.bouncer import is_installed, pgbouncer
from tests.process.people import Records, me
from tests.process.test_refresh_race import race_refreshes
from tests.process.test_revocation import CAUSES, Scene, make_scene, revoke_and_strike
from tests.process.town import WORKERS, Town, backend_of_its_own, town_on
from tests.process.wire import Ask, Wire, connect_to_all

pytestmark = pytest.mark.xdist_group("clusters")


@contextmanager
def through(folder: Path, size: int) -> Iterator[Town]:
    """Four workers with 6 connections each that share `size`."""
    program = is_installed()
    if program is None or not is_reachable("postgresql"):
        pytest.skip("PgBouncer or PostgreSQL is not on this machine")
    for path in (folder, *folder.parents):
        if path == Path(tempfile.gettempdir()) or path == path.parent:
            break
        path.chmod(0o755)  # it runs as another user
    with (
        backend_of_its_own("postgresql", folder) as backend,
        pgbouncer(program, backend, folder, size=size) as url,
        town_on("postgresql", folder, settings={"PROPUSK_DATABASE_URL": url}) as town,
    ):
        yield Town(town.service, backend, Records(backend.url))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """As many connections as it takes: one more than all use cases may hold."""
    with through(tmp_path_factory.mktemp("pooled"), size=13) as town:
        yield town


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[Town]:
    """Enough for reading alone: each transaction is on another connection than the last."""
    with through(tmp_path, size=2) as town:
        yield town


async def test_refreshes_that_race_get_one_successor(pooled: Town) -> None:
    await race_refreshes(pooled, rounds=3)


@pytest.mark.parametrize("cause", ["logout by bearer", "abort all", "password change"])
async def test_nothing_is_accepted_once_the_end_is_acknowledged(pooled: Town, cause: str) -> None:
    act, victims, survivors = CAUSES[cause]
    scene = await make_scene(pooled, victims=victims, survivors=survivors)
    await revoke_and_strike(scene, act, strikes=300)


async def test_nobody_is_answered_with_the_rows_of_another(crowded: Town) -> None:
    scenes = [await make_scene(crowded, victims=1, survivors=0) for _ in range(8)]

    async def ask(wire: Wire, scene: Scene) -> None:
        token = scene.victims[0].access
        for _ in range(30):
            mine, listed = await wire.ask(me(token)), await wire.ask(Ask("GET", "/auth/sessions", token=token))
            assert (mine.status, listed.status) == (200, 200), (mine.body, listed.body)
            assert mine.json()["id"] == scene.owner.id
            assert [item["id"] for item in listed.json()["items"]] == [scene.victims[0].session_id]

    async with await connect_to_all(crowded.port, 24, workers=WORKERS) as wires:
        await asyncio.gather(*(ask(wire, scenes[n % len(scenes)]) for n, wire in enumerate(wires)))
