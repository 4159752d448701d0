"""Ending all sessions of a user, against logins and refreshes that are under way.

Mirrors `login_with_password` and `complete_login` with `start_session` (features/password/login.py, login/complete.py,
sessions/start.py), `refresh_session` (tokens/refresh.py), `end_all_sessions`, `log_out` (sessions/end.py),
`change_password` with `confirm` (features/password/change.py, sessions/confirm.py) and `change_user` (users/change.py).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from tests.models.explore import (
    Found,
    Part,
    Program,
    Rows,
    World,
    commit,
    explore,
    explore_each,
    insert,
    read,
    read_locked,
    rollback,
    update,
)
from tests.models.model import Model


class User(NamedTuple):
    epoch: int = 0
    active: bool = True
    password: str = "old"


class Session(NamedTuple):
    epoch: int
    ended: bool = False
    counter: int = 0


ROWS: Rows = {"user": User(), "mine": Session(0), "other": Session(0), "new": None}
NO_LOOK = "kept without a look"
NO_CONFIRM, NO_QUESTION = "confirm is gone", "claim_epoch asks nothing"
DOUBLED = (NO_CONFIRM, NO_QUESTION)
"""Guards of which either holds without the other."""
BUGS = {
    "epoch read late": "a login takes the epoch that the user has when the session begins, not when the proof began",
    "epoch not compared": "a session is live whatever the epoch of its user",
    "deactivation keeps the epoch": "deactivating a user does not end their sessions, they only do not count meanwhile",
    NO_LOOK: "a new password takes its session along without a look at user and session",
}


def is_live(rows: Rows, name: str, bug: str | None = None) -> bool:
    """sessions/models.py; the whole of it is one read."""
    session, user = rows[name], rows["user"]
    if session is None or session.ended or not user.active:
        return False
    return bug == "epoch not compared" or bool(session.epoch == user.epoch)


def login(bug: str | None) -> Program:
    """With the password that was right at first."""
    user = yield read("find_user_and_hash", lambda rows: rows["user"], "login read")
    if not user.active or user.password != "old":
        return
    if bug == "epoch read late":
        user = yield read("find_user", lambda rows: rows["user"])
    if not (yield update("record_login", "user", lambda u: u.active and u.epoch == user.epoch, lambda u: u)):
        yield rollback()
        return
    yield insert("insert_session", "new", Session(user.epoch))
    yield commit("logged in")


def refresh(bug: str | None) -> Program:
    session, live = yield read("find_session", lambda rows: (rows["other"], is_live(rows, "other", bug)))
    if live:
        yield update(
            "claim_refresh",
            "other",
            lambda s: s.counter == session.counter and not s.ended,
            lambda s: s._replace(counter=s.counter + 1),
        )
        yield commit()


def end_all(_bug: str | None) -> Program:
    yield update("raise_epoch", "user", lambda _: True, lambda u: u._replace(epoch=u.epoch + 1))
    yield read("session_epoch", lambda rows: rows["user"].epoch)
    yield commit("all ended")


def log_out(_bug: str | None) -> Program:
    yield update("claim_end", "mine", lambda s: not s.ended, lambda s: s._replace(ended=True))
    yield commit("logged out")


def change_password(bug: str | None, keep: str = "mine") -> Program:
    principal = yield read("live", lambda rows: (rows[keep], is_live(rows, keep, bug)))
    if not principal[1]:
        return
    if bug not in (NO_CONFIRM, NO_LOOK) and not (yield from confirm(principal[0], keep)):
        yield rollback()
        return
    if not (yield update("claim_hash", "user", lambda u: u.password == "old", lambda u: u._replace(password="new"))):
        yield rollback()
        return
    yield update("raise_epoch", "user", lambda _: True, lambda u: u._replace(epoch=u.epoch + 1))
    new = yield read("session_epoch", lambda rows: rows["user"].epoch)
    blind = bug in (NO_QUESTION, NO_LOOK)
    kept = yield update(
        "claim_epoch",
        keep,
        lambda s: blind or (s.epoch == new - 1 and not s.ended),
        lambda s: s._replace(epoch=new),
    )
    yield commit(f"changed by {keep}") if kept else rollback()


def confirm(session: Session, name: str) -> Part:
    """sessions/confirm.py"""
    if not (yield update("claim_user", "user", lambda u: u.active and u.epoch == session.epoch, lambda u: u)):
        return False
    found = yield read_locked("find_current_session", name)
    user = yield read("find_user", lambda rows: rows["user"])
    return not found.ended and found.epoch == user.epoch and user.active


def deactivate_and_activate(bug: str | None) -> Program:
    more = 0 if bug == "deactivation keeps the epoch" else 1
    yield read("find_user", lambda rows: rows["user"])
    yield update("update_user", "user", lambda _: True, lambda u: u._replace(active=False, epoch=u.epoch + more))
    yield commit("deactivated")
    yield update("update_user", "user", lambda _: True, lambda u: u._replace(active=True))
    yield commit("activated")


def check(world: World, bug: str | None) -> str | None:
    """What every request would find at this moment."""
    rows = dict(world.rows)
    live = {name for name in ("mine", "other", "new") if is_live(rows, name, bug)}
    ends = [fact for fact in world.facts if fact in ("all ended", "deactivated") or fact.startswith("changed")]
    for end in ends:
        keeper = end.removeprefix("changed by ")
        if late := live & {"mine", "other"} - {keeper}:
            return f"{' and '.join(sorted(late))} live after: {end}"
        if "new" in live and world.is_before("login read", end):
            return f"a login that was under way lives after: {end}"
    if "logged out" in world.facts and "mine" in live:
        return "it is live after the logout"
    if sum(end.startswith("changed") for end in ends) > 1:
        return "one password was replaced twice"
    if any(end.startswith("changed") for end in ends) and "new" in live:
        return "the old password logs in"
    return None


SCENES: tuple[Mapping[str, Callable[[str | None], Program]], ...] = (
    {"login": login, "refresh": refresh, "end all": end_all, "log out": log_out, "admin": deactivate_and_activate},
    {"login": login, "refresh": refresh, "change": change_password, "log out": log_out, "end all": end_all},
    {"login": login, "change": change_password, "also": partial(change_password, keep="other"), "end all": end_all},
    {"login": login, "change": change_password, "log out": log_out, "admin": deactivate_and_activate},
)


def explore_all(bug: str | None = None) -> Found:
    scenes = ({name: partial(program, bug) for name, program in scene.items()} for scene in SCENES)
    return explore_each(explore(ROWS, actors, check=partial(check, bug=bug)) for actors in scenes)


MODEL = Model("session epoch", "complete_login, refresh_session, end_all_sessions, change_password", explore_all, BUGS)
