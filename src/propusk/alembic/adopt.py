"""A host's users table becomes ours as well: what it lacks is added and filled while others go on writing to it."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from propusk.crypto.secrets import new_id
from propusk.db.clock import DatabaseClock
from propusk.db.migrations import host_table
from propusk.db.migrations.fitness import check_columns
from propusk.db.migrations.host_table import HostTable, look_at
from propusk.db.users_table import UsersTable, user_columns
from propusk.errors import InvalidInput
from propusk.users.email_address import EmailAddress, normalise_email
from propusk.users.username import Username, normalise_username

_NAMED = 20
_KEYS: dict[str, tuple[str, Callable[[str], EmailAddress | Username]]] = {
    "email_key": ("email", normalise_email),
    "username_key": ("username", normalise_username),
}


def adopt_users(users: UsersTable, *, batch: int = 1000) -> None:
    """Add to the host's table what `users` leaves out, and fill it. To be called by a revision of the host's.

    It commits on its way, reads the table `batch` rows at a time, and may be run again: a killed one goes on, one that
    is done changes nothing. Until its end a program that knows nothing of it may insert and change rows; for the last
    moment, in which NOT NULL is set, such a program waits.

    Raises:
        CommandError: the table does not fit, or rows of it do not; nothing was changed. The message names them.
    """
    table = look_at(users)
    if faults := check_columns(table):
        raise CommandError("\n".join(faults))
    if faults := _check_rows(table, batch):
        raise CommandError("\n".join(faults))
    host_table.add_columns(table)
    table = look_at(users)
    _fill(table, batch)
    host_table.add_indexes(table)
    _fill(table, batch)
    host_table.require(table, lambda: _fill_rest(table, batch))


def release_users(users: UsersTable) -> None:
    """Take away from the host's table what `adopt_users` added, with all that it holds.

    Raises:
        CommandError: our tables still refer to it.
    """
    if sa.inspect(op.get_bind()).has_table("propusk_passwords"):
        raise CommandError(f"The tables of Propusk refer to {users.table}: take them down first.")
    host_table.drop_all(users)


def walk(table: HostTable, columns: Iterable[sa.Column[Any]], batch: int, *where: Any) -> Iterator[Sequence[Any]]:
    """Rows in the order of the primary key, which comes first in each; a list of at most `batch` at a time."""
    statement = sa.select(table.key, *columns).where(*where).order_by(table.key).limit(batch)
    rows = op.get_bind().execute(statement).all()
    while rows:
        yield rows
        rows = op.get_bind().execute(statement.where(table.key > rows[-1][0])).all()


def _check_rows(table: HostTable, batch: int) -> list[str]:
    """What rows of the table have that we cannot live with, in sentences."""
    host, view = table.host, table.view
    named = [c for c in view.c if c.key in _needed(host) or c.key in ("email", "username")]
    named = [c for c in named if c.key not in host.ours]
    wrong: dict[str, list[Any]] = defaultdict(list)
    # Of each key 64 bits: that two differ and are the same there is as good as impossible, and a row costs 150 bytes.
    seen: dict[str, dict[int, Any]] = {key: {} for key, (source, _) in _KEYS.items() if source not in host.ours}
    for rows in walk(table, named, batch):
        for row in rows:
            values = dict(zip((c.key for c in named), row[1:], strict=True))
            for key, value in values.items():
                if value is None and key != "username":
                    wrong[f"{host.table}.{host.column(key)} is NULL in {{}}"].append(row[0])
            for key, first in seen.items():
                source = _KEYS[key][0]
                column = f"{host.table}.{host.column(source)}"
                try:
                    made = _key(key, values[source])
                except InvalidInput as error:
                    wrong[f"{column}: {error.errors[0].message} So not {{}}"].append(row[0])
                    continue
                other = first.setdefault(hash(made), row[0]) if made is not None else row[0]
                if other != row[0]:
                    wrong[f"{column}: to Propusk these are the same: {{}}"].append(f"{other} and {row[0]}")
    return [sentence.format(_some(rows)) for sentence, rows in wrong.items()]


def _needed(host: UsersTable) -> set[str]:
    return {c.name for c in user_columns() if not c.nullable}


def _some(rows: list[Any]) -> str:
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return f"{', '.join(str(row) for row in rows[:_NAMED])}{more}"


def _key(key: str, text: str | None) -> str | None:
    return _KEYS[key][1](text).key if text is not None else None


def _fill(table: HostTable, batch: int, *where: Any, keep: bool = True) -> None:
    """Fill what is missing, and what no longer follows from the e-mail address or the username."""
    view, ours = table.view, table.host.ours
    sources = [view.c[source] for source, _ in _KEYS.values() if source not in ours]
    change = sa.update(view).where(table.key == sa.bindparam("this_key"))
    change = change.values({key: sa.bindparam(f"new_{key}") for key in ours})
    read = [*sources, *(view.c[key] for key in ours)]
    for rows in walk(table, read, batch, *where):
        now = DatabaseClock()()
        changes = []
        for row in rows:
            old = dict(zip((c.key for c in read), row[1:], strict=True))
            try:
                new = {key: value for key, value in _complete(row[0], old, now).items() if key in ours}
            except InvalidInput as error:
                raise CommandError(f"{table.host.table}, {row[0]}: {error.errors[0].message}") from None
            if any(new[key] != old[key] for key in ours):
                changes.append({"this_key": row[0]} | {f"new_{key}": value for key, value in new.items()})
        if changes:
            op.get_bind().execute(change, changes)
        if keep:
            host_table.commit()


def _fill_rest(table: HostTable, batch: int) -> None:
    """Fill the rows that came in since, within the transaction in which nobody else writes."""
    missing = sa.or_(*(table.view.c[key].is_(None) for key in _needed(table.host) if key in table.host.ours))
    _fill(table, batch, missing, keep=False)


def _complete(primary: Any, old: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A row by our names, with everything that a user must have."""
    usual = {
        "profile": {},
        "is_active": True,
        "is_verified": False,
        "is_superuser": False,
        "session_epoch": 0,
        "created_at": now,
        "updated_at": now,
    }
    keys = {key: _key(key, old[source]) for key, (source, _) in _KEYS.items() if source in old}
    filled = {key: usual.get(key) if value is None else value for key, value in old.items()}
    if old.get("id") is None:
        filled["id"] = _same_or_new(primary, now)
    return filled | keys


def _same_or_new(primary: Any, now: datetime) -> UUID:
    """A primary key that is a UUID, however it is stored, stays who it is."""
    if isinstance(primary, UUID):
        return primary
    try:
        return UUID(bytes=primary) if isinstance(primary, bytes) else UUID(primary)
    except (ValueError, AttributeError, TypeError):
        return new_id(now, os.urandom)
