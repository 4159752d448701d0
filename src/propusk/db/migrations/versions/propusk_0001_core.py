"""The core: users, passwords, sessions, counters, locks, keys, audit.

Revision: propusk_0001, the first.
"""

import sqlalchemy as sa
from alembic import op

from propusk.db.migrations.once import create_index_once, create_table_once, insert_row_once
from propusk.db.migrations.owner import hosts_users, owner_column
from propusk.db.types import Digest, Id, JsonText, UtcDateTime

revision = "propusk_0001"
down_revision = None
branch_labels = ("propusk",)
depends_on = None


def upgrade() -> None:
    owner = [owner_column()]
    if hosts_users() is None:
        _create_users()
    create_table_once(
        "propusk_passwords",
        sa.Column("user_id", Id(), nullable=False),
        sa.Column("hash", sa.String(512), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_propusk_passwords"),
        sa.ForeignKeyConstraint(["user_id"], owner, name="fk_propusk_passwords_user_id", ondelete="CASCADE"),
    )
    create_table_once(
        "propusk_sessions",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", Id(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("methods", sa.String(100), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("idle_expires_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime()),
        sa.Column("ip", sa.String(45)),
        sa.Column("network", sa.String(49), nullable=False),
        sa.Column("user_agent", sa.String(512), nullable=False),
        sa.Column("refresh_counter", sa.Integer(), nullable=False),
        sa.Column("refresh_seed", Digest(32), nullable=False),
        sa.Column("refresh_key", Digest(8), nullable=False),
        sa.Column("refreshed_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_propusk_sessions"),
        sa.ForeignKeyConstraint(["user_id"], owner, name="fk_propusk_sessions_user_id", ondelete="CASCADE"),
    )
    create_index_once("ix_propusk_sessions_user_id_created_at", "propusk_sessions", ["user_id", "created_at"])
    create_index_once("ix_propusk_sessions_user_id_network", "propusk_sessions", ["user_id", "network", "last_seen_at"])
    create_index_once("ix_propusk_sessions_expires_at", "propusk_sessions", ["expires_at"])
    create_table_once(
        "propusk_counters",
        sa.Column("key", Digest(32), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("resets_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_propusk_counters"),
    )
    create_index_once("ix_propusk_counters_resets_at", "propusk_counters", ["resets_at"])
    create_table_once(
        "propusk_locks",
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_propusk_locks"),
    )
    insert_row_once(
        sa.table("propusk_locks", sa.column("name"), sa.column("n")), "name", {"name": "superusers", "n": 0}
    )
    create_table_once(
        "propusk_signing_keys",
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("algorithm", sa.String(10), nullable=False),
        sa.Column("public_jwk", JsonText(), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("retired_at", UtcDateTime()),
        sa.Column("revoked_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("kid", name="pk_propusk_signing_keys"),
    )
    create_table_once(
        "propusk_secret_keys",
        sa.Column("fingerprint", Digest(8), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_propusk_secret_keys"),
    )
    create_table_once(
        "propusk_audit_events",
        sa.Column("id", Id(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("user_id", Id()),
        sa.Column("actor_id", Id()),
        sa.Column("session_id", Id()),
        sa.Column("ip", sa.String(45)),
        sa.Column("detail", sa.String(100)),
        sa.PrimaryKeyConstraint("id", name="pk_propusk_audit_events"),
    )
    create_index_once("ix_propusk_audit_events_at", "propusk_audit_events", ["at"])
    create_index_once("ix_propusk_audit_events_user_id", "propusk_audit_events", ["user_id"])


def _create_users() -> None:
    create_table_once(
        "propusk_users",
        sa.Column("id", Id(), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("email_key", sa.String(320), nullable=False),
        sa.Column("username", sa.String(32)),
        sa.Column("username_key", sa.String(32)),
        sa.Column("name", sa.String(200)),
        sa.Column("locale", sa.String(35)),
        sa.Column("profile", JsonText(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("is_verified", sa.Boolean(), nullable=False),
        sa.Column("is_superuser", sa.Boolean(), nullable=False),
        sa.Column("session_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("last_login_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_propusk_users"),
        sa.UniqueConstraint("email_key", name="uq_propusk_users_email_key"),
        sa.UniqueConstraint("username_key", name="uq_propusk_users_username_key"),
    )
    create_index_once("ix_propusk_users_created_at_id", "propusk_users", ["created_at", "id"])


def downgrade() -> None:
    for name in (
        "audit_events",
        "secret_keys",
        "signing_keys",
        "locks",
        "counters",
        "sessions",
        "passwords",
    ):
        op.drop_table(f"propusk_{name}", if_exists=True)
    if hosts_users() is None:
        op.drop_table("propusk_users", if_exists=True)
