"""SQL about sessions, one statement a function."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Insert,
    Integer,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    union_all,
    update,
)

from propusk.context import Context
from propusk.db.dialect import changed, read, read_current
from propusk.db.schema import Tables, prepared
from propusk.sessions.models import Session
from propusk.users.models import User

KNOWN_NETWORK = timedelta(days=30)
"""How long a network is remembered as one that a user logs in from."""
MOST_AGENTS = 1000
"""How many sessions from one network are looked at for a known device: the newest."""


def session_and_user(tables: Tables) -> Select[Any]:
    """Sessions with their users: the columns of both, in the order that `split_row` expects."""
    s, u = tables.sessions, tables.users
    return select(*s.c, *u.c).select_from(s.join(u, u.c.id == s.c.user_id))


def split_row(tables: Tables, row: Any) -> tuple[Session, User]:
    """A row of `session_and_user` as its two halves."""
    n = len(tables.sessions.c)
    return Session(*row[:n]), User(*row[n:])


async def find_session(ctx: Context, session_id: UUID) -> tuple[Session, User] | None:
    """A session with its user."""
    row = (await read(ctx.db, _by_id(ctx.tables), {"id": session_id})).first()
    return split_row(ctx.tables, row) if row is not None else None


async def find_session_of(ctx: Context, session_id: UUID, user_id: UUID) -> tuple[Session, User] | None:
    """The same, if it is this user's. Another's is not even read, so that time does not tell it from none."""
    row = (await read(ctx.db, _by_id_of_user(ctx.tables), {"id": session_id, "user_id": user_id})).first()
    return split_row(ctx.tables, row) if row is not None else None


@prepared
def _by_id_of_user(tables: Tables) -> Select[Any]:
    return _by_id(tables).where(tables.sessions.c.user_id == bindparam("user_id"))


@prepared
def _by_id(tables: Tables) -> Select[Any]:
    return session_and_user(tables).where(tables.sessions.c.id == bindparam("id"))


async def find_current_session(ctx: Context, session_id: UUID) -> Session | None:
    """A session in its newest committed state, locked. Not its user: who changes users locks them before sessions."""
    s = ctx.tables.sessions.c
    row = (await read(ctx.db, read_current(select(*s).where(s.id == session_id)))).first()
    return Session(*row) if row is not None else None


def _live(tables: Tables) -> ColumnElement[bool]:
    """What `models.is_live` says, in SQL; takes the parameter `now`."""
    s, u = tables.sessions.c, tables.users.c
    return and_(
        s.ended_at.is_(None),
        s.epoch == u.session_epoch,
        u.is_active,
        s.idle_expires_at > bindparam("now"),
        s.expires_at > bindparam("now"),
    )


async def list_live_sessions(
    ctx: Context, user_id: UUID, *, limit: int, before: tuple[datetime, UUID] | None = None
) -> list[Session]:
    """Live sessions of a user, newest first; `before` is the last one of the page before."""
    s, u = ctx.tables.sessions, ctx.tables.users
    wanted = [s.c.user_id == user_id, _live(ctx.tables)]
    if before is not None:
        wanted.append(or_(s.c.created_at < before[0], and_(s.c.created_at == before[0], s.c.id < before[1])))
    statement = select(*s.c).select_from(s.join(u, u.c.id == s.c.user_id)).where(*wanted)
    statement = statement.order_by(s.c.created_at.desc(), s.c.id.desc()).limit(limit)
    return [Session(*row) for row in await read(ctx.db, statement, {"now": ctx.now})]


async def count_sessions_of_epoch(ctx: Context, user_id: UUID, epoch: int) -> int:
    """How many sessions of a user were live under this epoch."""
    s = ctx.tables.sessions.c
    statement = select(func.count()).where(
        s.user_id == user_id,
        s.ended_at.is_(None),
        s.epoch == epoch,
        s.idle_expires_at > ctx.now,
        s.expires_at > ctx.now,
    )
    return int((await read(ctx.db, statement)).scalar_one())


async def insert_session(ctx: Context, session: Session) -> bool:
    """Insert a session; False when its user is gone."""
    values = {name: getattr(session, name) for name in Session.__slots__}
    return await changed(ctx.db, _insert(ctx.tables), values) == 1


@prepared
def _insert(tables: Tables) -> Insert:
    s, u = tables.sessions, tables.users
    values = select(*(bindparam(name, type_=s.c[name].type) for name in Session.__slots__))
    return insert(s).from_select(Session.__slots__, values.where(u.c.id == bindparam("user_id")))


async def claim_end(ctx: Context, session_id: UUID, user_id: UUID) -> bool:
    """End a session of this user that has not ended; False when there is none."""
    values = {"this_id": session_id, "this_user_id": user_id, "ended_at": ctx.now}
    return await changed(ctx.db, _end(ctx.tables), values) == 1


@prepared
def _end(tables: Tables) -> Update:
    s = tables.sessions
    mine = (s.c.id == bindparam("this_id"), s.c.user_id == bindparam("this_user_id"))
    return update(s).where(*mine, s.c.ended_at.is_(None)).values(ended_at=bindparam("ended_at"))


async def find_surplus_and_agents(ctx: Context, session: Session, *, keep: int) -> tuple[list[UUID], list[str]]:
    """What a session that begins finds, in one round trip: live sessions of its user beyond the newest `keep`, itself
    not counted, and the user agents of the user's other sessions from its network, ended ones included.
    """
    values = {"user_id": session.user_id, "this_id": session.id, "now": ctx.now, "keep": keep}
    rows = (await read(ctx.db, _surplus_and_agents(ctx.tables), values | {"network": session.network})).all()
    return [row[0] for row in rows if row[0] != session.id], [row[1] for row in rows if row[0] == session.id]


@prepared
def _surplus_and_agents(tables: Tables) -> CompoundSelect[Any]:
    """The rows of the second kind have the id of the session that begins."""
    s, this_id = tables.sessions, bindparam("this_id", type_=tables.sessions.c.id.type)
    others = (s.c.user_id == bindparam("user_id"), s.c.id != this_id)
    surplus = _surplus(tables).where(*others).subquery()
    # Bounded, for programs that log in each minute; the index has them in this order.
    near = select(s.c.user_agent).where(*others, s.c.network == bindparam("network"))
    agents = near.order_by(s.c.last_seen_at.desc()).limit(MOST_AGENTS).subquery()
    return union_all(select(*surplus.c), select(this_id, agents.c.user_agent).distinct())


def _surplus(tables: Tables) -> Select[Any]:
    s, u = tables.sessions, tables.users
    live = select(s.c.id, s.c.user_agent).select_from(s.join(u, u.c.id == s.c.user_id)).where(_live(tables))
    return live.order_by(s.c.created_at.desc(), s.c.id.desc()).offset(bindparam("keep", type_=Integer)).limit(1000)


async def raise_epoch(ctx: Context, user_id: UUID) -> int | None:
    """One more for the user's session epoch: every session of theirs is dead. Returns the new one, None if no user."""
    u = ctx.tables.users
    statement = update(u).where(u.c.id == user_id).values(session_epoch=u.c.session_epoch + 1)
    if await changed(ctx.db, statement) == 0:
        return None
    return int((await read(ctx.db, select(u.c.session_epoch).where(u.c.id == user_id))).scalar_one())


