"""What a worker weighs, and how long it takes to answer for the first time."""

import json
import subprocess
import time
from dataclasses import dataclass, field

from bench import subjects
from bench.products import OURS
from bench.row import Row, Table, median, middle
from bench.servers import SERVER_CORE, on_core
from bench.stable import Live, Stable, Town, populate
from bench.subjects import Subject

START, LOADED, IDLE = "start to first answer, s", "after load, MiB", "idle, MiB"
LOADED_WANTED = {subjects.SQLITE.key: "≤ 90"}
START_WANTED = "≤ 0.9"
AFTER = 3
NOTE = (
    "Start: from the command to its first answer over HTTP, its database being there."
    f" After load: {AFTER} seconds after 64 connections asked who they are and 16 logged in."
)

MEMORY, TIME = "resident, MiB", "to load, ms"
IMPORTS_NOTE = (
    "One process that loads these in turn, each with what it needs and nobody before it had. A start takes less: while"
    " a command is imported, it keeps Python's collector from looking through it."
)


@dataclass
class Samples:
    """What the starts of one subject gave."""

    starts: list[float] = field(default_factory=list)
    idle: float = 0
    loaded: float = 0


def run(stable: Stable) -> list[Table]:
    """Each is started anew in each round, and weighed in the last."""
    stable.end()  # it needs nobody but its own
    everybody = [subject for subject in (*subjects.OURS, *subjects.PEERS) if stable.can(subject)]
    samples = [_samples(stable, subject) for subject in everybody]
    rows = [
        Row(
            subject.title,
            {
                START: median(found.starts, START_WANTED if subject in subjects.OURS else ""),
                LOADED: middle([found.loaded], LOADED_WANTED.get(subject.key, "")),
                IDLE: middle([found.idle]),
            },
        )
        for subject, found in zip(everybody, samples, strict=True)
    ]
    return [Table("footprint", "one worker", [LOADED, IDLE, START], rows, NOTE), _imports(stable.rounds)]


def _imports(rounds: int) -> Table:
    command = [*on_core(SERVER_CORE), str(OURS / "python"), "-m", "bench.imports"]
    found = [json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout) for _ in range(rounds)]
    rows = [
        Row(name, {MEMORY: middle([each[name][0] for each in found]), TIME: middle([each[name][1] for each in found])})
        for name in found[0]
    ]
    return Table("imports", "what a worker has loaded before it does anything", [MEMORY, TIME], rows, IMPORTS_NOTE)


def _samples(stable: Stable, subject: Subject) -> Samples:
    found = Samples()
    with stable.place(subject, "_start") as place:
        with stable.started(subject, place):
            pass  # the first start makes keys and tables
        for n in range(stable.rounds):
            with stable.started(subject, place) as server:
                found.starts.append(server.started_after)
                if n == stable.rounds - 1:
                    time.sleep(1)
                    found.idle = server.resident_mib()
                    live = Live(subject, server, *populate(subject, server, Town(2, 2, 4)))
                    live.me(connections=64, seconds=stable.seconds)
                    live.logins(connections=16, seconds=stable.seconds)
                    time.sleep(AFTER)
                    found.loaded = server.resident_mib()
    return found
