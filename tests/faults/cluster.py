"""Several nodes behind a balancer, on one database."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.backends import Backend
from tests.faults.balancer import balancer
from tests.process.people import Records
from tests.process.service import NO_LIMITS, Service
from tests.process.town import EMPTY, Town, backend_of_its_own

WORKERS = 2
SETTINGS = {
    **NO_LIMITS,
    "PROPUSK_TRUSTED_PROXIES": "127.0.0.1",
    "PROPUSK_REFRESH_GRACE": "10m",  # longer than a fault: who heard no answer asks again
    "PROPUSK_SHUTDOWN_DELAY": "2s",  # longer than the balancer takes to notice
}


@dataclass(frozen=True)
class Cluster:
    """`port` is the balancer's; `nodes` can be reached past it as well."""

    name: str
    port: int
    nodes: Sequence[Town]

    @property
    def ports(self) -> list[int]:
        return [node.port for node in self.nodes]

    @property
    def records(self) -> Records:
        return self.nodes[0].records


@contextmanager
def cluster_on(name: str, folder: Path, *, nodes: int = 2, settings: Mapping[str, str] = EMPTY) -> Iterator[Cluster]:
    """Nodes of two workers each on a database of their own, with the same keys and the same public address.

    Args:
        settings: more of them; another `PROPUSK_DATABASE_URL` replaces that of the database which is made.
    """
    with backend_of_its_own(name, folder) as backend, cluster_at(backend, folder, nodes, settings) as cluster:
        yield cluster


@contextmanager
def cluster_at(
    backend: Backend, folder: Path, nodes: int, settings: Mapping[str, str] = EMPTY, first: Mapping[str, str] = EMPTY
) -> Iterator[Cluster]:
    """The same, on a database that is there.

    Args:
        first: more of the environment of the first node alone.
    """
    env = {
        **SETTINGS,
        "PROPUSK_DATABASE_URL": backend.url,
        "PROPUSK_DATA_DIR": str(folder / "keys"),
        "PROPUSK_PUBLIC_URL": "http://login.example.com",
        **settings,
    }
    with ExitStack() as stack:
        towns = []
        for n in range(nodes):
            (folder / f"node{n}").mkdir()
            service = Service(folder / f"node{n}", env=env if n else {**env, **first}, workers=WORKERS)
            towns.append(Town(stack.enter_context(service), backend, Records(backend.url)))
        port = stack.enter_context(balancer([town.port for town in towns], folder))
        yield Cluster(f"{backend.name}, {nodes} nodes", port, towns)
