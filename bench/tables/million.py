"""The same with ten thousand and with a million users in the database."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench import load, subjects
from bench.crowd import add_crowd, some_of
from bench.row import Row, Table, median, middle
from bench.stable import Live, Stable, Town, populate
from bench.subjects import Subject

SIZES = (10_000, 1_000_000)
ME, LOGIN = "`GET /users/me` to 10 thousand users", "login to 10 thousand users"
HEADINGS = [LOGIN, ME, "logins/s with a million", "requests/s with a million", "errors"]
WANTED = "≥ 0.97"


def run(stable: Stable) -> list[Table]:
    """Few and many in turns, each with people from all over the table."""
    stable.end()  # it needs nobody but its own
    rows = []
    for subject in (subjects.POSTGRESQL, subjects.FASTAPI_USERS):
        if stable.can(subject):
            with ExitStack() as stack:
                few, many = [stack.enter_context(_crowded(stable, subject, size)) for size in SIZES]
                rows.append(_compare(stable, few, many, WANTED if subject is subjects.POSTGRESQL else ""))
    title = "a million users on PostgreSQL; logins at 16 connections, the rest at 64"
    return [Table("million", title, HEADINGS, rows)] if rows else []


@contextmanager
def _crowded(stable: Stable, subject: Subject, size: int) -> Iterator[tuple[Live, load.Request]]:
    speech = subject.product.speech
    with stable.place(subject, f"_{size}") as place, stable.started(subject, place) as server:
        _, people = populate(subject, server, Town(1, 1, 1))
        add_crowd(subject, place.database_url, people[0], size)
        live = Live(subject, server, [], some_of(size, 1000))
        with live.client() as client:
            callers = [speech.credentials(speech.log_in(client, email)) for email in live.people[:20]]
        server.freeze()
        yield live, load.Request(callers=callers)


def _compare(stable: Stable, few: tuple[Live, load.Request], many: tuple[Live, load.Request], wanted: str) -> Row:
    found = []
    for n in range(stable.rounds if wanted else 1):
        # Who comes second finds the database busy with what the first has left: they take turns in that, too.
        one, other = (few, many) if n % 2 == 0 else (many, few)
        pair = _round(*one, stable.seconds), _round(*other, stable.seconds)
        found.append(pair if one is few else pair[::-1])
    return Row(
        few[0].subject.title,
        {
            LOGIN: median([large[1].per_second / small[1].per_second for small, large in found], wanted),
            ME: median([large[0].per_second / small[0].per_second for small, large in found], wanted),
            "logins/s with a million": middle([large[1].per_second for _, large in found]),
            "requests/s with a million": middle([large[0].per_second for _, large in found]),
            "errors": middle([sum(result.bad for pair in found for both in pair for result in both)]),
        },
    )


def _round(live: Live, me: load.Request, seconds: int) -> tuple[load.Result, load.Result]:
    with live.awake():
        url = live.server.url + live.subject.product.speech.me
        asked = load.run(url, me, connections=64, seconds=seconds)
        return asked, live.logins(connections=16, seconds=2 * seconds)
