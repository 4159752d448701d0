"""One lineage of refresh tokens: races, lost answers, retries, and a token that comes back.

Mirrors `refresh_session` (tokens/refresh.py) with `claim_refresh`, `find_current_session` and `claim_end`
(sessions/queries.py). A token is its counter: nobody can make one, who was sent one has it (tokens/refresh_token.py).

Two stories. *Honest*: clients that share one store of tokens ask at once, lose answers and ask again, all within the
grace; none may be logged out, and the newest token that anybody has must be the current one. *Theft*: a thief has a
copy of the first token, and time passes; of those who use a token twice, further apart than the grace, or use one
whose successor was used, none gets an answer, the session ends, and that is recorded once.
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
    note,
    read,
    read_locked,
    rollback,
    update,
)
from tests.models.model import Model

GRACE, LAST = 1, 2
"""Ticks: of the grace, and of the clock."""


class Session(NamedTuple):
    counter: int = 0
    refreshed_at: int = 0
    ended: bool = False


ROWS: Rows = {"user": "user", "session": Session(), "clock": 0, "store": 0, "answers": frozenset()}
BUGS = {
    "no compare-and-set": "the advance does not ask for the counter that was read",
    "loser does not look again": "who lost the advance judges by what it read before",
    "no grace": "the parent of the current token is never answered",
    "grace without end": "the parent is answered however late it comes",
    "grace for all": "within the grace every older token is answered, not the parent alone",
    "theft recorded blindly": "whoever finds a stolen token records it, whether or not the session had ended",
}


def refresh(bug: str | None, token: int, now: int) -> Part:
    """A request: the counter of the token that it is answered with, or None."""
    session = yield read("find_session", lambda rows: rows["session"])
    if session.ended:
        return None
    if token == session.counter:
        blind = bug == "no compare-and-set"
        if (
            yield update(
                "claim_refresh",
                "session",
                lambda s: (blind or s.counter == session.counter) and not s.ended,
                lambda s: s._replace(counter=s.counter + 1, refreshed_at=now),
            )
        ):
            yield commit()
            return session.counter + 1
        if bug != "loser does not look again":
            session = yield read_locked("find_current_session", "session")
            if session.ended:
                yield rollback()
                return None
    is_parent = token < session.counter if bug == "grace for all" else token == session.counter - 1
    in_time = bug == "grace without end" or now <= session.refreshed_at + GRACE
    if is_parent and in_time and bug != "no grace":
        yield rollback()
        return session.counter
    yield update("lock_user", "user", lambda _: True, lambda user: user)
    ended = yield update("claim_end", "session", lambda s: not s.ended, lambda s: s._replace(ended=True))
    recorded = ended or bug == "theft recorded blindly"
    yield commit("theft recorded") if recorded else rollback()
    return None


def client(bug: str | None) -> Program:
    """Takes the token from the store that it shares with others, and keeps what it is sent; tries again once."""
    token = yield act("look into the store", lambda rows: [(rows, rows["store"])])
    new = yield from refresh(bug, token, 0)
    if (yield choose("the answer", "arrives", "is lost")) == "is lost":
        new = yield from refresh(bug, token, 0)
    yield act("keep", lambda rows: [({**rows, "store": max(rows["store"], new or 0)}, None)])
    if new is None:
        yield note("logged out")


def holder(bug: str | None, times: int) -> Program:
    """Has the first token, as thief or as owner, and uses what it gets, so often."""
    token = 0
    for _ in range(times):
        begun, known = yield read(
            "begin", lambda rows: (rows["clock"], max((a.new for a in rows["answers"]), default=0))
        )
        new = yield from refresh(bug, token, begun)
        if new is None:
            yield note("refused")
            return
        yield act("is answered", partial(_answer, token, begun, known, new))
        token = new


class Answer(NamedTuple):
    """What a token was answered with; asked for and answered when; the newest token of anybody when it was asked."""

    token: int
    begun: int
    answered: int
    known: int
    new: int


def _answer(token: int, begun: int, known: int, new: int, rows: Rows) -> list[tuple[Rows, None]]:
    answer = Answer(token, begun, rows["clock"], known, new)
    return [({**rows, "answers": rows["answers"] | {answer}}, None)]


def clock() -> Program:
    for _ in range(LAST):
        yield act("tick", lambda rows: [({**rows, "clock": rows["clock"] + 1}, None)])


def nobody_is_logged_out(world: World) -> str | None:
    return "somebody honest was logged out" if world.row("session").ended or "logged out" in world.facts else None


def the_newest_is_current(world: World) -> str | None:
    newest, current = world.row("store"), world.row("session").counter
    return f"the clients have token {newest}, the session is at {current}" if newest != current else None


def theft_ends_it(world: World) -> str | None:
    answers = world.row("answers")
    for one in answers:
        if one.known >= one.token + 2:
            return f"token {one.token} was answered when {one.known} was out"
        if any(one.token == other.token and one.begun > other.answered + GRACE for other in answers):
            return f"token {one.token} was answered again after the grace"
    if world.facts.count("theft recorded") > 1:
        return "one theft was recorded twice"
    return None


def who_is_refused_saw_it_end(world: World) -> str | None:
    return "refused, and the session goes on" if "refused" in world.facts and not world.row("session").ended else None


def explore_all(bug: str | None = None) -> Found:
    tabs = {name: partial(client, bug) for name in ("tab", "other tab")}
    both = {name: partial(holder, bug, 2) for name in ("thief", "owner")}
    thieves = {name: partial(holder, bug, 1) for name in ("thief", "other thief")}
    after_two = {**ROWS, "session": Session(counter=2)}
    theft = partial(explore, check=theft_ends_it, at_end=who_is_refused_saw_it_end)
    return explore_each(
        tell()
        for tell in (
            partial(explore, ROWS, tabs, check=nobody_is_logged_out, at_end=the_newest_is_current),
            partial(theft, ROWS, {**both, "clock": clock}),
            partial(theft, after_two, thieves),
        )
    )


MODEL = Model("refresh", "refresh_session", explore_all, BUGS)
