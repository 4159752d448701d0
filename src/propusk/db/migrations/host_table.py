"""The host's users table as it stands, and what is done to its schema: the databases differ here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError

from propusk.db.users_table import UsersTable, user_columns

KEY = "host_primary_key"
"""What the primary key is called in `HostTable.view`, unless it is our `id` itself."""


@dataclass(frozen=True)
class HostTable:
    """A host's table: what it is called, a view of it by our names, its primary key, and what the database says."""

    host: UsersTable
    view: sa.Table
    key: sa.Column[Any]
    found: dict[str, Any]

    def has(self, key: str) -> bool:
        """Whether the column of ours is there."""
        return self.host.column(key) in self.found


def look_at(host: UsersTable, *others: sa.Column[Any]) -> HostTable:
    """The table as it is now.

    Args:
        others: columns of the host's alone that the view is to have as well.
    Raises:
        CommandError: there is none, or its primary key is not one column.
    """
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table(host.table):
        raise CommandError(f"There is no table {host.table}.")
    primary = inspector.get_pk_constraint(host.table)["constrained_columns"]
    if len(primary) != 1:
        raise CommandError(f"{host.table}: Propusk needs a table whose primary key is one column.")
    found = {column["name"]: column for column in inspector.get_columns(host.table)}
    if primary[0] == host.column("id"):
        view = host.view(sa.MetaData(), *others)
        return HostTable(host, view, view.c.id, found)
    view = host.view(sa.MetaData(), sa.Column(primary[0], found[primary[0]]["type"], key=KEY), *others)
    return HostTable(host, view, view.c[KEY], found)


def is_external() -> bool:
    """Whether env.py began the transaction that we are in, so that it is not ours to commit."""
    return op.get_context()._transaction is None


def commit() -> None:
    """Keep what was done until here: a killed step goes on from there. Within a transaction of env.py's, nothing."""
    if not is_external():
        with op.get_context().autocommit_block():
            pass


def add_columns(table: HostTable) -> None:
    """Add what the table lacks, nullable as yet. `session_epoch` first: who finds it knows that this has begun."""
    for key in sorted(table.host.ours, key=lambda key: key != "session_epoch"):
        if not table.has(key):
            op.add_column(table.host.table, sa.Column(table.host.column(key), _added_type(table.view.c[key].type)))
    commit()


def _added_type(kind: Any) -> Any:
    """On MariaDB with a binary collation, as in our own tables, whatever the host's table has."""
    words: dict[str, Any] = {"charset": "utf8mb4", "collation": "utf8mb4_bin"}
    if isinstance(kind, sa.String):
        return sa.String(kind.length).with_variant(mysql.VARCHAR(kind.length, **words), "mysql", "mariadb")
    if isinstance(kind, sa.TypeDecorator) and isinstance(kind.impl, sa.Text):
        return sa.Text().with_variant(mysql.TEXT(**words), "mysql", "mariadb")
    return kind


def index_names(host: UsersTable) -> dict[str, tuple[list[str], bool]]:
    """The indexes that we add, by name: their columns, and whether they are unique."""
    unique = [key for key in ("id", "email_key", "username_key") if key in host.ours]
    made = {f"ix_{host.table}_{host.column(key)}": ([host.column(key)], True) for key in unique}
    return made | {f"ix_{host.table}_propusk": ([host.column("created_at"), host.column("id")], False)}


def add_indexes(table: HostTable) -> None:
    """Index what is unique, and the order of lists; on PostgreSQL without stopping who writes.

    Raises:
        CommandError: two rows became equal while this ran.
    """
    name = table.host.table
    for index, (columns, unique) in index_names(table.host).items():
        _drop_broken_index(index)
        if index in {each["name"] for each in sa.inspect(op.get_bind()).get_indexes(name)}:
            continue
        try:
            if is_external():
                op.create_index(index, name, columns, unique=unique)
            else:
                with op.get_context().autocommit_block():
                    op.create_index(index, name, columns, unique=unique, postgresql_concurrently=True)
        except IntegrityError:
            raise CommandError(
                f"{name}.{columns[0]}: while this ran, a row came in that is equal to another. "
                "Run it again, and it will say which."
            ) from None


def _drop_broken_index(index: str) -> None:
    """PostgreSQL leaves an index that it could not finish, which looks like one and is of no use."""
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    broken = sa.text("SELECT true FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid")
    quoted = bind.dialect.identifier_preparer.quote(index)
    if bind.execute(broken, {"name": quoted}).scalar():
        op.execute(sa.text(f"DROP INDEX {quoted}"))
        commit()


def require(table: HostTable, fill_rest: Callable[[], None]) -> None:
    """From now on no row without what we need: what came in meanwhile is filled while nobody writes."""
    needed = [table.host.column(c.name) for c in user_columns() if not c.nullable and c.name in table.host.ours]
    with _still(table.host, needed):
        fill_rest()
        if op.get_bind().dialect.name != "sqlite":
            for key in (c.name for c in user_columns() if not c.nullable and c.name in table.host.ours):
                kind = _added_type(table.view.c[key].type)
                op.alter_column(table.host.table, table.host.column(key), existing_type=kind, nullable=False)
    commit()


@contextmanager
def _still(host: UsersTable, needed: list[str]) -> Iterator[None]:
    """Nobody else writes to the table meanwhile."""
    quote = op.get_bind().dialect.identifier_preparer.quote
    name = quote(host.table)
    match op.get_bind().dialect.name:
        case "postgresql":
            op.execute(sa.text(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE"))
            yield
        case "sqlite":
            # NOT NULL would mean to build the table anew, and to lose what Alembic cannot read of it: triggers,
            # nameless checks. A trigger says the same.
            missing = " OR ".join(f"NEW.{quote(column)} IS NULL" for column in needed)
            op.execute(
                sa.text(
                    f"CREATE TRIGGER IF NOT EXISTS {quote(_trigger(host))} BEFORE INSERT ON {name} WHEN {missing} BEGIN"
                    f" SELECT RAISE(ABORT, 'NOT NULL constraint failed: rows of this table are made by Propusk'); END"
                )
            )
            yield
        case _:
            op.execute(sa.text(f"LOCK TABLES {name} WRITE"))
            try:
                yield
            finally:
                op.execute(sa.text("UNLOCK TABLES"))


def _trigger(host: UsersTable) -> str:
    return f"{host.table}_propusk"


def drop_all(host: UsersTable) -> None:
    """Take our indexes and columns away again."""
    table = look_at(host)
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        op.execute(sa.text(f"DROP TRIGGER IF EXISTS {bind.dialect.identifier_preparer.quote(_trigger(host))}"))
    there = {each["name"] for each in sa.inspect(bind).get_indexes(host.table)}
    for index in index_names(host):
        if index in there:
            op.drop_index(index, host.table)
    # The mark of what has begun goes last.
    for key in sorted(host.ours, key=lambda key: key == "session_epoch"):
        if table.has(key):
            op.drop_column(host.table, host.column(key))
