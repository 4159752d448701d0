"""Steps that may be run again: a migration killed half-way on MariaDB is simply run once more."""

from typing import Any

import sqlalchemy as sa
from alembic import op

_OPTIONS = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}.items()
}


def create_table_once(name: str, *items: sa.schema.SchemaItem) -> None:
    """Create a table unless it stands already; on MariaDB with the engine and the collation that we rely on."""
    op.create_table(name, *items, if_not_exists=True, **_OPTIONS)


def add_column_once(table: str, column: sa.Column[Any]) -> None:
    """Add a column unless it is there already."""
    if column.name not in _columns(table):
        op.add_column(table, column)


def drop_column_once(table: str, name: str) -> None:
    """Drop a column unless it is gone already."""
    if name in _columns(table):
        op.drop_column(table, name)


def _columns(table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}


def create_index_once(name: str, table: str, columns: list[str]) -> None:
    """Create an index unless it stands already."""
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)


def drop_index_once(name: str, table: str) -> None:
    """Drop an index unless it is gone already."""
    if name in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.drop_index(name, table)


def insert_row_once(table: sa.TableClause, key: str, values: dict[str, object]) -> None:
    """Insert a row unless one with the same key stands already."""
    bind = op.get_bind()
    if bind.execute(sa.select(table.c[key]).where(table.c[key] == values[key])).first() is None:
        bind.execute(sa.insert(table).values(**values))
