"""Ten times as many logins as can be hashed."""

from bench import subjects
from bench.flood import PATIENCE, Flooded, flood, login_seconds
from bench.row import Row, Table, exactly, middle
from bench.stable import Live, Stable

TIMES = 10
ACCEPTED, WELL = "answered to capacity", "well again after, s"
HEADINGS = [
    ACCEPTED,
    WELL,
    "turned away with 503",
    "their p99, ms",
    "without an answer",
    "capacity, logins/s",
    "memory grew by, MiB",
]
NOTE = (
    "An open loop: each login has a connection of its own, from one of 100 networks. Well again: from the end of the"
    " flood, whose clients then hang up, to the first login that takes no longer than twice its quiet time and 50 ms;"
    f" {PATIENCE} means that this was not waited for."
)


def run(stable: Stable) -> list[Table]:
    """Capacity by a closed loop of 16, then the flood."""
    ours = stable.live(subjects.SQLITE, subjects.POSTGRESQL)
    everybody = [*ours, *stable.live(subjects.FASTAPI_USERS, subjects.BETTER_AUTH)]
    rows = [_row(live, stable.seconds, live in ours) for live in everybody]
    return [Table("overload", f"{TIMES} times as many logins as can be hashed", HEADINGS, rows, NOTE)]


def _row(live: Live, seconds: int, ours: bool) -> Row:
    with live.awake():
        capacity = live.logins(connections=16, seconds=2 * seconds).per_second
        before = live.server.peak_mib()
        found = _flood(live, TIMES * capacity, seconds + 1)
        grew = live.server.peak_mib() - before
    return Row(
        live.subject.title,
        {
            ACCEPTED: middle([found.accepted / capacity]),
            WELL: middle([found.well_after], "≤ 1" if ours else ""),
            "turned away with 503": exactly(found.turned_away),
            "their p99, ms": middle([found.turned_away_p99]) if found.turned_away else None,
            "without an answer": exactly(found.open),
            "capacity, logins/s": middle([capacity]),
            "memory grew by, MiB": middle([grew]),
        },
    )


def _flood(live: Live, rate: float, seconds: int) -> Flooded:
    speech, port = live.subject.product.speech, live.server.port
    quiet = max(login_seconds(speech, port, email) for email in live.people[:3])
    return flood(speech, port, live.people[0], rate=rate, seconds=seconds, normal=2 * quiet + 0.05)
