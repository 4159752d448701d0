"""A users table that the host has already: what it and its columns are called."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table
from sqlalchemy.types import NullType

from propusk.db.types import Id, JsonText, UtcDateTime


def user_columns() -> list[Column[Any]]:
    """The columns of a user. The order is that of the fields of `users.models.User`."""
    return [
        Column("id", Id, primary_key=True),
        Column("email", String(320), nullable=False),
        Column("email_key", String(320), nullable=False),
        Column("username", String(32)),
        Column("username_key", String(32)),
        Column("name", String(200)),
        Column("locale", String(35)),
        Column("profile", JsonText, nullable=False),
        Column("is_active", Boolean, nullable=False),
        Column("is_verified", Boolean, nullable=False),
        Column("is_superuser", Boolean, nullable=False),
        Column("session_epoch", Integer, nullable=False),
        Column("created_at", UtcDateTime, nullable=False),
        Column("updated_at", UtcDateTime, nullable=False),
        Column("last_login_at", UtcDateTime),
    ]


@dataclass(frozen=True)
class UsersTable:
    """A table of the host's that holds the users, instead of `propusk_users`.

    A column that is named here is the host's: it is there, and stays. One that is left out is ours:
    `propusk.alembic.adopt_users` adds it under our name, and `release_users` takes it away again.

    Args:
        table: the name of the table.
        id: a column of UUIDs with a unique index, stored as ours are: natively on PostgreSQL, as 16 bytes elsewhere.
            Left out, a column `propusk_id` of ours stands beside the primary key, of whatever kind that is.
        email: the column that holds the address as it was typed; so on for the other fields of a user.
        values: what a new row has in columns that Propusk knows nothing of: a constant, or a function of the new
            `User`, as in `values={"hashed_password": "", "label": lambda user: user.name or "new"}`.
    Raises:
        ValueError: one column would have two meanings.
    """

    table: str
    _: KW_ONLY
    email: str
    id: str | None = None
    email_key: str | None = None
    username: str | None = None
    username_key: str | None = None
    name: str | None = None
    locale: str | None = None
    profile: str | None = None
    is_active: str | None = None
    is_verified: str | None = None
    is_superuser: str | None = None
    session_epoch: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    last_login_at: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = [*(self.column(c.name) for c in user_columns()), *self.values]
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise ValueError(f"UsersTable: {', '.join(twice)} would have two meanings; name each column once")

    def column(self, key: str) -> str:
        """What the column of ours that is called `key` is called in this table."""
        return getattr(self, key) or ("propusk_id" if key == "id" else key)

    @property
    def ours(self) -> list[str]:
        """The columns that we add to this table, by our names."""
        return [c.name for c in user_columns() if getattr(self, c.name) is None]

    def view(self, metadata: MetaData, *others: Column[Any]) -> Table:
        """The table as far as we know it, by our names. Whatever its primary key, we know its rows by `id`."""
        ours = (
            Column(self.column(c.name), c.type, key=c.name, primary_key=c.primary_key, nullable=c.nullable)
            for c in user_columns()
        )
        return Table(self.table, metadata, *ours, *others)

    def check_declared(self, metadata: MetaData) -> None:
        """Refuse a metadata whose table of this name lacks the column that our tables refer to.

        Raises:
            ValueError
        """
        found, column = metadata.tables.get(self.table), self.column("id")
        if found is not None and column not in {each.name for each in found.columns}:
            raise ValueError(
                f"metadata: declare the column {self.table}.{column}, which the tables of Propusk refer to: "
                f"{column} = mapped_column(propusk.db.types.Id, nullable=True)"
            )

    def view_for_insert(self) -> Table:
        """The same with the columns that `values` fills."""
        return self.view(MetaData(), *(Column(name, NullType, key=_other(name)) for name in self.values))

    def values_for(self, user: object) -> dict[str, Any]:
        """What the row of a new user has in them, by the keys of `view_for_insert`."""
        return {_other(name): value(user) if callable(value) else value for name, value in self.values.items()}


def _other(name: str) -> str:
    """The key of a column that is the host's alone: its primary key may be called `id`, as a field of ours is."""
    return f"host_{name}"
