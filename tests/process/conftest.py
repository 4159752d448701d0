"""Fixtures for tests against real processes: which database, and a service with four workers on it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends import Backend, drop_backend, is_reachable, make_backend
from tests.process.town import Fragile, Town, fragile_on, nodes_on, town_on

LONGEST = 600
"""Seconds for one test with its fixtures: several starts of several processes, on a machine that is busy."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Everything here has this long; a module may ask for more."""
    marked = item.get_closest_marker("timeout")
    if marked is None or marked.args[0] < LONGEST:
        item.add_marker(pytest.mark.timeout(LONGEST))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = metafunc.config.getoption("--db").split(",")
    if "database" in metafunc.fixturenames:
        metafunc.parametrize("database", chosen, indirect=True, scope="session")
    if "server_database" in metafunc.fixturenames:
        servers = [name for name in chosen if name != "sqlite"]
        metafunc.parametrize("server_database", servers, indirect=True, scope="session")


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> str:
    """Which database; skipped where it does not answer."""
    return _reachable(request.param)


@pytest.fixture(scope="session")
def server_database(request: pytest.FixtureRequest) -> str:
    """The same, without SQLite: what several nodes share, at the end of a wire."""
    return _reachable(request.param)


def _reachable(name: str) -> str:
    if not is_reachable(name):
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is required with CI=true and cannot be reached")
        pytest.skip(f"{name} is not running on this machine")
    return name


@pytest.fixture
def empty_database(server_database: str, tmp_path: Path) -> Iterator[Backend]:
    """A database on a server, with nothing in it."""
    backend = make_backend(server_database, tmp_path, f"empty_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    yield backend
    drop_backend(backend)


@pytest.fixture
def fresh(server_database: str, tmp_path: Path) -> Iterator[Fragile]:
    """A service that a test has for itself, at the end of a wire. Its grace is longer than a restart."""
    with fragile_on(server_database, tmp_path, settings={"PROPUSK_REFRESH_GRACE": "10m"}) as fragile:
        yield fragile


@pytest.fixture(scope="module")
def town(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A service with four workers, shared by the tests of a module."""
    with town_on(database, tmp_path_factory.mktemp(f"town_{database}")) as town:
        yield town


@pytest.fixture(scope="module")
def nodes(server_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, Town]]:
    """Two nodes of two workers each, with the usual limit of logins."""
    folder = tmp_path_factory.mktemp(f"nodes_{server_database}")
    with nodes_on(server_database, folder, settings={"PROPUSK_LIMITS__LOGIN_PAIR": "10/15m"}) as nodes:
        yield nodes
