"""Password hashes move from a column of the host's into our table, and back. Which schemes we verify: see `crypto`."""

import logging
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from propusk.alembic.adopt import walk
from propusk.db.clock import DatabaseClock
from propusk.db.migrations import host_table
from propusk.db.migrations.host_table import HostTable
from propusk.db.schema import build_tables
from propusk.db.users_table import UsersTable

log = logging.getLogger(__name__)
_HASH = "host_hash"


def move_passwords(users: UsersTable, column: str = "hashed_password", *, batch: int = 1000) -> None:
    """Move the hashes out of the host's table into ours. To be called by a revision of the host's.

    They are moved and not copied: `column` then has what `UsersTable.values` says, else an empty text. So it may be run
    again for what an older program wrote meanwhile: a hash that stands in `column` is the newer one.

    Raises:
        CommandError: there are hashes to move, and no table of ours yet.
    """
    table = _with_hashes(users, column)
    hashes, empty = table.view.c[_HASH], _empty(users, column)
    present = [hashes.is_not(None), hashes != "", hashes != empty]
    if not sa.inspect(op.get_bind()).has_table("propusk_passwords"):
        if next(walk(table, [hashes], 1, *present), None) is not None:
            raise CommandError(
                "There is no table propusk_passwords yet: run the migrations of Propusk, then this again."
            )
        return
    passwords = build_tables(users).passwords
    clear = sa.update(table.view).where(table.key == sa.bindparam("this_key"), hashes == sa.bindparam("moved"))
    clear = clear.values({_HASH: empty})
    for rows in walk(table, [table.view.c.id, hashes], batch, *present):
        moved = [row for row in rows if len(row[2]) <= 512]
        if len(moved) < len(rows):
            log.warning("%d password hashes are too long to be any, and stay", len(rows) - len(moved))
        if not moved:
            continue
        bind = op.get_bind()
        bind.execute(sa.delete(passwords).where(passwords.c.user_id.in_([row[1] for row in moved])))
        now = DatabaseClock()()
        bind.execute(sa.insert(passwords), [{"user_id": row[1], "hash": row[2], "changed_at": now} for row in moved])
        bind.execute(clear, [{"this_key": row[0], "moved": row[2]} for row in moved])
        host_table.commit()


def return_passwords(users: UsersTable, column: str = "hashed_password", *, batch: int = 1000) -> None:
    """Move the hashes back into `column`, as they are now: what has verified the old ones may not know Argon2id."""
    if not sa.inspect(op.get_bind()).has_table("propusk_passwords"):
        return
    table, passwords = _with_hashes(users, column), build_tables(users).passwords
    view, bind = table.view, op.get_bind()
    change = sa.update(view).where(view.c.id == sa.bindparam("this_id")).values({_HASH: sa.bindparam("hash")})
    while rows := bind.execute(sa.select(passwords.c.user_id, passwords.c.hash).limit(batch)).all():
        bind.execute(change, [{"this_id": user_id, "hash": hashed} for user_id, hashed in rows])
        bind.execute(sa.delete(passwords).where(passwords.c.user_id.in_([row[0] for row in rows])))
        host_table.commit()


def _with_hashes(users: UsersTable, column: str) -> HostTable:
    table = host_table.look_at(users, sa.Column(column, sa.String, key=_HASH))
    if column not in table.found:
        raise CommandError(f"{users.table} has no column {column}.")
    return table


def _empty(users: UsersTable, column: str) -> Any:
    """What the column has for somebody whose password is with us: the same as for a new user."""
    value = users.values.get(column, "")
    return "" if callable(value) else value
