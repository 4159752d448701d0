"""Why Redis does not say whether a session is live: protocols that might, and the faults that each does not survive.

Mirrors nothing: this is what we do not do (docs/decisions/0019). A session is `live` or `ended` in Redis, or not known
there; who finds nothing asks the database and fills what it found in, unless something has come meanwhile (SET NX).
Ending a session writes a tombstone. What is asked for after the end was acknowledged must be refused.
"""

from collections.abc import Callable
from functools import partial

from tests.models.explore import Found, Part, Program, Rows, World, act, commit, explore, explore_each, read, update
from tests.models.model import Model

REQUESTS = ("request one", "request two")
ROWS: Rows = {
    "ended": False,
    "acknowledged": False,
    "a": None,
    "b": None,
    "primary of the end": "a",
    "primary of the requests": "a",
    "run": 0,
    "silent": False,
    **dict.fromkeys(REQUESTS),
}
"""Two servers, `a` and its replica `b`; who ends sessions and who asks may take different ones for the primary."""

BEFORE = "tombstone before the commit"
AFTER = "tombstone after the commit"
BOTH = "before and after"
WAIT = "both, acknowledged by the replica"
FENCED = "both, acknowledged, fills bound to the run"
BUGS = {
    BEFORE: "the tombstone is written, then the transaction commits",
    AFTER: "the transaction commits, then the tombstone is written",
    BOTH: "the tombstone is written before the commit and again after it",
    WAIT: "the same, and each time a replica has it (WAIT), or nothing is acknowledged",
    FENCED: "the same, and what was missed before a restart or a failover is not filled in after it",
}


def request(protocol: str | None, name: str) -> Program:
    late = yield read("begin", lambda rows: rows["acknowledged"])
    found, run = None, None
    if protocol is not None:
        found, run = yield act("GET", lambda rows: [(rows, _get(rows))])
    lives = found == "live"
    if found is None or found == "silent":
        lives = yield read("read the database", lambda rows: not rows["ended"])
    if found is None and lives and protocol is not None:
        yield act("SET NX live", partial(_fill, run if protocol == FENCED else None))
    yield act("let in" if lives else "refuse", lambda rows: [({**rows, name: (late, lives)}, None)])


def _get(rows: Rows) -> tuple[str | None, int]:
    return ("silent" if rows["silent"] else rows[rows["primary of the requests"]]), rows["run"]


def _fill(run: int | None, rows: Rows) -> list[tuple[Rows, None]]:
    server = rows["primary of the requests"]
    if rows["silent"] or rows[server] is not None or run not in (None, rows["run"]):
        return [(rows, None)]
    return [({**rows, server: "live"}, None)]


def end(protocol: str | None) -> Program:
    if protocol in (BEFORE, BOTH, WAIT, FENCED):
        yield from tombstone(protocol)
    yield update("claim_end", "ended", lambda ended: not ended, lambda _: True)
    yield commit()
    if protocol in (AFTER, BOTH, WAIT, FENCED):
        yield from tombstone(protocol)
    yield act("acknowledge", lambda rows: [({**rows, "acknowledged": True}, None)])


def tombstone(protocol: str | None) -> Part:
    strict = protocol in (WAIT, FENCED)
    server = yield act("SET ended", partial(_bury, strict))
    if strict:
        yield act("WAIT", lambda rows: [(rows, None)] if server != "a" or rows["b"] == "ended" else [])


def _bury(strict: bool, rows: Rows) -> list[tuple[Rows, str]]:
    """A silent Redis keeps nobody from logging out, unless the protocol is strict."""
    server = rows["primary of the end"]
    if rows["silent"]:
        return [] if strict else [(rows, server)]
    return [({**rows, server: "ended"}, server)]


def replication() -> Program:
    """The replica follows, some time or other."""
    while True:
        yield act("replicate", lambda rows: [({**rows, "b": rows["a"]}, None)] if _follows(rows) else [])


def _follows(rows: Rows) -> bool:
    return rows["primary of the end"] == "a" and not rows["silent"] and rows["a"] != rows["b"]


def _happens(label: str, **changes: object) -> Part:
    yield act(label, lambda rows: [({**rows, **changes}, None)])


def _silence() -> Program:
    yield from _happens("Redis is paused", silent=True)
    yield from _happens("Redis goes on", silent=False)


def _empty() -> Program:
    yield from _happens("Redis restarts empty", a=None, run=1)


def _failover() -> Program:
    yield from _happens("the replica is promoted", **_primaries("b", "b"), run=1)


def _split() -> Program:
    yield from _happens("the replica is promoted, who asks is cut off with the old one", **_primaries("b", "a"))


def _primaries(of_end: str, of_requests: str) -> dict[str, object]:
    return {"primary of the end": of_end, "primary of the requests": of_requests}


def _nothing() -> Program:
    yield from ()


FAULTS: dict[str, Callable[[], Program]] = {
    "none": _nothing,
    "paused": _silence,
    "restarted empty": _empty,
    "failover": _failover,
    "split": _split,
}


def check(world: World) -> str | None:
    if (True, True) in map(world.row, REQUESTS):
        return "a request that began after the acknowledgement was let in"
    return None


def explore_one(protocol: str | None, fault: str) -> Found:
    actors: dict[str, Callable[[], Program]] = {name: partial(request, protocol, name) for name in REQUESTS}
    actors |= {"end": partial(end, protocol), "replication": replication, "fault": FAULTS[fault]}
    return explore(ROWS, actors, check=check, may_wait={"replication", "end"})


def explore_all(protocol: str | None = None) -> Found:
    """Under every fault; without a protocol the database is asked each time."""
    return explore_each(explore_one(protocol, fault) for fault in FAULTS)


MODEL = Model("liveness from Redis, as we do not have it", "the database is asked each time", explore_all, BUGS)
