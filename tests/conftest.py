"""Fixtures: `house` is the real app on a real database. `--db` chooses which; without it, every one that answers."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as examples
from sqlalchemy import delete, insert

from propusk.auth import Auth
from propusk.crypto.keyring import generate_key
from propusk.db.migrate import upgrade
from propusk.server import create_app
from propusk.settings import Algorithm
from propusk.testing import MemoryMailer
from tests.backends import NAMES, Backend, drop_backend, is_reachable, make_backend
from tests.kit import FakeClock, House, SeededEntropy, make_settings

pytest_plugins = ["pytester"]  # runs the project of a host, in tests/testing

MakeHouse = Callable[..., Awaitable[House]]
REQUIRED = os.environ.get("CI") == "true"

# An example that took long says that the machine was busy, and no more.
examples.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--db", default=",".join(NAMES), help="Databases to run on, by commas.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "delivery: installs what users get; `make delivery` runs these")
    config.addinivalue_line("markers", "one_database: no database makes a difference: run on the first of --db alone")
    config.addinivalue_line("markers", "also_on(name): run on this as well, whatever --db says")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        names = metafunc.config.getoption("--db").split(",")
        if metafunc.definition.get_closest_marker("one_database") is not None:
            names = names[:1]
        also = [str(mark.args[0]) for mark in metafunc.definition.iter_markers("also_on")]
        names = list(dict.fromkeys([*names, *also]))
        metafunc.parametrize("backend", names, indirect=True, scope="session")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    missing = [name for name in (*config.getoption("--db").split(","), "redis") if not is_reachable(name)]
    if missing:
        terminalreporter.section("databases that were not reached")
        terminalreporter.line(", ".join(missing))


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A migrated database, shared by the tests of one run; `house` empties it."""
    name: str = request.param
    if not is_reachable(name):
        if REQUIRED:
            pytest.fail(f"{name} is required with CI=true and cannot be reached")
        pytest.skip(f"{name} is not running on this machine")
    folder = tmp_path_factory.mktemp(name)
    made = make_backend(name, folder, os.environ.get("PYTEST_XDIST_WORKER", "main"))
    asyncio.run(_migrate(made, folder))
    yield made
    drop_backend(made)


async def _migrate(backend: Backend, folder: Path) -> None:
    auth: Auth = create_app(make_settings(backend.url, folder / "data")).state.propusk
    await upgrade(auth.engine, auth.tables.metadata)
    await auth.close()


@pytest.fixture(scope="session")
def signing_key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One key of each kind, made once: an RSA key takes a second."""
    path = tmp_path_factory.mktemp("keys") / "keys.pem"
    kinds = (Algorithm.EDDSA, Algorithm.ES256, Algorithm.RS256)
    path.touch(0o600)
    path.write_bytes(b"".join(generate_key(kind).pem for kind in kinds))
    return path


@pytest.fixture
async def make_house(backend: Backend, signing_key_file: Path, tmp_path: Path) -> AsyncIterator[MakeHouse]:
    """Builds houses on one emptied database: `await make_house(refresh_grace=…)`."""
    houses: list[House] = []

    async def make(**overrides: Any) -> House:
        clock = overrides.pop("clock", None) or FakeClock()
        entropy = SeededEntropy(f"zq7canary {len(houses)}")
        usual = {"signing_key_file": signing_key_file, "redis_url": backend.redis_url}
        settings = make_settings(backend.url, tmp_path, **(usual | overrides))
        mailer = MemoryMailer()
        app = create_app(settings, clock=clock, entropy=entropy, mailer=mailer)
        house = House(app, app.state.propusk, clock, mailer)
        if not houses:
            await empty(house.auth)
            backend.empty_redis()
        houses.append(house)
        await house.auth.start()
        return house

    yield make
    for house in houses:
        await house.close()


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    """The service, with its defaults but for cheap hashing and limits out of the way."""
    return await make_house()


async def empty(auth: Auth) -> None:
    """Leave nothing of what other tests wrote."""
    async with auth.engine.begin() as connection:
        for table in reversed(auth.tables.metadata.sorted_tables):
            await connection.execute(delete(table))
        await connection.execute(insert(auth.tables.locks).values(name="superusers", n=0))
