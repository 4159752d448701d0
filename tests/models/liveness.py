"""The end of sessions, against the batched reads by which requests find out whether theirs is live.

Mirrors `RowReader` with `_Kept` (db/reader.py), `Batches` (db/batches.py), `LiveSessions.get` (sessions/live.py),
`claim_end` and `raise_epoch` (sessions/queries.py). Requests that wait at the same moment share a statement; a
connection that breaks in the middle of one is replaced, and the statement repeated. What is asked for after the end was
acknowledged must be refused, and a session that a new password kept must never be.
"""

from functools import partial
from typing import NamedTuple

from tests.models.explore import (
    Found,
    Part,
    Program,
    Rows,
    World,
    act,
    choose,
    commit,
    explore,
    explore_each,
    read,
    update,
)
from tests.models.model import Model

REQUESTS = ("one", "two", "three")


class Session(NamedTuple):
    epoch: int = 0
    ended: bool = False


ROWS: Rows = {
    "user": 0,
    "session": Session(),
    "kept": Session(),
    "waiting": frozenset(),
    "sent": frozenset(),
    "acknowledged": False,
} | dict.fromkeys(REQUESTS)
BUGS = {
    "joins the statement under way": "who asks while a statement is under way waits for its answer",
    "reads in a transaction": "the connection stays in one transaction, and REPEATABLE READ sees what it saw first",
    "answers from memory": "a row that was read once is not read again",
    "two statements": "the user is read first, the session in a second statement",
}


class Answer(NamedTuple):
    """Whether the request began after the end was acknowledged, and which sessions it finds live, once it knows."""

    late: bool
    ended_lives: bool | None = None
    kept_lives: bool | None = None


def request(bug: str | None, name: str) -> Program:
    yield act("ask", partial(_ask, bug, name))


def _ask(bug: str | None, name: str, rows: Rows) -> list[tuple[Rows, None]]:
    joins = bug == "joins the statement under way" and rows["sent"]
    queue = "sent" if joins else "waiting"
    return [({**rows, queue: rows[queue] | {name}, name: Answer(rows["acknowledged"])}, None)]


def batches(bug: str | None) -> Program:
    """The task that sends what waits, a statement for all of it."""
    known = None
    while True:
        yield act("take what waits", _take)
        if known is None or bug not in ("reads in a transaction", "answers from memory"):
            known = yield from _fetch(bug)
        if (yield choose("the connection", "holds", "breaks")) == "breaks":
            known = yield from _fetch(bug)
        yield act("tell", partial(_tell, known))


def _fetch(bug: str | None) -> Part:
    """Runs at one moment, somewhere between its way there and its way back."""
    if bug == "two statements":
        user = yield read("read user", lambda rows: rows["user"])
        return (yield read("read session", lambda rows: _live({**rows, "user": user})))
    return (yield read("read", _live))


def _live(rows: Rows) -> tuple[bool, bool]:
    """Of the session that is to end, and of the one that is kept."""
    ended, kept = (not rows[name].ended and rows[name].epoch == rows["user"] for name in ("session", "kept"))
    return ended, kept


def _take(rows: Rows) -> list[tuple[Rows, None]]:
    if not rows["waiting"]:
        return []
    return [({**rows, "sent": rows["waiting"], "waiting": frozenset()}, None)]


def _tell(known: tuple[bool, bool], rows: Rows) -> list[tuple[Rows, None]]:
    answers = {name: Answer(rows[name].late, *known) for name in rows["sent"]}
    return [({**rows, "sent": frozenset()} | answers, None)]


def end() -> Program:
    yield update("claim_end", "session", lambda s: not s.ended, lambda s: s._replace(ended=True))
    yield commit()
    yield act("acknowledge", lambda rows: [({**rows, "acknowledged": True}, None)])


def end_others() -> Program:
    """What a new password does: the epoch is raised, and one session taken along."""
    yield update("raise_epoch", "user", lambda _: True, lambda epoch: epoch + 1)
    yield update("claim_epoch", "kept", lambda s: not s.ended, lambda s: s._replace(epoch=1))
    yield commit()
    yield act("acknowledge", lambda rows: [({**rows, "acknowledged": True}, None)])


def check(world: World) -> str | None:
    for answer in filter(None, map(world.row, REQUESTS)):
        if answer.late and answer.ended_lives:
            return "a request that began after the acknowledgement was let in"
        if answer.kept_lives is False:
            return "a request of the session that was kept was refused"
    return None


def everybody_is_answered(world: World) -> str | None:
    return "nobody answers" if any(world.row(name).kept_lives is None for name in REQUESTS) else None


def explore_all(bug: str | None = None) -> Found:
    actors = {name: partial(request, bug, name) for name in REQUESTS} | {"batches": partial(batches, bug)}
    return explore_each(
        explore(ROWS, {**actors, "end": ending}, check=check, at_end=everybody_is_answered, may_wait={"batches"})
        for ending in (end, end_others)
    )


MODEL = Model("batched liveness read", "RowReader.get, claim_end, end_all_sessions", explore_all, BUGS)
