"""Sessions and their transactions: what was done in one, when its connection may be given back, what is kept of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction

from propusk.db.engine import OURS

TOUCHED = "propusk_notes_what_was_done_in_this_transaction"
BY_US = "propusk_reads_or_says_what_it_did"


class _OurSession(Session):
    """A session that notices whether anything but our own reading was done in its transaction. A host's SELECT may be
    more than it seems: it can lock rows, or call what writes.
    """

    def connection(self, *args: Any, **options: Any) -> Connection:
        """What is done by it goes past the session."""
        if not self.info.get(BY_US):
            self.info[TOUCHED] = True
        return super().connection(*args, **options)


@event.listens_for(_OurSession, "do_orm_execute")
def _notice_statement(state: ORMExecuteState) -> None:
    if not state.session.info.get(BY_US):
        state.session.info[TOUCHED] = True


@event.listens_for(_OurSession, "after_transaction_create")
def _notice_inner(session: Session, transaction: SessionTransaction) -> None:
    """A flush, one of the `bulk_` methods, or a savepoint."""
    if transaction.parent is not None:
        session.info[TOUCHED] = True


@event.listens_for(_OurSession, "after_transaction_end")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info[TOUCHED] = False


@contextmanager
def by_us(db: AsyncSession) -> Iterator[None]:
    """What is run inside is ours, and only reads; or whoever runs it says that it wrote."""
    db.info[BY_US] = True
    try:
        yield
    finally:
        db.info[BY_US] = False


def session_factory(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions that are ours, so that `release` may give their connection back."""
    return async_sessionmaker(engine, expire_on_commit=False, info={OURS: True}, sync_session_class=_OurSession)


@asynccontextmanager
async def committed(db: AsyncSession) -> AsyncIterator[AsyncSession]:
    """Commit at the end, or roll back; and close."""
    try:
        yield db
        await db.run_sync(_commit_and_close)
    except BaseException as error:
        async with db:
            if isinstance(error, asyncio.CancelledError):
                # Nobody knows what is on its way: the connection must not be used again, not even to roll back.
                await db.invalidate()
            raise


def _commit_and_close(session: Session) -> None:
    session.commit()
    session.close()


def is_clean(db: AsyncSession | Session) -> bool:
    """Whether this is a session of ours whose commit would keep nothing and unlock nothing: not of the use case, nor of
    a host that works in the same transaction.
    """
    return bool(db.info.get(OURS)) and not (db.info.get(TOUCHED) or db.new or db.dirty or db.deleted)


def is_fresh(db: AsyncSession | Session) -> bool:
    """Whether this is a session of ours in which no transaction has begun."""
    return bool(db.info.get(OURS)) and not db.in_transaction()


async def release(db: AsyncSession) -> None:
    """Give the connection back before something slow. A transaction in which something was written goes on, and so does
    one in which a host did anything, or that a host lent us.
    """
    await db.run_sync(release_sync)


def release_sync(session: Session) -> None:
    """The same for who is inside of SQLAlchemy already."""
    if is_clean(session):
        session.commit()


@asynccontextmanager
async def kept(db: AsyncSession) -> AsyncIterator[None]:
    """What is written inside is kept, whatever becomes of the request: a refusal follows. But it is one with what was
    done before, if anything was, and left to a host that lent us its transaction.
    """
    alone = is_clean(db)
    yield
    if alone:
        await db.commit()


def after_commit(db: AsyncSession, act: Callable[[], None]) -> None:
    """Do something quick once this transaction has committed."""
    event.listen(db.sync_session, "after_commit", lambda _session: act(), once=True)


@asynccontextmanager
async def undivided(db: AsyncSession) -> AsyncIterator[None]:
    """Let somebody else work in this transaction, who may flush, use savepoints and call use cases, but not end it:
    what came before and what comes after are one.

    Raises:
        RuntimeError: they did, or tried to; a commit is refused before it happens.
    """
    session = db.sync_session
    # A cause that wrote nothing has begun none yet, nor would it be known again.
    transaction = session.get_transaction() or session.begin()
    session.info[TOUCHED] = True

    def refuse(session: Session) -> None:
        if not session.in_nested_transaction():
            raise RuntimeError("a handler of create_auth(on=...) must not commit: it is one transaction with its cause")

    event.listen(session, "before_commit", refuse)
    try:
        yield
    finally:
        event.remove(session, "before_commit", refuse)
    if session.get_transaction() is not transaction:
        raise RuntimeError("a handler of create_auth(on=...) must not roll back: raise, and all of it is")
