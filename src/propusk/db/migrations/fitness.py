"""Whether a host's users table can be ours as well: what its columns are, told in sentences."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from propusk.db.migrations.host_table import HostTable
from propusk.db.users_table import user_columns

_LONGEST = {"email": 254, "email_key": 254, "username": 32, "username_key": 32, "name": 200, "locale": 35}
_PROFILE = 4096
_CHARACTER_SETS = sa.text(
    "SELECT column_name, character_set_name FROM information_schema.columns"
    " WHERE table_schema = DATABASE() AND table_name = :name"
)


def check_columns(table: HostTable) -> list[str]:
    """What is in the way of adopting this table, before its rows are looked at."""
    return [*_missing(table), *_misfits(table), *_without_index(table), *_clashes(table), *_unfilled(table)] + (
        list(_mysql_faults(table)) if op.get_bind().dialect.name in ("mysql", "mariadb") else []
    )


def _missing(table: HostTable) -> Iterator[str]:
    host = table.host
    named = [host.column(c.name) for c in user_columns() if c.name not in host.ours]
    for column in [*named, *host.values]:
        if column not in table.found:
            yield f"{host.table} has no column {column}, which UsersTable names."


def _misfits(table: HostTable) -> Iterator[str]:
    for key, column in _named(table):
        kind = column["type"]
        if (wanted := _wanted(key, kind)) is not None:
            yield (
                f"{table.host.table}.{column['name']} is {kind}, and Propusk keeps {wanted} there. "
                f"Change it, or leave `{key}` out of UsersTable, and a column of ours will be added."
            )


def _named(table: HostTable) -> list[tuple[str, Any]]:
    """The host's columns that are to hold a field of ours, by its name."""
    host = table.host
    named = [c.name for c in user_columns() if c.name not in host.ours and table.has(c.name)]
    return [(key, table.found[host.column(key)]) for key in named]


def _wanted(key: str, kind: Any) -> str | None:
    """What the column should be, if it is not."""
    dialect = op.get_bind().dialect.name
    if key == "id":
        fits = isinstance(kind, sa.Uuid if dialect == "postgresql" else (sa.LargeBinary, sa.BINARY, sa.VARBINARY))
        return None if fits else ("UUIDs" if dialect == "postgresql" else "UUIDs as 16 bytes")
    if key in _LONGEST or key == "profile":
        longest = _LONGEST.get(key, _PROFILE)
        fits = isinstance(kind, sa.String) and not isinstance(kind, sa.Enum) and (kind.length or longest) >= longest
        return None if fits else f"text of up to {longest} characters"
    if key == "session_epoch":
        return None if isinstance(kind, sa.Integer) else "an integer"
    if key.startswith("is_"):
        fits = isinstance(kind, sa.Boolean) or (dialect != "postgresql" and isinstance(kind, sa.Integer))
        return None if fits else "true or false"
    if dialect == "postgresql":
        return None if isinstance(kind, sa.DateTime) and kind.timezone else "a time with a time zone"
    # MariaDB translates a TIMESTAMP by whatever time zone a connection has.
    return None if isinstance(kind, sa.DateTime) and not isinstance(kind, sa.TIMESTAMP) else "a time, in UTC"


def _without_index(table: HostTable) -> Iterator[str]:
    host, inspector = table.host, sa.inspect(op.get_bind())
    unique: list[Any] = [inspector.get_pk_constraint(host.table)["constrained_columns"]]
    unique += [each["column_names"] for each in inspector.get_indexes(host.table) if each["unique"]]
    unique += [each["column_names"] for each in inspector.get_unique_constraints(host.table)]
    for key in ("id", "email_key", "username_key"):
        if key not in host.ours and [host.column(key)] not in unique:
            yield f"{host.table}.{host.column(key)} needs a unique index."


def _clashes(table: HostTable) -> Iterator[str]:
    """A column that has a name of ours and was there before us: nobody said whether it means the same."""
    if table.has("session_epoch"):
        return  # this ran before, so the others may be ours
    for key in table.host.ours:
        if key != "id" and table.has(key):
            yield (
                f"{table.host.table} has a column {key}. If it is the user's {key} as Propusk knows it, name it in "
                f"UsersTable: {key}={key!r}; else it needs another name."
            )


def _unfilled(table: HostTable) -> Iterator[str]:
    """A column of the host's that an insert of ours would leave empty, and must not."""
    host = table.host
    known = {*host.values, *(host.column(c.name) for c in user_columns())}
    for name, column in table.found.items():
        counts = name == table.key.name and isinstance(column["type"], sa.Integer)
        given = column["nullable"] or column.get("default") is not None or "computed" in column or "identity" in column
        if name not in known and not given and not counts:
            yield f"{host.table}.{name} must have a value in every new row: UsersTable(..., values={{{name!r}: ...}})."


def _mysql_faults(table: HostTable) -> Iterator[str]:
    """Foreign keys need InnoDB; and our inserts would turn what a character set lacks into question marks."""
    name, bind = table.host.table, op.get_bind()
    options = sa.inspect(bind).get_table_options(name)
    if "InnoDB" not in (options.get("mysql_engine"), options.get("mariadb_engine")):
        yield f"{name}: Propusk needs ENGINE=InnoDB, for foreign keys."
    sets = {row[0]: row[1] for row in bind.execute(_CHARACTER_SETS, {"name": name})}
    for key, column in _named(table):
        if isinstance(column["type"], sa.String) and sets[column["name"]] not in ("utf8mb4", None):
            yield f"{name}.{column['name']} ({key}) needs CHARACTER SET utf8mb4, to hold whatever people are called."
