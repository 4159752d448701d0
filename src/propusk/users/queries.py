"""SQL about users, one statement a function."""

import re
import unicodedata
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Update, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from propusk.context import Context
from propusk.db.dialect import changed, insert_if_absent
from propusk.db.engine import release
from propusk.db.schema import Tables, prepared
from propusk.errors import EmailTaken, UserInUse, UsernameTaken
from propusk.users.models import User


async def find_user(ctx: Context, user_id: UUID) -> User | None:
    """The user of this id."""
    users = ctx.tables.users
    row = (await ctx.db.execute(select(*users.c).where(users.c.id == user_id))).first()
    return User(*row) if row is not None else None


async def find_user_by(ctx: Context, column: Literal["email", "username"], key: str) -> User | None:
    """The user of this e-mail or username, by its normalised key."""
    users = ctx.tables.users
    row = (await ctx.db.execute(select(*users.c).where(users.c[f"{column}_key"] == key))).first()
    return User(*row) if row is not None else None


async def insert_user(ctx: Context, user: User) -> bool:
    """Insert a user; False when the e-mail or the username is taken."""
    users = ctx.tables.users
    return await insert_if_absent(ctx.db, users, {key: getattr(user, key) for key in users.c.keys()})  # noqa: SIM118


async def update_user(ctx: Context, user_id: UUID, values: Mapping[str, Any]) -> bool:
    """Set columns of a user; False when there is none.

    Raises:
        EmailTaken, UsernameTaken: somebody else took it a moment ago.
    """
    users = ctx.tables.users
    try:
        return await changed(ctx.db, update(users).where(users.c.id == user_id).values(**values)) == 1
    except IntegrityError as error:
        raise _taken(values, error) from None


def _taken(values: Mapping[str, Any], error: IntegrityError) -> EmailTaken | UsernameTaken:
    if "username_key" not in values:
        return EmailTaken()
    # With both at once, the message decides: all three databases name the constraint or the column in it.
    names = ("users_username_key", "users.username_key")
    return UsernameTaken() if "email_key" not in values or any(n in str(error.orig) for n in names) else EmailTaken()


async def record_login(ctx: Context, user_id: UUID) -> bool:
    """Set when a user last logged in; False when there is none."""
    return await changed(ctx.db, _record_login(ctx.tables), {"this_id": user_id, "last_login_at": ctx.now}) == 1


@prepared
def _record_login(tables: Tables) -> Update:
    users = tables.users
    return update(users).where(users.c.id == bindparam("this_id")).values(last_login_at=bindparam("last_login_at"))


async def delete_user(ctx: Context, user_id: UUID) -> bool:
    """Delete a user; what belongs to them goes by the foreign keys. False when there is none.

    Raises:
        UserInUse: a foreign key of the host's refuses.
    """
    users = ctx.tables.users
    try:
        return await changed(ctx.db, delete(users).where(users.c.id == user_id)) == 1
    except IntegrityError:
        raise UserInUse from None


async def lock_superusers(ctx: Context) -> None:
    """Wait for everybody else who decides over who administers; held until the end of the transaction."""
    locks = ctx.tables.locks
    await changed(ctx.db, update(locks).where(locks.c.name == "superusers").values(n=locks.c.n + 1))


async def count_other_superusers(ctx: Context, user_id: UUID) -> int:
    """How many active superusers there are besides this user."""
    users = ctx.tables.users
    statement = select(func.count()).where(users.c.is_superuser, users.c.is_active, users.c.id != user_id)
    return int((await ctx.db.execute(statement)).scalar_one())


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
        pattern = func.lower(re.sub("([/%_])", r"/\1", text) + "%")
        wanted.append(
            or_(
                u.email_key.startswith(prefix, autoescape=True),
                # An international domain is in the key as A-labels, and nobody searches for these.
                func.lower(u.email).like(pattern, escape="/"),
                u.username_key.startswith(prefix, autoescape=True),
                func.lower(u.name).like(pattern, escape="/"),
            )
        )
    wanted += [u[name] == value for name, value in (flags or {}).items()]
    if created_after is not None:
        wanted.append(u.created_at > created_after)
    if created_before is not None:
        wanted.append(u.created_at < created_before)
    statement = select(*u).where(*wanted).order_by(u.created_at.desc(), u.id.desc()).limit(limit)
    return [User(*row) for row in await ctx.db.execute(statement)]


async def stream_users(ctx: Context, *, page: int = 500) -> AsyncIterator[User]:
    """Every user, newest first, a page at a time in memory and no connection held between pages."""
    before = None
    while users := await list_users(ctx, limit=page, before=before):
        await release(ctx.db)
        for user in users:
            yield user
        before = (users[-1].created_at, users[-1].id)
