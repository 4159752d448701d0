"""`GET /users/me` while others do nothing but log in."""

import time
from dataclasses import dataclass

from bench import subjects
from bench.load import Result
from bench.row import Row, Table, median, middle
from bench.stable import Live, Stable

RATIO = "p99 to quiet"
HEADINGS = [RATIO, "quiet p99, ms", "p99 in the storm, ms", "logins/s", "errors"]


@dataclass(frozen=True)
class Storm:
    """One round."""

    quiet: Result
    during: Result
    logins: Result


def run(stable: Stable) -> list[Table]:
    """Quiet, then in the storm, in the same turn."""
    ours = stable.live(*subjects.OURS)
    everybody = [*ours, *stable.live(*subjects.PEERS)]
    found: dict[str, list[Storm]] = {live.subject.key: [] for live in everybody}
    for n in range(stable.rounds):
        for live in everybody:
            if n == 0 or live in ours:  # peers answer slowly then, and their queues drain slowly
                found[live.subject.key].append(_round(live, stable.seconds if live in ours else 3 * stable.seconds))
    rows = [_row(live.subject.title, found[live.subject.key], "≤ 3" if live in ours else "") for live in everybody]
    title = "`GET /users/me` at 16 connections while 64 others log in"
    return [Table("storm", title, HEADINGS, rows)]


def _round(live: Live, seconds: int) -> Storm:
    with live.awake():
        quiet = live.me(connections=16, seconds=seconds)
        logins = live.storm(connections=64, seconds=seconds + 1)
        time.sleep(0.5)
        during = live.me(connections=16, seconds=seconds)
        storm = Storm(quiet, during, logins.result())
        live.wait_for_queue()
        return storm


def _row(name: str, storms: list[Storm], wanted: str) -> Row:
    return Row(
        name,
        {
            RATIO: median([storm.during.p99 / storm.quiet.p99 for storm in storms], wanted),
            "quiet p99, ms": middle([storm.quiet.p99 for storm in storms]),
            "p99 in the storm, ms": middle([storm.during.p99 for storm in storms]),
            "logins/s": middle([storm.logins.per_second for storm in storms]),
            "errors": middle([sum(storm.quiet.bad + storm.during.bad for storm in storms)]),
        },
    )
