"""SQL about single-use tokens, one statement a function."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Table,
    Text,
    and_,
    case,
    delete,
    exists,
    func,
    literal,
    not_,
    select,
    type_coerce,
    update,
)

from propusk.context import Context
from propusk.db.dialect import changed, insert_if_absent, read
from propusk.one_time.models import OneTimeToken, Purpose


async def insert_token(ctx: Context, token: OneTimeToken) -> bool:
    """Insert a token; False when there is one with its id."""
    values = {name: getattr(token, name) for name in OneTimeToken.__slots__}
    return await insert_if_absent(ctx.db, ctx.tables.one_time_tokens, values)


async def find_token(ctx: Context, token_id: UUID) -> OneTimeToken | None:
    """The token of this id, whatever its state."""
    t = ctx.tables.one_time_tokens
    row = (await read(ctx.db, select(*t.c).where(t.c.id == token_id))).first()
    return _token(row) if row is not None else None


async def find_by_digest(ctx: Context, digest: bytes) -> OneTimeToken | None:
    """The token with this digest, whatever its state."""
    t = ctx.tables.one_time_tokens
    row = (await read(ctx.db, select(*t.c).where(t.c.digest == digest))).first()
    return _token(row) if row is not None else None


def _token(row: Sequence[object]) -> OneTimeToken:
    identity, purpose, *rest = row
    return OneTimeToken(identity, Purpose(purpose), *rest)  # type: ignore[arg-type]


def _used(ctx: Context) -> dict[str, Any]:
    """What is set in a token that is used up. A registration is over then: what it was to make is kept no longer."""
    t = ctx.tables.one_time_tokens.c
    return {"used_at": ctx.now, "payload": case((t.purpose == Purpose.REGISTER, _nothing(t.payload)), else_=t.payload)}


def _nothing(payload: ColumnElement[Any]) -> ColumnElement[Any]:
    return literal({}, payload.type)


async def claim_token(ctx: Context, token_id: UUID) -> bool:
    """Use a token up; False when it was used or has expired."""
    t = ctx.tables.one_time_tokens
    statement = update(t).where(t.c.id == token_id, t.c.used_at.is_(None), t.c.expires_at > ctx.now)
    return await changed(ctx.db, statement.values(**_used(ctx))) == 1


async def kill_tokens(ctx: Context, user_id: UUID, *purposes: Purpose, since: datetime | None = None) -> None:
    """Use up every token of a user with these purposes; with `since`, only those made then or later."""
    t = ctx.tables.one_time_tokens
    statement = update(t).where(t.c.user_id == user_id, t.c.purpose.in_(purposes), t.c.used_at.is_(None))
    if since is not None:
        statement = statement.where(t.c.created_at >= since)
    await changed(ctx.db, statement.values(**_used(ctx)))


async def kill_tokens_about(ctx: Context, email_key: str, *purposes: Purpose) -> None:
    """Use up every token with these purposes that is about this address."""
    t = ctx.tables.one_time_tokens
    statement = update(t).where(t.c.email_key == email_key, t.c.purpose.in_(purposes), t.c.used_at.is_(None))
    await changed(ctx.db, statement.values(**_used(ctx)))


async def kill_surplus(ctx: Context, token: OneTimeToken, *, keep: int) -> None:
    """Use up the oldest live tokens of the same user (or, of nobody, the same address) and purpose beyond `keep`, the
    new one counted. That one lives, even if the clock was set back and others seem newer.
    """
    t = ctx.tables.one_time_tokens
    whose = t.c.user_id == token.user_id if token.user_id else (t.c.email_key == token.email_key)
    others = (t.c.id != token.id, whose, t.c.purpose == token.purpose, t.c.used_at.is_(None), t.c.expires_at > ctx.now)
    newest = select(t.c.id).where(*others).order_by(t.c.created_at.desc(), t.c.id.desc())
    statement = newest.offset(keep - 1).limit(100)
    surplus = list((await read(ctx.db, statement)).scalars())
    if surplus:
        await changed(ctx.db, update(t).where(t.c.id.in_(surplus)).values(**_used(ctx)))


async def find_newest(ctx: Context, user_id: UUID, purpose: Purpose) -> datetime | None:
    """When a user's newest token of one purpose was made, whatever its state; None if there is none."""
    t = ctx.tables.one_time_tokens
    statement = select(func.max(t.c.created_at)).where(t.c.user_id == user_id, t.c.purpose == purpose)
    found: datetime | None = (await read(ctx.db, statement)).scalar()
    return found


