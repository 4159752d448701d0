"""Refreshes, to as many bare commits of one-row updates by asyncpg."""

from collections import defaultdict

from bench import floors, subjects
from bench.load import Request, Result
from bench.load import run as load
from bench.row import Figure, Row, Table, exactly, median, middle
from bench.speech import PROPUSK
from bench.stable import Live, Stable
from tests.backends import drop_backend, make_backend

CONNECTIONS = (16, 1)
RATIO = {16: "16 connections: to bare commits", 1: "1: to bare commits"}
HEADINGS = [heading for n in CONNECTIONS for heading in (RATIO[n], f"{n}: per second", f"{n}: p99, ms")]
WANTED = {16: "≥ 0.5", 1: ""}
NOTE = (
    "The bare commits have as many connections to the database as the service has clients. No peer rotates refresh"
    " tokens: FastAPI Users and Better Auth have none, crudauth's are never replaced."
)


def run(stable: Stable) -> list[Table]:
    """Bare commits first in each round; there is a ratio on PostgreSQL alone, where they were made."""
    everybody = stable.live(*subjects.OURS)
    if not subjects.POSTGRESQL.can_run():
        return []
    bare: dict[int, list[float]] = {n: [] for n in CONNECTIONS}
    found: dict[tuple[str, int], list[Result]] = defaultdict(list)
    backend = make_backend("postgresql", stable.folder, "bench_bare")
    try:
        for _ in range(stable.rounds):
            for n in CONNECTIONS:
                bare[n].append(floors.updates(backend.url, n, stable.seconds))
                for live in everybody:
                    found[live.subject.key, n].append(_refresh(live, n, stable.seconds))
    finally:
        drop_backend(backend)
    floor = Row("commits of a one-row update by asyncpg alone")
    for n in CONNECTIONS:
        floor.figures |= {RATIO[n]: exactly(1), f"{n}: per second": middle(bare[n])}
    rows = [_row(live, {n: found[live.subject.key, n] for n in CONNECTIONS}, bare) for live in everybody]
    return [Table("refresh", "`POST /auth/refresh`", [*HEADINGS, "errors"], [floor, *rows], NOTE)]


def _refresh(live: Live, connections: int, seconds: int) -> Result:
    # A few more sessions than connections: wrk makes one request that it does not send.
    with live.awake():
        with live.client() as client:
            answers = [PROPUSK.log_in(client, live.people[n % len(live.people)]) for n in range(connections + 4)]
        request = Request(
            "POST",
            {"Content-Type": "application/json"},
            chained_body='{"refresh_token": "TOKEN"}',
            tokens=[answer.json()["refresh_token"] for answer in answers],
        )
        return load(live.server.url + PROPUSK.refresh, request, connections=connections, seconds=seconds)


def _row(live: Live, results: dict[int, list[Result]], bare: dict[int, list[float]]) -> Row:
    figures: dict[str, Figure | None] = {}
    for n, found in results.items():
        ratios = [result.per_second / floor for result, floor in zip(found, bare[n], strict=True)]
        figures |= {
            RATIO[n]: median(ratios, WANTED[n]) if live.subject.database == "postgresql" else None,
            f"{n}: per second": middle([result.per_second for result in found]),
            f"{n}: p99, ms": middle([result.p99 for result in found]),
        }
    figures["errors"] = exactly(sum(result.bad for found in results.values() for result in found))
    return Row(live.subject.title, figures)
