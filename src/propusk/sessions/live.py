"""Is this session alive, and whose is it? One strict read on every request, of session and user together."""

from collections import OrderedDict
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.reader import ReadFailed, Row, RowReader
from propusk.db.schema import Tables
from propusk.errors import Unavailable
from propusk.sessions.models import Principal, is_live
from propusk.sessions.queries import session_and_user, split_row


class LiveSessions:
    """Finds who is calling. The row is read every time; only making objects of an unchanged row is saved."""

    def __init__(self, engine: AsyncEngine, tables: Tables, *, size: int = 2000) -> None:
        self._tables = tables
        self._reader = RowReader(engine, session_and_user(tables), tables.sessions.c.id)
        self._size = size
        self._made: OrderedDict[Row, Principal] = OrderedDict()

    async def get(self, session_id: UUID, now: datetime) -> Principal | None:
        """The session and its user, if it is live at `now`.

        It is one object for all requests while its row is the same: `unshared` is for whoever may change the profile.

        Raises:
            Unavailable: the database is away; nobody is let in on a guess.
        """
        try:
            row = await self._reader.get(session_id)
        except ReadFailed as error:
            raise Unavailable from error
        if row is None:
            return None
        principal = self._made.get(row) or self._make(row)
        return principal if is_live(principal.session, principal.user, now) else None

    def _make(self, row: Row) -> Principal:
        session, user = split_row(self._tables, self._reader.convert(row))
        principal = self._made[row] = Principal(user, session)
        if len(self._made) > self._size:
            self._made.popitem(last=False)
        return principal

    async def close(self) -> None:
        await self._reader.close()
