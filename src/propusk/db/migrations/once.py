"""Steps that may be run again: a migration killed half-way on MariaDB is simply run once more."""

import sqlalchemy as sa
from alembic import op


def create_index_once(name: str, table: str, columns: list[str]) -> None:
    """Create an index unless it stands already."""
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)


def insert_row_once(table: sa.TableClause, key: str, values: dict[str, object]) -> None:
    """Insert a row unless one with the same key stands already."""
    bind = op.get_bind()
    if bind.execute(sa.select(table.c[key]).where(table.c[key] == values[key])).first() is None:
        bind.execute(sa.insert(table).values(**values))