async def list_live(ctx: Context, user_id: UUID, purpose: Purpose) -> list[OneTimeToken]:
    """A user's tokens of one purpose that can be used, oldest first."""
    t = ctx.tables.one_time_tokens
    live = (t.c.user_id == user_id, t.c.purpose == purpose, t.c.used_at.is_(None), t.c.expires_at > ctx.now)
    return [_token(row) for row in await read(ctx.db, select(*t.c).where(*live).order_by(t.c.created_at, t.c.id))]


async def extend_token(ctx: Context, token_id: UUID, *, until: datetime) -> bool:
    """Let a token that was not used live until then; False when there is none."""
    t = ctx.tables.one_time_tokens
    statement = update(t).where(t.c.id == token_id, t.c.used_at.is_(None))
    return await changed(ctx.db, statement.values(expires_at=until)) == 1


async def is_reserved(ctx: Context, email_key: str, *, user_id: UUID | None = None) -> bool:
    """Whether somebody other than `user_id` may still take this address back."""
    t = ctx.tables.one_time_tokens
    held = [t.c.email_key == email_key, t.c.purpose == Purpose.UNDO_EMAIL, t.c.used_at.is_(None)]
    held += [t.c.expires_at > ctx.now] + ([t.c.user_id != user_id] if user_id else [])
    return bool((await read(ctx.db, select(exists().where(*held)))).scalar_one())


async def find_registration(ctx: Context, user_id: UUID, email_key: str) -> dict[str, Any]:
    """What the first verification link of a user for this address was told of their registration, if it was."""
    t = ctx.tables.one_time_tokens
    about = (t.c.user_id == user_id, t.c.email_key == email_key, _tells_of_registration(t))
    statement = select(t.c.payload).where(*about).order_by(t.c.created_at, t.c.id).limit(1)
    return (await read(ctx.db, statement)).scalar() or {}


def _tells_of_registration(tokens: Any) -> ColumnElement[bool]:
    told = type_coerce(tokens.c.payload, Text).contains('"registered"', autoescape=True)
    return and_(tokens.c.purpose == Purpose.VERIFY, told)


async def forget_registrations(ctx: Context, *, limit: int) -> int:
    """Blank what registrations were to make that nobody confirmed in time, at most `limit`; returns how many. Their
    links are still told that they have expired.
    """
    t = ctx.tables.one_time_tokens
    over = (t.c.purpose == Purpose.REGISTER, t.c.expires_at <= ctx.now, t.c.payload != _nothing(t.c.payload))
    found = list((await read(ctx.db, select(t.c.id).where(*over).limit(limit))).scalars())
    return await changed(ctx.db, update(t).where(t.c.id.in_(found)).values(payload={})) if found else 0


async def delete_strangers_tokens(ctx: Context, email_key: str) -> None:
    """Delete the tokens about this address that are no user's."""
    t = ctx.tables.one_time_tokens
    await changed(ctx.db, delete(t).where(t.c.email_key == email_key, t.c.user_id.is_(None)))


async def delete_tokens(ctx: Context, *, expired_before: datetime, limit: int) -> int:
    """Delete tokens that expired before then, at most `limit`; returns how many. What tells whence an account came
    stays for as long as it is unverified.
    """
    t = ctx.tables.one_time_tokens
    over = (t.c.expires_at < expired_before, not_(_is_needed(ctx, t)))
    old = list((await read(ctx.db, select(t.c.id).where(*over).limit(limit))).scalars())
    # One that is extended meanwhile is not over.
    still_over = (t.c.id.in_(old), t.c.expires_at < expired_before)
    return await changed(ctx.db, delete(t).where(*still_over)) if old else 0


def _is_needed(ctx: Context, t: Table) -> ColumnElement[bool]:
    """Whether it is what `find_registration` finds: the later ones say the same, and can go."""
    u, first = ctx.tables.users.c, t.alias()
    unverified = exists().where(u.id == t.c.user_id, u.is_verified.is_(False))
    same = (first.c.user_id == t.c.user_id, first.c.email_key == t.c.email_key, _tells_of_registration(first))
    earlier = exists().where(*same, first.c.created_at < t.c.created_at)
    return and_(_tells_of_registration(t), unverified, not_(earlier))
