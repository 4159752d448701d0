"""SQL about users, one statement a function."""

import re
import unicodedata
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Table, Update, and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from propusk.context import Context, all_or_nothing
from propusk.db.dialect import changed, check_deferred, insert_if_absent, lower, read, read_current
from propusk.db.schema import Tables, prepared
from propusk.db.transactions import release
from propusk.errors import EmailTaken, UserInUse, UsernameTaken
from propusk.users.models import User


async def find_user(ctx: Context, user_id: UUID) -> User | None:
    """The user of this id."""
    users = ctx.tables.users
    row = (await read(ctx.db, select(*users.c).where(users.c.id == user_id))).first()
    return User(*row) if row is not None else None


async def find_user_by(ctx: Context, column: Literal["email", "username"], key: str) -> User | None:
    """The user of this e-mail or username, by its normalised key."""
    users = ctx.tables.users
    row = (await read(ctx.db, select(*users.c).where(users.c[f"{column}_key"] == key))).first()
    return User(*row) if row is not None else None


async def lock_user(ctx: Context, user_id: UUID) -> bool:
    """Wait for everybody else who changes this user or their credentials; held until the end of the transaction. False
    when there is no such user. It comes before the locks of sessions, the password and tokens.
    """
    users = ctx.tables.users
    statement = update(users).where(users.c.id == user_id).values(session_epoch=users.c.session_epoch)
    return await changed(ctx.db, statement) == 1


async def insert_user(ctx: Context, user: User) -> None:
    """Insert a user.

    Raises:
        EmailTaken, UsernameTaken
        IntegrityError: a constraint of the host's own refuses, and is named.
    """
    tables = ctx.tables
    values = {key: getattr(user, key) for key in tables.users.c.keys()}  # noqa: SIM118
    if tables.host is not None:
        values |= tables.host.values_for(user)
    if not await insert_if_absent(ctx.db, tables.new_users, values):
        await _check_free(ctx, user)
        # So it is something else that must be unique, and the database says what; or who was in the way has gone.
        await changed(ctx.db, insert(tables.new_users).values(**values))


async def _check_free(ctx: Context, user: User) -> None:
    u = ctx.tables.users.c
    for column, taken in (("email", EmailTaken), ("username", UsernameTaken)):
        if getattr(user, column) is None:
            continue
        same = u[f"{column}_key"] == getattr(user, f"{column}_key")
        if ctx.tables.host is not None:
            # The collation of the host's column may hold more for equal than our keys do.
            same |= u[column] == getattr(user, column)
        # Shared: on MariaDB everybody who lost this race holds such a lock already.
        found = await read(ctx.db, read_current(select(u.id).where(same).limit(1), shared=True))
        if found.first() is not None:
            raise taken


async def update_user(ctx: Context, user_id: UUID, values: Mapping[str, Any]) -> bool:
    """Set columns of a user; False when there is none.

    Raises:
        EmailTaken, UsernameTaken: somebody else took it a moment ago.
        IntegrityError: a constraint of the host's own refuses.
    """
    users = ctx.tables.users
    statement = update(users).where(users.c.id == user_id).values(**values)
    if not values.keys() & {"email_key", "username_key"}:
        return await changed(ctx.db, statement) == 1
    try:
        async with all_or_nothing(ctx):
            return await changed(ctx.db, statement) == 1
    except IntegrityError as error:
        raise _taken(users, values, error) from None


def _taken(users: Table, values: Mapping[str, Any], error: IntegrityError) -> EmailTaken | UsernameTaken:
    if "username_key" not in values:
        return EmailTaken()
    # With both at once, the message decides: all three databases name the constraint or the column in it.
    names = [f"{users.name}{sign}{users.c.username_key.name}" for sign in "_."]
    return UsernameTaken() if "email_key" not in values or any(n in str(error.orig) for n in names) else EmailTaken()


async def record_login(ctx: Context, user_id: UUID, *, epoch: int) -> bool:
    """Set when a user last logged in, and lock them; False when there is no active one whose sessions have not all been
    ended since `epoch`. Who ends them and has yet to commit is waited for: every database looks again after that.
    """
    values = {"this_id": user_id, "this_epoch": epoch, "last_login_at": ctx.now}
    return await changed(ctx.db, _record_login(ctx.tables), values) == 1


@prepared
def _record_login(tables: Tables) -> Update:
    u = tables.users
    as_read = (u.c.id == bindparam("this_id"), u.c.session_epoch == bindparam("this_epoch"), u.c.is_active)
    return update(u).where(*as_read).values(last_login_at=bindparam("last_login_at"))


