"""Fixtures for tests against real processes: databases of their own, and services of several workers on each."""

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.backends import Backend, drop_backend, is_reachable, make_backend
from tests.process.people import Records
from tests.process.service import NO_LIMITS, Service, free_port

WORKERS = 4
EMPTY: Mapping[str, str] = MappingProxyType({})
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


@contextmanager
def backend_of_its_own(name: str, folder: Path) -> Iterator[Backend]:
    """An empty database, dropped afterwards."""
    label = f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_process_{next(_labels)}"
    backend = make_backend(name, folder, label)
    yield backend
    drop_backend(backend)


@contextmanager
def town_on(name: str, folder: Path, *, workers: int = WORKERS, settings: Mapping[str, str] = EMPTY) -> Iterator[Town]:
    """A service on a database of its own, with cheap hashing and no limits in the way unless the settings say so."""
    with backend_of_its_own(name, folder) as backend:
        env = {**NO_LIMITS, "PROPUSK_DATABASE_URL": backend.url, **settings}
        with Service(folder, env=env, workers=workers) as service:
            yield Town(service, backend, Records(backend.url))


@contextmanager
def nodes_on(
    name: str, folder: Path, *, workers: int = 2, settings: Mapping[str, str] = EMPTY
) -> Iterator[tuple[Town, Town]]:
    """Two services on one database, with the same keys and the same public address, as behind a balancer."""
    with backend_of_its_own(name, folder) as backend:
        env = {
            **NO_LIMITS,
            "PROPUSK_DATABASE_URL": backend.url,
            "PROPUSK_DATA_DIR": str(folder / "keys"),
            "PROPUSK_PUBLIC_URL": f"http://127.0.0.1:{free_port()}",
            **settings,
        }
        for node in ("one", "two"):
            (folder / node).mkdir()
        with (
            Service(folder / "one", env=env, workers=workers) as one,
            Service(folder / "two", env=env, workers=workers) as two,
        ):
            yield Town(one, backend, Records(backend.url)), Town(two, backend, Records(backend.url))


@pytest.fixture
def server_backend(server_database: str, tmp_path: Path) -> Iterator[Backend]:
    """An empty database on a server, which the test has for itself."""
    with backend_of_its_own(server_database, tmp_path) as backend:
        yield backend


@pytest.fixture(scope="session")
def town(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A service with four workers, shared by many tests."""
    with town_on(database, tmp_path_factory.mktemp(f"town_{database}")) as town:
        yield town


@pytest.fixture(scope="session")
def nodes(server_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, Town]]:
    """Two nodes of two workers each, with the usual limit of logins."""
    folder = tmp_path_factory.mktemp(f"nodes_{server_database}")
    with nodes_on(server_database, folder, settings={"PROPUSK_LIMITS__LOGIN_PAIR": "10/15m"}) as nodes:
        yield nodes
