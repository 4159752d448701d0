"""`GET /users/me` and each peer's equivalent, to the floor."""

from dataclasses import dataclass, field

from bench import subjects
from bench.row import Row, Table, median, middle
from bench.stable import Live, Stable

WANTED = {"propusk_sqlite": "≥ 1.3", "propusk_postgresql": "≥ 1.1", "propusk_redis": "≥ 1.1"}
WANTED_P99 = "≤ 2"
RATIO, P99, RATE, MS = "64 connections: to the floor", "p99 to the floor's", "requests/s", "p99, ms"
HEADINGS = [
    RATIO,
    P99,
    RATE,
    MS,
    "16: to the floor",
    "16: p99 to the floor's",
    "1: to the floor",
    "1: p99 to the floor's",
    "errors",
]


@dataclass
class Samples:
    """What the rounds gave for one subject at one number of connections."""

    ratios: list[float] = field(default_factory=list)
    p99_ratios: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)
    bad: int = 0


def run(stable: Stable) -> list[Table]:
    """The floor first in each round, then everybody."""
    everybody = stable.live(
        subjects.FASTAPI,
        subjects.STARLETTE,
        *subjects.OURS,
        *subjects.FASTAPI_USERS_ALL,
        subjects.CRUDAUTH,
        subjects.BETTER_AUTH,
    )
    samples = {
        64: _measure(stable, everybody, 64, stable.rounds),
        16: _measure(stable, everybody, 16, max(1, stable.rounds // 2)),
        1: _measure(stable, everybody, 1, max(1, stable.rounds // 2)),
    }
    rows = [_row(live, {c: samples[c][live.subject.key] for c in samples}) for live in everybody]
    stable.end(subjects.STARLETTE, *(one for one in subjects.FASTAPI_USERS_ALL if one not in subjects.PEERS))
    return [Table("me", "`GET /users/me` and its equivalents", HEADINGS, rows)]


def _measure(stable: Stable, everybody: list[Live], connections: int, rounds: int) -> dict[str, Samples]:
    """The first of them all is the floor."""
    samples = {live.subject.key: Samples() for live in everybody}
    for _ in range(rounds):
        floor = None
        for live in everybody:
            with live.awake():
                result = live.me(connections=connections, seconds=stable.seconds_of(live))
            floor = floor or result
            found = samples[live.subject.key]
            found.ratios.append(result.per_second / floor.per_second)
            found.p99_ratios.append(result.p99 / floor.p99)
            found.rates.append(result.per_second)
            found.p99s.append(result.p99)
            found.bad += result.bad
    return samples


def _row(live: Live, samples: dict[int, Samples]) -> Row:
    wanted, many = WANTED.get(live.subject.key, ""), samples[64]
    figures = {
        RATIO: median(many.ratios, wanted),
        P99: middle(many.p99_ratios, WANTED_P99 if wanted else ""),
        RATE: middle(many.rates),
        MS: middle(many.p99s),
        **{f"{c}: to the floor": middle(samples[c].ratios) for c in (16, 1)},
        **{f"{c}: p99 to the floor's": middle(samples[c].p99_ratios) for c in (16, 1)},
        "errors": middle([sum(found.bad for found in samples.values())]),
    }
    return Row(live.subject.title, dict(figures))
