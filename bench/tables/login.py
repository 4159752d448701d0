"""Logins and registrations, to bare hashing of the same kind and cost on the same core."""

import statistics
import time
from collections import defaultdict

from bench import closed, floors, subjects
from bench.load import Result
from bench.row import Row, Table, exactly, median, middle
from bench.servers import Server
from bench.stable import Live, Stable

OURS = "cryptography"
"""What the service hashes with: measured like a subject, as the bar is another's hashing."""
RATIO = "to bare hashing"
HEADINGS = [RATIO, "per second", "p99, ms", "errors"]
WANTED = "≥ 0.95"
NOTE = "Each to the hashing of its own defaults: these are the floors."

PARTS = WALL, HASHING, LOOP, OTHERS = "in all", "hashing", "event loop", "other threads"
PARTS_NOTE = "CPU time of the threads of the process, by the kernel. What is missing is the kernel's own, and waiting."


def run(stable: Stable) -> list[Table]:
    """In each round everybody: logins, then registrations.

    Their kind of bare hashing is measured right before and right after logins: within a minute a machine changes.
    """
    ours = stable.live(*subjects.OURS)
    everybody = [*ours, *stable.live(*subjects.PEERS)]
    kinds = list(dict.fromkeys(live.subject.product.hashing for live in everybody))
    bare: dict[str, list[float]] = {kind: [] for kind in kinds}
    found: dict[tuple[str, str], list[tuple[float, Result]]] = defaultdict(list)
    parts: dict[str, list[dict[str, float]]] = defaultdict(list)
    own: list[tuple[float, float]] = []
    for _ in range(stable.rounds):
        own.append((floors.hashing("argon2-cffi", stable.seconds), floors.hashing(OURS, stable.seconds)))
        for live in everybody:
            kind = live.subject.product.hashing
            earlier = floors.hashing(kind, stable.seconds)
            with live.awake():
                before = live.server.thread_ms()
                result = live.logins(connections=16, seconds=stable.seconds_of(live) + 2)
                parts[live.subject.key].append(_parts(before, live.server, result))
            later = floors.hashing(kind, stable.seconds)
            bare[kind] += [earlier, later]
            found["login", live.subject.key].append(((earlier + later) / 2, result))
            with live.awake():
                found["register", live.subject.key].append((later, _register(live, stable.seconds_of(live))))
                time.sleep(live.subject.product.rest)
    hashing = [Row(floors.NAMES[kind], {RATIO: exactly(1), "per second": middle(bare[kind])}) for kind in kinds]
    bare[OURS] = [rate for _, rate in own]
    ratio = median([rate / floor for floor, rate in own])
    hashing.insert(1, Row(floors.NAMES[OURS], {RATIO: ratio, "per second": middle(bare[OURS])}))

    def table(name: str, title: str, wanted: str) -> Table:
        rows = [
            _row(live.subject.title, found[name, live.subject.key], wanted if live in ours else "")
            for live in everybody
        ]
        return Table(name, f"{title}, 16 connections", HEADINGS, [*hashing, *rows], NOTE)

    logins = table("login", "`POST /auth/login` and its equivalents", WANTED)
    return [logins, _split(ours, bare, parts), table("register", "registrations", "")]


def _split(ours: list[Live], bare: dict[str, list[float]], parts: dict[str, list[dict[str, float]]]) -> Table:
    rows = [
        Row(live.subject.title, {part: middle([each[part] for each in parts[live.subject.key]]) for part in PARTS})
        for live in ours
    ]
    for kind in (OURS, "argon2-cffi"):
        alone = 1000 / statistics.median(bare[kind])
        rows.insert(0, Row(floors.NAMES[kind], {WALL: exactly(alone), HASHING: exactly(alone)}))
    return Table("parts", "where the time of one of our logins goes, ms", list(PARTS), rows, PARTS_NOTE)


def _parts(before: dict[int, float], server: Server, result: Result) -> dict[str, float]:
    """Of one login: wall time, and CPU time by thread."""
    logins = result.per_second * result.seconds
    spent = {task: (ms - before.get(task, 0)) / logins for task, ms in server.thread_ms().items()}
    loop = spent.pop(server.pid)
    hashing = max(spent.values(), default=0)
    return {WALL: 1000 / result.per_second, HASHING: hashing, LOOP: loop, OTHERS: sum(spent.values()) - hashing}


def _register(live: Live, seconds: int) -> Result:
    requests = live.subject.product.speech.registrations()
    return closed.run(live.server.port, requests, connections=16, seconds=seconds)


def _row(name: str, pairs: list[tuple[float, Result]], wanted: str) -> Row:
    return Row(
        name,
        {
            RATIO: median([result.per_second / floor for floor, result in pairs], wanted),
            "per second": middle([result.per_second for _, result in pairs]),
            "p99, ms": middle([result.p99 for _, result in pairs]),
            "errors": middle([sum(result.bad for _, result in pairs)]),
        },
    )
