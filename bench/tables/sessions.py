"""The list of one's sessions, to the floor."""

from collections.abc import Mapping

import httpx

from bench import subjects
from bench.load import Result
from bench.row import Row, Table, median, middle
from bench.stable import Live, Stable, Town

RATIO = "to the floor"
HEADINGS = [RATIO, "requests/s", "p99, ms", "errors"]
SESSIONS = 5


def run(stable: Stable) -> list[Table]:
    """Everybody that has such a list; FastAPI Users has none."""
    floor, *everybody = stable.live(subjects.FASTAPI, *subjects.OURS, subjects.CRUDAUTH, subjects.BETTER_AUTH)
    for live in everybody:
        _log_in_elsewhere(live)
    found: dict[str, list[tuple[Result, Result]]] = {live.subject.key: [] for live in everybody}
    for _ in range(stable.rounds):
        with floor.awake():
            empty = floor.me(connections=16, seconds=stable.seconds)
        for live in everybody:
            with live.awake():
                result = live.ask(live.subject.product.speech.sessions, connections=16, seconds=stable.seconds_of(live))
            found[live.subject.key].append((empty, result))
    rows = [_row(live.subject.title, found[live.subject.key]) for live in everybody]
    title = f"list of a user's {SESSIONS} sessions, 16 connections"
    return [Table("sessions", title, HEADINGS, rows)]


def _log_in_elsewhere(live: Live) -> None:
    """Until the list is as long as everybody's: some registrations are logins, too."""
    speech = live.subject.product.speech
    with live.awake(), live.client() as client:
        for owner, caller in enumerate(live.callers[:: Town.sessions]):
            while len(_listed(client, speech.sessions, caller)) < SESSIONS:
                speech.log_in(client, f"owner{owner}@example.com")


def _listed(client: httpx.Client, path: str, caller: Mapping[str, str]) -> list[object]:
    client.cookies.clear()
    answer = client.get(path, headers=caller)
    found = answer.raise_for_status().json()
    listed: list[object] = found["items"] if isinstance(found, dict) else found
    return listed


def _row(name: str, pairs: list[tuple[Result, Result]]) -> Row:
    return Row(
        name,
        {
            RATIO: median([result.per_second / empty.per_second for empty, result in pairs]),
            "requests/s": middle([result.per_second for _, result in pairs]),
            "p99, ms": middle([result.p99 for _, result in pairs]),
            "errors": middle([sum(result.bad for _, result in pairs)]),
        },
    )