async def delete_user(ctx: Context, user_id: UUID) -> bool:
    """Delete a user; what belongs to them goes by the foreign keys. False when there is none.

    Raises:
        UserInUse: a foreign key of the host's refuses.
    """
    users = ctx.tables.users
    try:
        found = await changed(ctx.db, delete(users).where(users.c.id == user_id)) == 1
        await check_deferred(ctx.db)
        return found
    except IntegrityError:
        raise UserInUse from None


async def list_unverified(
    ctx: Context, *, before: datetime, after: tuple[datetime, UUID] | None, limit: int
) -> list[tuple[UUID, datetime]]:
    """Id and creation of users who have not verified their address, nor been changed, since `before`; oldest first.

    Args:
        after: creation and id of the last one of the page before.
    """
    u = ctx.tables.users.c
    wanted = [u.is_verified.is_(False), u.is_superuser.is_(False), u.created_at < before, u.updated_at < before]
    if after is not None:
        wanted.append(or_(u.created_at > after[0], and_(u.created_at == after[0], u.id > after[1])))
    statement = select(u.id, u.created_at).where(*wanted).order_by(u.created_at, u.id).limit(limit)
    return [(user_id, created_at) for user_id, created_at in await read(ctx.db, statement)]


async def claim_unverified(ctx: Context, user_id: UUID, *, before: datetime) -> bool:
    """Lock a user who has still not verified their address, nor been changed, since `before`; False when they have."""
    users = ctx.tables.users
    same = (users.c.id == user_id, users.c.is_verified.is_(False), users.c.is_superuser.is_(False))
    statement = update(users).where(*same, users.c.updated_at < before).values(session_epoch=users.c.session_epoch)
    return await changed(ctx.db, statement) == 1


async def lock_superusers(ctx: Context) -> None:
    """Wait for everybody else who decides over who administers; held until the end of the transaction."""
    locks = ctx.tables.locks
    lock = update(locks).where(locks.c.name == "superusers").values(n=locks.c.n + 1)
    while await changed(ctx.db, lock) == 0:
        # Where a host's history made the table, it is empty. Who loses this insert waited for who won, and locks now.
        if await insert_if_absent(ctx.db, locks, {"name": "superusers", "n": 0}):
            return


async def count_other_superusers(ctx: Context, user_id: UUID) -> int:
    """How many active superusers there are besides this user."""
    users = ctx.tables.users
    statement = select(func.count()).where(users.c.is_superuser, users.c.is_active, users.c.id != user_id)
    return int((await read(ctx.db, statement)).scalar_one())


async def list_users(
    ctx: Context,
    *,
    limit: int,
    before: tuple[datetime, UUID] | None = None,
    q: str | None = None,
    flags: Mapping[str, bool] | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
) -> list[User]:
    """Users, newest first.

    Args:
        limit: how many at most.
        before: created and id of the last user of the page before.
        q: a prefix of the e-mail, the username or the name, without regard to case.
        flags: `is_active`, `is_verified`, `is_superuser` to select by.
    """
    u = ctx.tables.users.c
    wanted: list[ColumnElement[bool]] = []
    if before is not None:
        wanted.append(or_(u.created_at < before[0], and_(u.created_at == before[0], u.id < before[1])))
    if q:
        text = unicodedata.normalize("NFC", q)
        prefix = text.lower()
        # Folded on both sides by the database: its idea of lower case is not Python's.
        pattern = lower(ctx.db, re.sub("([/%_])", r"/\1", text) + "%")
        wanted.append(
            or_(
                u.email_key.startswith(prefix, autoescape=True),
                # An international domain is in the key as A-labels, and nobody searches for these.
                lower(ctx.db, u.email).like(pattern, escape="/"),
                u.username_key.startswith(prefix, autoescape=True),
                lower(ctx.db, u.name).like(pattern, escape="/"),
            )
        )
    wanted += [u[name] == value for name, value in (flags or {}).items()]
    if created_after is not None:
        wanted.append(u.created_at > created_after)
    if created_before is not None:
        wanted.append(u.created_at < created_before)
    statement = select(*u).where(*wanted).order_by(u.created_at.desc(), u.id.desc()).limit(limit)
    return [User(*row) for row in await read(ctx.db, statement)]


async def stream_users(ctx: Context, *, page: int = 500) -> AsyncIterator[User]:
    """Every user, newest first, a page at a time in memory and no connection held between pages."""
    before = None
    while users := await list_users(ctx, limit=page, before=before):
        await release(ctx.db)
        for user in users:
            yield user
        before = (users[-1].created_at, users[-1].id)
