"""A host's own endpoint with a caller, to the same endpoint of the same process without one."""

from bench import subjects
from bench.load import Request, Result
from bench.load import run as load
from bench.row import Row, Table, median, middle
from bench.stable import Live, Stable

RATIO, P99 = "to the same without a caller", "p99 to the same's"
EMPTY = "with an empty dependency instead"
HEADINGS = [RATIO, EMPTY, P99, "requests/s", "p99, ms", "errors"]
NOTE = (
    "An empty dependency is an async function that takes nothing and does nothing: what FastAPI itself takes for one."
)


def run(stable: Stable) -> list[Table]:
    """Without and with, in turns."""
    hosts = stable.live(*subjects.HOSTS)
    everybody = [*hosts, *stable.live(subjects.FASTAPI_USERS, subjects.CRUDAUTH)]
    found: dict[str, list[tuple[Result, Result]]] = {live.subject.key: [] for live in everybody}
    empty: dict[str, list[float]] = {live.subject.key: [] for live in hosts}
    for _ in range(stable.rounds):
        for live in everybody:
            plain, mine = _pair(live, stable.seconds_of(live))
            found[live.subject.key].append((plain, mine))
            if live in hosts:
                with live.awake():
                    nobody = live.ask("/nobody", connections=64, seconds=stable.seconds)
                empty[live.subject.key].append(nobody.per_second / plain.per_second)
    stable.end(*subjects.HOSTS)
    rows = [_row(live.subject.title, found[live.subject.key], empty.get(live.subject.key)) for live in everybody]
    return [Table("host", "a host's endpoint with its caller, 64 connections", HEADINGS, rows, NOTE)]


def _pair(live: Live, seconds: int) -> tuple[Result, Result]:
    speech = live.subject.product.speech
    with live.awake():
        plain = load(live.server.url + speech.plain, Request(), connections=64, seconds=seconds)
        return plain, live.ask("/mine", connections=64, seconds=seconds)


def _row(name: str, pairs: list[tuple[Result, Result]], empty: list[float] | None) -> Row:
    return Row(
        name,
        {
            RATIO: median([mine.per_second / plain.per_second for plain, mine in pairs], "≥ 0.8" if empty else ""),
            EMPTY: median(empty) if empty else None,
            P99: middle([mine.p99 / plain.p99 for plain, mine in pairs]),
            "requests/s": middle([mine.per_second for _, mine in pairs]),
            "p99, ms": middle([mine.p99 for _, mine in pairs]),
            "errors": middle([sum(plain.bad + mine.bad for plain, mine in pairs)]),
        },
    )
