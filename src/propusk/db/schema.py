"""The data model on one page. Queries name columns by their keys, so a host's own users table can stand in for ours."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, String, Table, UniqueConstraint
from sqlalchemy.schema import conv

from propusk.db.types import Digest, Id, JsonText, UtcDateTime
from propusk.db.users_table import UsersTable, user_columns

Statement = TypeVar("Statement")
# Of these two the name does not matter when schemas are compared. A host's metadata may name them its own way.
NAMING = {"fk": "fk_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s"}
IN_METADATA = "propusk_tables"
# Binary collation: two keys are equal when their bytes are; MariaDB's default would fold case and accents.
_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
_MYSQL |= {name.replace("mysql", "mariadb"): value for name, value in _MYSQL.items()}


@dataclass(frozen=True, eq=False)
class Tables:
    """Every table of ours, and the metadata they belong to.

    `users` may be a view of the host's table, by our names. `new_users` is the same with the columns that the host
    fills by `UsersTable.values`, for inserts.
    """

    metadata: MetaData
    users: Table
    new_users: Table
    passwords: Table
    sessions: Table
    counters: Table
    locks: Table
    signing_keys: Table
    secret_keys: Table
    audit_events: Table
    one_time_tokens: Table
    mails: Table
    jobs: Table
    host: UsersTable | None = None


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


def build_tables(users: UsersTable | None = None, metadata: MetaData | None = None) -> Tables:
    """The tables. Each call makes its own, but for one metadata always the same.

    Args:
        users: the host's table that holds the users, instead of ours.
        metadata: the host's, where its tables can refer to ours by name; by default one of our own.
    Raises:
        ValueError: this metadata cannot take them.
    """
    if metadata is None:
        return _build(users, MetaData(naming_convention=NAMING), shared=False)
    found: Tables | None = metadata.info.get(IN_METADATA)
    if found is not None:
        if found.host != users:
            raise ValueError("metadata: it has our tables already, with another UsersTable")
        return found
    if metadata.schema is not None:
        raise ValueError("metadata: our tables have no schema; on PostgreSQL, set the search path instead")
    if users is not None:
        users.check_declared(metadata)
    return _build(users, metadata, shared=True)


def _build(host: UsersTable | None, metadata: MetaData, *, shared: bool) -> Tables:
    users = _users(metadata) if host is None else host.view(MetaData() if shared else metadata)
    owner = f"{users.name}.{users.c.id.name}"
    metadata.info[IN_METADATA] = tables = Tables(
        metadata=metadata,
        users=users,
        new_users=users if host is None else host.view_for_insert(),
        passwords=_passwords(metadata, owner),
        sessions=_sessions(metadata, owner),
        counters=_counters(metadata),
        locks=_locks(metadata),
        signing_keys=_signing_keys(metadata),
        secret_keys=_secret_keys(metadata),
        audit_events=_audit_events(metadata),
        one_time_tokens=_one_time_tokens(metadata, owner),
        mails=_mails(metadata, owner),
        jobs=_jobs(metadata),
        host=host,
    )
    return tables


def _users(metadata: MetaData) -> Table:
    return Table(
        "propusk_users",
        metadata,
        *user_columns(),
        _unique("propusk_users", "email_key"),
        _unique("propusk_users", "username_key"),
        Index("ix_propusk_users_created_at_id", "created_at", "id"),
        **_MYSQL,
    )


def _unique(table: str, column: str) -> UniqueConstraint:
    return UniqueConstraint(column, name=conv(f"uq_{table}_{column}"))


def _owner(owner: str) -> ForeignKey:
    """By name, as a table of the host's may be declared later, and may know its columns by other keys."""
    return ForeignKey(owner, ondelete="CASCADE", link_to_name=True)


def _passwords(metadata: MetaData, owner: str) -> Table:
    return Table(
        "propusk_passwords",
        metadata,
        Column("user_id", Id, _owner(owner), primary_key=True),
        Column("hash", String(512), nullable=False),
        Column("changed_at", UtcDateTime, nullable=False),
        Column("reset_network", String(49)),
        **_MYSQL,
    )


