"""Services of several workers, on databases of their own."""

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.backends import Backend, drop_backend, make_backend
from tests.process.people import Records
from tests.process.proxy import Proxy
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


@contextmanager
def backend_of_its_own(name: str, folder: Path) -> Iterator[Backend]:
    """An empty database, dropped afterwards."""
    label = f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_process_{next(_labels)}"
    backend = make_backend(name, folder, label)
    try:
        yield backend
    finally:
        drop_backend(backend)


@contextmanager
def town_on(name: str, folder: Path, *, workers: int = WORKERS, settings: Mapping[str, str] = EMPTY) -> Iterator[Town]:
    """A service on a database of its own, with cheap hashing and no limits in the way unless the settings say so."""
    with backend_of_its_own(name, folder) as backend:
        env = {**NO_LIMITS, "PROPUSK_DATABASE_URL": backend.url, **settings}
        with Service(folder, env=env, workers=workers) as service:
            yield Town(service, backend, Records(backend.url))


@dataclass(frozen=True)
class Fragile:
    """A service whose database is at the end of a proxy, and the rows as one sees them past it."""

    service: Service
    proxy: Proxy
    records: Records

    @property
    def port(self) -> int:
        return self.service.port


@contextmanager
def fragile_on(name: str, folder: Path, *, settings: Mapping[str, str] = EMPTY) -> Iterator[Fragile]:
    """A service of one process on a database server, which can be cut off, frozen or made silent."""
    with backend_of_its_own(name, folder) as backend, Proxy(name) as proxy:
        env = {**NO_LIMITS, "PROPUSK_DATABASE_URL": proxy.url(backend.url), **settings}
        with Service(folder, env=env) as service:
            yield Fragile(service, proxy, Records(backend.url))


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
