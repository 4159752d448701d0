"""What a host's env.py tells Alembic: which tables are whose, and how our types are written in a revision."""

from collections.abc import Callable
from typing import Any, Literal

from alembic.autogenerate.api import AutogenContext
from sqlalchemy import MetaData

from propusk.db.migrations.host_table import index_names
from propusk.db.migrations.owner import OPTION
from propusk.db.revision import VERSION_TABLE, our_tables
from propusk.db.schema import build_tables
from propusk.db.users_table import UsersTable

IncludeObject = Callable[[Any, str | None, str, bool, Any], bool]
RenderItem = Callable[[str, Any, AutogenContext], str | Literal[False]]


def options(
    metadata: MetaData,
    users: UsersTable | None = None,
    *,
    take_in: bool = False,
    include_object: IncludeObject | None = None,
    render_item: RenderItem | None = None,
) -> dict[str, Any]:
    """Options for `context.configure`: `target_metadata`, the two hooks of autogenerate, and whose table has the users.

    Args:
        metadata: the host's. Our tables join it, so that the host's can refer to them by name.
        users: the host's own table of users, as `create_auth` is given it.
        take_in: let autogenerate write our tables into the host's revisions. By default it does not see them: our own
            revisions make them. The columns that we add to a table of the host's it never sees: `adopt_users` does.
        include_object, render_item: hooks of the host's, asked about everything that is not ours.
    Raises:
        ValueError: `metadata` cannot take our tables in: see `create_auth`.
    """
    tables = build_tables(users, metadata if users is None or take_in else None)

    def include(thing: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
        if kind == "table" and name in ours:
            return take_in and name != VERSION_TABLE
        if users is not None and kind != "table" and _is_added(thing, name, kind, users):
            return False
        return include_object is None or include_object(thing, name, kind, reflected, other)

    def render(kind: str, thing: Any, autogen: AutogenContext) -> str | Literal[False]:
        if kind == "type" and type(thing).__module__ == "propusk.db.types":
            autogen.imports.add("import propusk.db.types")
            return f"propusk.db.types.{thing!r}"
        return False if render_item is None else render_item(kind, thing, autogen)

    ours = our_tables(tables) | {VERSION_TABLE}
    return {"target_metadata": metadata, "include_object": include, "render_item": render, OPTION: users}


def _is_added(thing: Any, name: str | None, kind: str, users: UsersTable) -> bool:
    """Whether this is a column that we add to the host's table, or an index of such."""
    if thing.table.name != users.table:
        return False
    added = {users.column(key) for key in users.ours}
    if kind == "column":
        return name in added
    if name in index_names(users):
        return True
    # An index on expressions alone has no columns, and is the host's.
    columns = {column.name for column in thing.columns} if kind in ("index", "unique_constraint") else set()
    return bool(columns) and columns <= added
