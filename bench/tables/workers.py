"""More workers of one node."""

import os
from contextlib import ExitStack
from dataclasses import replace

from bench import subjects
from bench.load import Result
from bench.products import serve
from bench.row import Row, Table, median, middle
from bench.servers import LOAD_CORE, SERVER_CORE, free_port
from bench.stable import Live, Stable, populate

WORKERS = (1, 2, 4)
RATIO = "to one worker"
HEADINGS = [RATIO, "requests/s", "p99, ms", "errors"]


def run(stable: Stable) -> list[Table]:
    """One database, the workers of each in turns, on both cores."""
    subject = subjects.POSTGRESQL
    if not stable.can(subject):
        return []
    stable.end()  # it needs nobody but its own
    found: dict[int, list[Result]] = {n: [] for n in WORKERS}
    with ExitStack() as stack:
        place = stack.enter_context(stable.place(subject, "_workers"))
        everybody: dict[int, Live] = {}
        callers: list[dict[str, str]] = []
        for n in WORKERS:
            these = replace(subject, product=serve(n))
            at = replace(place, port=free_port())
            server = stack.enter_context(stable.started(these, at, (SERVER_CORE, LOAD_CORE)))
            callers = callers or populate(these, server)[0]
            server.freeze()
            everybody[n] = Live(these, server, callers, [])
        for _ in range(stable.rounds):
            for n, live in everybody.items():
                with live.awake():
                    found[n].append(live.me(connections=64, seconds=stable.seconds))
    rows = [
        Row(
            f"{n} worker{'s' if n > 1 else ''}",
            {
                RATIO: median([mine.per_second / one.per_second for mine, one in zip(found[n], found[1], strict=True)]),
                "requests/s": middle([result.per_second for result in found[n]]),
                "p99, ms": middle([result.p99 for result in found[n]]),
                "errors": middle([sum(result.bad for result in found[n])]),
            },
        )
        for n in WORKERS
    ]
    note = f"These share {os.cpu_count()} cores with load and database: more than one cannot be worth much here."
    return [Table("workers", "`GET /users/me`, PostgreSQL, 64 connections", HEADINGS, rows, note)]