async def claim_user(ctx: Context, user_id: UUID, *, epoch: int) -> bool:
    """Lock an active user whose sessions have not all been ended since `epoch`; False when there is none."""
    u = ctx.tables.users
    statement = update(u).where(u.c.id == user_id, u.c.session_epoch == epoch, u.c.is_active)
    return await changed(ctx.db, statement.values(session_epoch=u.c.session_epoch)) == 1


async def find_current_user(ctx: Context, user_id: UUID) -> User | None:
    """A user in their newest committed state, locked."""
    u = ctx.tables.users.c
    row = (await read(ctx.db, read_current(select(*u).where(u.id == user_id)))).first()
    return User(*row) if row is not None else None


async def claim_epoch(ctx: Context, session_id: UUID, *, old: int, new: int) -> bool:
    """Take one live session along into the new epoch; False when it was dead already."""
    s = ctx.tables.sessions
    statement = update(s).where(s.c.id == session_id, s.c.epoch == old, s.c.ended_at.is_(None))
    return await changed(ctx.db, statement.values(epoch=new)) == 1


async def claim_refresh(ctx: Context, session: Session, *, idle_expires_at: datetime, refresh_key: bytes) -> bool:
    """Advance a session from the refresh token that `session` has to its successor; False when another did."""
    values = {
        "this_id": session.id,
        "this_counter": session.refresh_counter,
        "refresh_key": refresh_key,
        "refreshed_at": ctx.now,
        "last_seen_at": ctx.now,
        "idle_expires_at": idle_expires_at,
    }
    return await changed(ctx.db, _refresh(ctx.tables), values) == 1


@prepared
def _refresh(tables: Tables) -> Update:
    s = tables.sessions
    given: dict[str, Any] = {
        name: bindparam(name) for name in ("refresh_key", "refreshed_at", "last_seen_at", "idle_expires_at")
    }
    statement = update(s).values(refresh_counter=s.c.refresh_counter + 1, **given)
    return statement.where(
        s.c.id == bindparam("this_id"), s.c.refresh_counter == bindparam("this_counter"), s.c.ended_at.is_(None)
    )


def knows_network(tables: Tables) -> ColumnElement[bool]:
    """Whether the user of the row had a session from this `network` after `since`, ended ones included."""
    s, u = tables.sessions, tables.users
    recent = (s.c.user_id == u.c.id, s.c.network == bindparam("network"), s.c.last_seen_at > bindparam("since"))
    return exists(select(literal(1)).select_from(s).where(*recent).correlate(u))


async def delete_sessions(ctx: Context, *, idle_before: datetime, limit: int) -> int:
    """Delete sessions that could not be refreshed any more by then, at most `limit`; returns how many."""
    s = ctx.tables.sessions
    old = list((await read(ctx.db, select(s.c.id).where(s.c.idle_expires_at < idle_before).limit(limit))).scalars())
    return await changed(ctx.db, delete(s).where(s.c.id.in_(old))) if old else 0
