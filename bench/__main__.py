"""`make bench`: every figure of docs/performance.md, as ratios of runs interleaved on one machine.

One worker on one core, the load on the other. Quieter machines give other absolute figures and the same ratios.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench import load
from bench.servers import LOAD_CORE, SERVER_CORE, Server, databases_on, floor, on_core, propusk
from tests.backends import NAMES, drop_backend, is_reachable, make_backend

PASSWORD = "correct horse battery staple"
USERS = 50
DOCUMENT = Path("docs/performance.md")
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


@dataclass(frozen=True)
class Subject:
    """A server with people in it."""

    server: Server
    token: str
    logins: load.Request

    @property
    def me(self) -> load.Request:
        return load.Request(headers={"Authorization": f"Bearer {self.token}"})


@dataclass
class Samples:
    """What the rounds gave for one subject."""

    ratios: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)
    bad: int = 0

    def add(self, result: load.Result, base: float) -> None:
        self.ratios.append(result.per_second / base)
        self.rates.append(result.per_second)
        self.p99s.append(result.p99)
        self.bad += result.bad

    def row(self, name: str, bar: str) -> str:
        middle = statistics.median
        spread = f"{min(self.ratios):.2f} to {max(self.ratios):.2f}"
        return (
            f"| {name} | {middle(self.ratios):.2f} | {spread} | {bar} | {middle(self.rates):.0f} |"
            f" {middle(self.p99s):.1f} | {self.bad} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each subject")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT}")
    options = parser.parse_args()
    load.require_wrk()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.enter_context(databases_on(LOAD_CORE))
        subjects = [stack.enter_context(_subject(name, Path(folder))) for name in NAMES if is_reachable(name)]
        base = stack.enter_context(floor())
        tables = [
            _machine(),
            _me(base, subjects, options.rounds, options.seconds),
            _logins(subjects, options.rounds, options.seconds),
            _storm(subjects, options.rounds, options.seconds),
            _memory(subjects),
        ]
    text = "\n\n".join(tables)
    print(text)
    if options.write:
        _write(text)


@contextmanager
def _subject(name: str, folder: Path) -> Iterator[Subject]:
    backend = make_backend(name, folder, "bench")
    try:
        with propusk(name, backend.url, folder) as server:
            yield Subject(server, *_populate(server))
    finally:
        drop_backend(backend)


def _populate(server: Server) -> tuple[str, load.Request]:
    bodies = []
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for n in range(USERS):
            email = f"user{n}@example.com"
            client.post("/auth/register", json={"email": email, "password": PASSWORD}).raise_for_status()
            bodies.append(f'{{"login": "{email}", "password": "{PASSWORD}"}}')
        answer = client.post("/auth/login", json={"login": "user0@example.com", "password": PASSWORD})
    headers = {"Content-Type": "application/json"}
    return answer.json()["access_token"], load.Request("POST", headers=headers, bodies=bodies)


def _machine() -> str:
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, Linux {platform.release()}."
        " One worker on one core, load by wrk and the database servers on the other. Medians over the rounds."
    )


HEAD = "| p99, ms | errors |\n| --- | ---: | --- | ---: | ---: | ---: | ---: |"


def _me(base: Server, subjects: list[Subject], rounds: int, seconds: int) -> str:
    path, floors = "/users/me", Samples()
    samples = {subject.server.name: Samples() for subject in subjects}
    for _ in range(rounds):
        empty = load.run(base.url + path, load.Request(), connections=64, seconds=seconds)
        floors.add(empty, empty.per_second)
        for subject in subjects:
            result = load.run(subject.server.url + path, subject.me, connections=64, seconds=seconds)
            samples[subject.server.name].add(result, empty.per_second)
    rows = [floors.row("empty FastAPI endpoint with a response model", "1")]
    rows += [sample.row(f"`GET /users/me`, {name}", "≥ 0.8") for name, sample in samples.items()]
    return "\n".join(["| 64 connections | to the floor | range | wanted | requests/s " + HEAD, *rows])


def _logins(subjects: list[Subject], rounds: int, seconds: int) -> str:
    samples = {subject.server.name: Samples() for subject in subjects}
    bare = Samples()
    for _ in range(rounds):
        rate = _bare_argon2(seconds)
        bare.add(load.Result(rate, 0, 0, 0), rate)
        for subject in subjects:
            result = load.run(
                subject.server.url + "/auth/login", subject.logins, connections=16, seconds=max(seconds, 4)
            )
            samples[subject.server.name].add(result, rate)
    rows = [bare.row("argon2-cffi alone, same parameters, same core", "1")]
    rows += [sample.row(f"`POST /auth/login`, {name}", "≥ 0.9") for name, sample in samples.items()]
    return "\n".join(["| 16 connections | to bare hashing | range | wanted | per second " + HEAD, *rows])


def _bare_argon2(seconds: int) -> float:
    code = (
        "import sys, time, argon2\n"
        "from propusk.settings import PasswordSettings as P\n"
        "p = P(); h = argon2.PasswordHasher(p.iterations, p.memory_kib, 1); s = h.hash('x')\n"
        "end = time.perf_counter() + float(sys.argv[1]); n = 0; start = time.perf_counter()\n"
        "while time.perf_counter() < end: h.verify(s, 'x'); n += 1\n"
        "print(n / (time.perf_counter() - start))\n"
    )
    command = [*on_core(SERVER_CORE), sys.executable, "-c", code, str(seconds)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def _storm(subjects: list[Subject], rounds: int, seconds: int) -> str:
    rows = []
    for subject in subjects:
        quiet, stormy, logins, bad = [], [], [], 0
        for _ in range(rounds):
            url = subject.server.url
            calm = load.run(url + "/users/me", subject.me, connections=16, seconds=seconds)
            storm = load.start(url + "/auth/login", subject.logins, connections=64, seconds=seconds + 2)
            during = load.run(url + "/users/me", subject.me, connections=16, seconds=seconds)
            quiet.append(calm.p99)
            stormy.append(during.p99)
            logins.append(storm.result().per_second)
            bad += calm.bad + during.bad
        ratio = statistics.median(storm / calm for storm, calm in zip(stormy, quiet, strict=True))
        rows.append(
            f"| {subject.server.name} | {ratio:.1f} | ≤ 5 | {statistics.median(quiet):.1f} |"
            f" {statistics.median(stormy):.1f} | {statistics.median(logins):.1f} | {bad} |"
        )
    head = "| `GET /users/me` at 16 connections while 64 others log in | p99 to quiet | wanted | quiet p99, ms |"
    return "\n".join(
        [
            head + " p99 in the storm, ms | logins/s | errors |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )


def _memory(subjects: list[Subject]) -> str:
    rows = [f"| {subject.server.name} | {subject.server.resident_mib():.0f} |" for subject in subjects]
    return "\n".join(["| worker after all this | resident, MiB |", "| --- | ---: |", *rows])


def _write(text: str) -> None:
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
