"""Whose table the users are in: what our steps are told by `propusk.db.migrate`, or by a host's own env.py."""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from propusk.db.users_table import UsersTable

OPTION = "propusk_users"
"""What the option of `context.configure` is called."""


def hosts_users() -> UsersTable | None:
    """The host's table, if it keeps the users."""
    table: UsersTable | None = op.get_context().opts.get(OPTION)
    return table


def owner_column() -> str:
    """What our foreign keys point at, as `table.column`.

    Raises:
        CommandError: the host's table is not there yet, or was not adopted.
    """
    host = hosts_users()
    if host is None:
        return "propusk_users.id"
    inspector = sa.inspect(op.get_bind())
    found = {each["name"] for each in inspector.get_columns(host.table)} if inspector.has_table(host.table) else set()
    if not {column.name for column in host.view(sa.MetaData()).columns} <= found:
        raise CommandError(
            f"The table {host.table} is not there, or lacks columns that Propusk needs: "
            "first run the step of your own history that calls adopt_users."
        )
    return f"{host.table}.{host.column('id')}"
