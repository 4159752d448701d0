"""SQL about the outbox, one statement a function."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from propusk.context import Context
from propusk.db.dialect import changed, read
from propusk.mail.models import Mail, MailState, Outbox

_AHEAD = timedelta(hours=3)


def _is_due(ctx: Context) -> ColumnElement[bool]:
    """Its time has come, or is further off than any mail is put off: that was a clock that was ahead."""
    due_at = ctx.tables.mails.c.due_at
    return or_(due_at <= ctx.now, due_at > ctx.now + _AHEAD)


async def insert_mail(ctx: Context, mail: Mail) -> None:
    """Put a mail into the outbox."""
    await changed(ctx.db, insert(ctx.tables.mails), {name: getattr(mail, name) for name in Mail.__slots__})


async def list_due(ctx: Context, *, kinds: Iterable[str], any_before: datetime, limit: int) -> list[Mail]:
    """Mails of these kinds, or made before then, whose time has come; the most overdue first."""
    m = ctx.tables.mails
    ours = or_(m.c.kind.in_(kinds), m.c.created_at < any_before)
    statement = select(*m.c).where(m.c.state == MailState.QUEUED, _is_due(ctx), ours)
    return [_mail(row) for row in await read(ctx.db, statement.order_by(m.c.due_at, m.c.id).limit(limit))]


async def list_mails(ctx: Context, *, state: MailState | None, limit: int) -> list[Mail]:
    """Mails in one state, or all; the newest first."""
    m = ctx.tables.mails
    statement = select(*m.c) if state is None else select(*m.c).where(m.c.state == state)
    newest = statement.order_by(m.c.created_at.desc(), m.c.id.desc()).limit(limit)
    return [_mail(row) for row in await read(ctx.db, newest)]


async def find_mail(ctx: Context, mail_id: UUID) -> Mail | None:
    """The mail of this id."""
    m = ctx.tables.mails
    row = (await read(ctx.db, select(*m.c).where(m.c.id == mail_id))).first()
    return _mail(row) if row is not None else None


def _mail(row: Sequence[object]) -> Mail:
    values = dict(zip(Mail.__slots__, row, strict=True))
    return Mail(**values | {"state": MailState(values["state"])})  # type: ignore[arg-type]


async def claim_mail(ctx: Context, mail: Mail, *, until: datetime) -> bool:
    """Take a mail for ourselves until then; False when another worker did."""
    m = ctx.tables.mails
    free = (m.c.id == mail.id, m.c.attempts == mail.attempts, m.c.state == MailState.QUEUED, _is_due(ctx))
    return await changed(ctx.db, update(m).where(*free).values(attempts=m.c.attempts + 1, due_at=until)) == 1


async def renew_claim(ctx: Context, mail: Mail, *, until: datetime) -> bool:
    """Keep a mail that we claimed for longer; False when it is ours no more."""
    m = ctx.tables.mails
    mine = (m.c.id == mail.id, m.c.attempts == mail.attempts, m.c.state == MailState.QUEUED)
    return await changed(ctx.db, update(m).where(*mine).values(due_at=until)) == 1


async def own_mail(ctx: Context, mail_id: UUID, user_id: UUID) -> None:
    """Note whose a mail is."""
    m = ctx.tables.mails
    await changed(ctx.db, update(m).where(m.c.id == mail_id).values(user_id=user_id))


async def delay_mail(ctx: Context, mail: Mail, *, due_at: datetime, error: str) -> None:
    """Try a mail that we claimed again later, unless somebody has claimed it since."""
    m = ctx.tables.mails
    mine = (m.c.id == mail.id, m.c.attempts == mail.attempts, m.c.state == MailState.QUEUED)
    await changed(ctx.db, update(m).where(*mine).values(due_at=due_at, error=error[:300]))


async def finish_mail(ctx: Context, mail: Mail, *, state: MailState, recipient: str | None, error: str | None) -> None:
    """Note the end of a mail that we claimed. What is over needs its arguments no more; what failed may be retried."""
    m = ctx.tables.mails
    mine = (m.c.id == mail.id, m.c.attempts == mail.attempts, m.c.state == MailState.QUEUED)
    values: dict[str, Any] = {
        "state": state,
        "recipient": recipient,
        "finished_at": ctx.now,
        "error": error and error[:300],
    }
    if state is not MailState.FAILED:
        values["args"] = {}
    await changed(ctx.db, update(m).where(*mine).values(**values))


async def count_queued(ctx: Context, *, at_most: int) -> int:
    """How many mails wait; counts no further than `at_most`."""
    m = ctx.tables.mails
    some = select(m.c.id).where(m.c.state == MailState.QUEUED).limit(at_most).subquery()
    return int((await read(ctx.db, select(func.count()).select_from(some))).scalar_one())


async def look_into_outbox(db: AsyncSession, mails: Table) -> Outbox:
    """How many mails wait and failed, for operators."""
    m = mails
    counted = select(m.c.state, func.count(), func.min(m.c.created_at)).group_by(m.c.state)
    rows = await read(db, counted.where(m.c.state.in_([MailState.QUEUED, MailState.FAILED])))
    found = {state: (count, oldest) for state, count, oldest in rows}
    queued, oldest = found.get(MailState.QUEUED, (0, None))
    return Outbox(queued, found.get(MailState.FAILED, (0, None))[0], oldest)


async def delete_failed(ctx: Context, mail_id: UUID) -> bool:
    """Delete a mail that failed; False when it has not."""
    m = ctx.tables.mails
    return await changed(ctx.db, delete(m).where(m.c.id == mail_id, m.c.state == MailState.FAILED)) == 1


async def delete_finished(ctx: Context, state: MailState, *, before: datetime, limit: int) -> int:
    """Delete mails that came to this end before then, at most `limit`; returns how many."""
    m = ctx.tables.mails
    # What is over was due before its end: the index finds it by that.
    over = (m.c.state == state, m.c.due_at < before, m.c.finished_at < before)
    old = list((await read(ctx.db, select(m.c.id).where(*over).limit(limit))).scalars())
    return await changed(ctx.db, delete(m).where(m.c.id.in_(old))) if old else 0


async def is_any_due(ctx: Context) -> bool:
    """Whether a mail's time has come."""
    m = ctx.tables.mails
    return bool((await read(ctx.db, select(exists().where(m.c.state == MailState.QUEUED, _is_due(ctx))))).scalar_one())