def _sessions(metadata: MetaData, owner: str) -> Table:
    """The order is that of the fields of `sessions.models.Session`."""
    return Table(
        "propusk_sessions",
        metadata,
        Column("id", Id, primary_key=True),
        Column("user_id", Id, _owner(owner), nullable=False),
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
        Index("ix_propusk_sessions_idle_expires_at", "idle_expires_at"),
        **_MYSQL,
    )


def _counters(metadata: MetaData) -> Table:
    return Table(
        "propusk_counters",
        metadata,
        Column("key", Digest(32), primary_key=True),
        Column("count", Integer, nullable=False),
        Column("resets_at", UtcDateTime, nullable=False),
        Index("ix_propusk_counters_resets_at", "resets_at"),
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
        Column("at", UtcDateTime, nullable=False),
        Column("kind", String(50), nullable=False),
        Column("outcome", String(20), nullable=False),
        Column("user_id", Id),
        Column("actor_id", Id),
        Column("session_id", Id),
        Column("ip", String(45)),
        Column("detail", String(100)),
        Index("ix_propusk_audit_events_at", "at"),
        Index("ix_propusk_audit_events_user_id", "user_id"),
        Index("ix_propusk_audit_events_actor_id", "actor_id"),
        **_MYSQL,
    )


def _one_time_tokens(metadata: MetaData, owner: str) -> Table:
    """The order is that of the fields of `one_time.models.OneTimeToken`. Only digests of the tokens."""
    return Table(
        "propusk_one_time_tokens",
        metadata,
        Column("id", Id, primary_key=True),
        Column("purpose", String(20), nullable=False),
        Column("user_id", Id, _owner(owner)),
        Column("email_key", String(320), nullable=False),
        Column("digest", Digest(32), nullable=False),
        Column("payload", JsonText, nullable=False),
        Column("created_at", UtcDateTime, nullable=False),
        Column("expires_at", UtcDateTime, nullable=False),
        Column("used_at", UtcDateTime),
        _unique("propusk_one_time_tokens", "digest"),
        Index("ix_propusk_one_time_tokens_expires_at", "expires_at"),
        Index("ix_propusk_one_time_tokens_user_id_purpose", "user_id", "purpose"),
        Index("ix_propusk_one_time_tokens_email_key_purpose", "email_key", "purpose"),
        **_MYSQL,
    )


def _mails(metadata: MetaData, owner: str) -> Table:
    """The outbox. The order is that of the fields of `mail.models.Mail`."""
    return Table(
        "propusk_mails",
        metadata,
        Column("id", Id, primary_key=True),
        Column("kind", String(50), nullable=False),
        Column("user_id", Id, _owner(owner)),
        Column("args", JsonText, nullable=False),
        Column("language", String(35)),
        Column("state", String(10), nullable=False),
        Column("created_at", UtcDateTime, nullable=False),
        Column("due_at", UtcDateTime, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("recipient", String(320)),
        Column("finished_at", UtcDateTime),
        Column("error", String(300)),
        Index("ix_propusk_mails_user_id", "user_id"),
        Index("ix_propusk_mails_state_due_at", "state", "due_at"),
        **_MYSQL,
    )


def _jobs(metadata: MetaData) -> Table:
    """Periodic work and who may do it. The order is that of the fields of `jobs.models.JobState`."""
    return Table(
        "propusk_jobs",
        metadata,
        Column("name", String(100), primary_key=True),
        Column("generation", Integer, nullable=False),
        Column("leased_until", UtcDateTime, nullable=False),
        Column("due_at", UtcDateTime, nullable=False),
        Column("started_at", UtcDateTime),
        Column("finished_at", UtcDateTime),
        Column("succeeded_at", UtcDateTime),
        Column("duration_ms", Integer),
        Column("error", String(300)),
        Column("runs", Integer, nullable=False),
        Column("failures", Integer, nullable=False),
        **_MYSQL,
    )
