"""The data model on one page. Queries name columns by their keys, so a host's own users table can stand in for ours."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table

from propusk.db.types import Digest, Id, JsonText, UtcDateTime

Statement = TypeVar("Statement")
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
# Binary collation: two keys are equal when their bytes are; MariaDB's default would fold case and accents.
_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
_MYSQL |= {name.replace("mysql", "mariadb"): value for name, value in _MYSQL.items()}


@dataclass(frozen=True, eq=False)
class Tables:
    """Every table of ours, and the metadata they belong to."""

    metadata: MetaData
    users: Table
    passwords: Table
    sessions: Table
    counters: Table
    locks: Table
    signing_keys: Table
    secret_keys: Table
    audit_events: Table


def prepared(build: Callable[[Tables], Statement]) -> Callable[[Tables], Statement]:
    """Build a statement once for each `Tables`: on the way of every login, making one costs more than running it."""
    built: WeakKeyDictionary[Tables, Statement] = WeakKeyDictionary()

    @wraps(build)
    def once(tables: Tables) -> Statement:
        statement = built.get(tables)
        if statement is None:
            statement = built[tables] = build(tables)
        return statement

    return once


def build_tables() -> Tables:
    """The tables. Each call makes its own, tied to metadata of its own."""
    metadata = MetaData(naming_convention=NAMING)
    users = _users(metadata)
    return Tables(
        metadata=metadata,
        users=users,
        passwords=_passwords(metadata, users),
        sessions=_sessions(metadata, users),
        counters=_counters(metadata),
        locks=_locks(metadata),
        signing_keys=_signing_keys(metadata),
        secret_keys=_secret_keys(metadata),
        audit_events=_audit_events(metadata),
    )


def _users(metadata: MetaData) -> Table:
    """The order is that of the fields of `users.models.User`."""
    return Table(
        "propusk_users",
        metadata,
        Column("id", Id, primary_key=True),
        Column("email", String(320), nullable=False),
        Column("email_key", String(320), nullable=False, unique=True),
        Column("username", String(32)),
        Column("username_key", String(32), unique=True),
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
        Index("ix_propusk_users_created_at_id", "created_at", "id"),
        **_MYSQL,
    )


def _owner(users: Table) -> Column[object]:
    return Column("user_id", Id, ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False)


def _passwords(metadata: MetaData, users: Table) -> Table:
    return Table(
        "propusk_passwords",
        metadata,
        Column("user_id", Id, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True),
        Column("hash", String(512), nullable=False),
        Column("changed_at", UtcDateTime, nullable=False),
        **_MYSQL,
    )


def _sessions(metadata: MetaData, users: Table) -> Table:
    """The order is that of the fields of `sessions.models.Session`."""
    return Table(
        "propusk_sessions",
        metadata,
        Column("id", Id, primary_key=True),
        _owner(users),
        Column("epoch", Integer, nullable=False),
        Column("methods", String(100), nullable=False),
        Column("created_at", UtcDateTime, nullable=False),
        Column("last_seen_at", UtcDateTime, nullable=False),
        Column("idle_expires_at", UtcDateTime, nullable=False),
        Column("expires_at", UtcDateTime, nullable=False),
        Column("ended_at", UtcDateTime),
        Column("ip", String(45)),
        Column("network", String(49), nullable=False),
        Column("user_agent", String(512), nullable=False),
        Column("refresh_counter", Integer, nullable=False),
        Column("refresh_seed", Digest(32), nullable=False),
        Column("refresh_key", Digest(8), nullable=False),
        Column("refreshed_at", UtcDateTime),
        Index("ix_propusk_sessions_user_id_created_at", "user_id", "created_at"),
        Index("ix_propusk_sessions_user_id_network", "user_id", "network", "last_seen_at"),
        Index("ix_propusk_sessions_expires_at", "expires_at"),
        **_MYSQL,
    )


def _counters(metadata: MetaData) -> Table:
    return Table(
        "propusk_counters",
        metadata,
        Column("key", Digest(32), primary_key=True),
        Column("count", Integer, nullable=False),
        Column("resets_at", UtcDateTime, nullable=False, index=True),
        **_MYSQL,
    )


def _locks(metadata: MetaData) -> Table:
    """A row to update before a decision over several rows, so that two who decide wait for each other."""
    return Table(
        "propusk_locks",
        metadata,
        Column("name", String(50), primary_key=True),
        Column("n", Integer, nullable=False),
        **_MYSQL,
    )


def _signing_keys(metadata: MetaData) -> Table:
    """Public halves only; the private ones never reach the database."""
    return Table(
        "propusk_signing_keys",
        metadata,
        Column("kid", String(64), primary_key=True),
        Column("algorithm", String(10), nullable=False),
        Column("public_jwk", JsonText, nullable=False),
        Column("first_seen_at", UtcDateTime, nullable=False),
        Column("retired_at", UtcDateTime),
        Column("revoked_at", UtcDateTime),
        **_MYSQL,
    )


def _secret_keys(metadata: MetaData) -> Table:
    """Fingerprints of the secret keys this database knows: a node with another one would refuse everybody's tokens."""
    return Table(
        "propusk_secret_keys",
        metadata,
        Column("fingerprint", Digest(8), primary_key=True),
        Column("first_seen_at", UtcDateTime, nullable=False),
        **_MYSQL,
    )


def _audit_events(metadata: MetaData) -> Table:
    """No foreign keys: the bare fact outlives the user."""
    return Table(
        "propusk_audit_events",
        metadata,
        Column("id", Id, primary_key=True),
        Column("at", UtcDateTime, nullable=False, index=True),
        Column("kind", String(50), nullable=False),
        Column("outcome", String(20), nullable=False),
        Column("user_id", Id, index=True),
        Column("actor_id", Id),
        Column("session_id", Id),
        Column("ip", String(45)),
        Column("detail", String(100)),
        **_MYSQL,
    )
