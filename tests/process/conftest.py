"""Fixtures for tests against real processes: databases of their own, and a service with four workers on each."""

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.backends import Backend, drop_backend, is_reachable, make_backend
from tests.process.people import Records
from tests.process.service import NO_LIMITS, Service

WORKERS = 4
_labels = itertools.count()


@dataclass(frozen=True)
class Town:
    """A running service and its database."""

    service: Service
    backend: Backend
    records: Records

    @property
    def port(self) -> int:
        return self.service.port


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" in metafunc.fixturenames:
        names = metafunc.config.getoption("--db").split(",")
        metafunc.parametrize("database", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> str:
    """Which database; skipped where it does not answer."""
    name: str = request.param
    if not is_reachable(name):
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is required with CI=true and cannot be reached")
        pytest.skip(f"{name} is not running on this machine")
    return name


def _make(name: str, folder: Path) -> Backend:
    return make_backend(name, folder, f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_process_{next(_labels)}")


@pytest.fixture
def new_backend(database: str, tmp_path: Path) -> Iterator[Callable[[], Backend]]:
    """Makes empty databases that the test has for itself."""
    made: list[Backend] = []

    def make() -> Backend:
        made.append(_make(database, tmp_path))
        return made[-1]

    yield make
    for backend in made:
        drop_backend(backend)


@pytest.fixture(scope="session")
def town(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A service with four workers, cheap hashing and no limits in the way, shared by many tests."""
    folder = tmp_path_factory.mktemp(f"town_{database}")
    backend = _make(database, folder)
    env = {**NO_LIMITS, "PROPUSK_DATABASE_URL": backend.url}
    with Service(folder, env=env, workers=WORKERS) as service:
        yield Town(service, backend, Records(backend.url))
    drop_backend(backend)
