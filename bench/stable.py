"""The servers of a run: each is started when it is first needed, given people, and frozen while it is not its turn."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from bench import closed, load
from bench.products import Place
from bench.servers import SERVER_CORE, Server, free_port, running
from bench.subjects import Subject
from tests.backends import drop_backend, make_backend


@dataclass(frozen=True)
class Town:
    """How many people there are.

    Args:
        owners: who asks. They are never logged in by any load, so that no cap ends their sessions.
        sessions: of each of these. More than one or two in all, as some products write to a session at each request.
        people: who logs in.
    """

    owners: int = 8
    sessions: int = 4
    people: int = 8


TOWN = Town()


@dataclass(frozen=True)
class Live:
    """A subject that runs: the headers of those who ask, the addresses of those who log in."""

    subject: Subject
    server: Server
    callers: Sequence[Mapping[str, str]]
    people: Sequence[str]

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Its turn."""
        self.server.thaw()
        time.sleep(0.2)  # what it puts off while it is frozen, it does now
        try:
            yield
            time.sleep(0.1)  # for requests whose client is gone
        finally:
            self.server.freeze()

    def client(self) -> httpx.Client:
        """To ask it something outside of the measurement."""
        return httpx.Client(base_url=self.server.url, timeout=120)

    def ask(self, path: str, *, connections: int, seconds: int) -> load.Result:
        """The owners ask for a path."""
        request = load.Request(callers=self.callers)
        return load.run(self.server.url + path, request, connections=connections, seconds=seconds)

    def me(self, *, connections: int, seconds: int) -> load.Result:
        """Who am I?, again and again."""
        return self.ask(self.subject.product.speech.me, connections=connections, seconds=seconds)

    def logins(self, *, connections: int, seconds: int) -> load.Result:
        """The people log in, again and again; all are answered when this returns."""
        requests = self.subject.product.speech.logins(self.people)
        return closed.run(self.server.port, requests, connections=connections, seconds=seconds)

    def storm(self, *, connections: int, seconds: int) -> load.Running:
        """The same in the background; it hangs up in the end, see `wait_for_queue`."""
        speech = self.subject.product.speech
        request = speech.login_of(*self.people)
        return load.start(self.server.url + speech.login, request, connections=connections, seconds=seconds)

    def wait_for_queue(self) -> None:
        """One more login, which waits behind the others: those, too, whose clients have gone and left them there."""
        with self.client() as client:
            self.subject.product.speech.log_in(client, self.people[0])


class Stable:
    """What a table measures with: how often, how long, and the servers.

    Args:
        folder: for files of databases and keys.
        stack: ends what is still running.
        redis_url: of a Redis of our own.
    """

    def __init__(self, folder: Path, stack: ExitStack, redis_url: str | None, *, rounds: int, seconds: int) -> None:
        self.folder = folder
        self.rounds = rounds
        self.seconds = seconds
        self._redis_url = redis_url
        self._live: dict[str, tuple[Live, ExitStack]] = {}
        stack.callback(self.end)

    def seconds_of(self, live: Live) -> int:
        """How long a run of it is: a peer's need not be as exact."""
        return max(1, self.seconds // 2) if live.subject.product.peer else self.seconds

    def can(self, subject: Subject) -> bool:
        """Whether it can run on this machine."""
        return subject.can_run() and (not subject.redis or self._redis_url is not None)

    def live(self, *subjects: Subject) -> list[Live]:
        """These, as far as they can run here, frozen."""
        for subject in subjects:
            if subject.key not in self._live and self.can(subject):
                with ExitStack() as stack:
                    self._live[subject.key] = self._begin(subject, stack), stack.pop_all()
        return [self._live[subject.key][0] for subject in subjects if subject.key in self._live]

    def end(self, *subjects: Subject) -> None:
        """End these, or all: a database server has only so many connections."""
        for key in [subject.key for subject in subjects] or list(self._live):
            if key in self._live:
                self._live.pop(key)[1].close()

    def _begin(self, subject: Subject, stack: ExitStack) -> Live:
        place = stack.enter_context(self.place(subject))
        server = stack.enter_context(self.started(subject, place))
        callers: list[dict[str, str]] = []
        people: list[str] = []
        if subject.product.speech.register:
            callers, people = populate(subject, server)
            time.sleep(subject.product.rest)
        server.freeze()
        return Live(subject, server, callers, people)

    @contextmanager
    def place(self, subject: Subject, label: str = "") -> Iterator[Place]:
        """A folder and an empty database with its tables."""
        folder = Path(tempfile.mkdtemp(prefix=subject.key + label, dir=self.folder))
        port = free_port()
        place = Place(folder, port, f"http://127.0.0.1:{port}", redis_url=self._redis_url if subject.redis else None)
        if not subject.database:
            yield place
            return
        backend = make_backend(subject.database, folder, f"bench_{subject.key}{label}")
        try:
            place = replace(place, database_url=backend.url)
            subject.product.make_tables(place, {**os.environ, **subject.product.environment(place)})
            yield place
        finally:
            drop_backend(backend)

    @contextmanager
    def started(
        self, subject: Subject, place: Place, cores: tuple[int, ...] = (SERVER_CORE,), path: str = ""
    ) -> Iterator[Server]:
        """A process of it."""
        product = subject.product
        command, env = product.command(place), product.environment(place)
        path = path or product.speech.first or product.speech.me
        with running(subject.title, command, place.port, env, path, cores) as server:
            yield server


def populate(subject: Subject, server: Server, size: Town = TOWN) -> tuple[list[dict[str, str]], list[str]]:
    """Register them; the headers of each of the owners' sessions, the addresses of the others."""
    speech = subject.product.speech
    with httpx.Client(base_url=server.url, timeout=120) as client:
        owners = [speech.register_one(client, f"owner{n}") for n in range(size.owners)]
        people = [speech.register_one(client, f"user{n}") for n in range(size.people)]
        answers = [speech.log_in(client, owner) for owner in owners for _ in range(size.sessions)]
        callers = [speech.credentials(answer) for answer in answers]
        client.cookies.clear()
        client.get(speech.me, headers=callers[-1]).raise_for_status()
    return callers, people
