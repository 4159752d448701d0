"""Mail and jobs: one-time tokens, the outbox, leases of periodic work.

Revision: propusk_0002, after propusk_0001.
"""

import sqlalchemy as sa
from alembic import op

from propusk.db.migrations.once import create_index_once, create_table_once, drop_index_once
from propusk.db.migrations.owner import owner_column
from propusk.db.types import Digest, Id, JsonText, UtcDateTime

revision = "propusk_0002"
down_revision = "propusk_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table_once(
        "propusk_one_time_tokens",
        sa.Column("id", Id(), nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("user_id", Id()),
        sa.Column("email_key", sa.String(320), nullable=False),
        sa.Column("digest", Digest(32), nullable=False),
        sa.Column("payload", JsonText(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_propusk_one_time_tokens"),
        sa.UniqueConstraint("digest", name="uq_propusk_one_time_tokens_digest"),
        sa.ForeignKeyConstraint(
            ["user_id"], [owner_column()], name="fk_propusk_one_time_tokens_user_id", ondelete="CASCADE"
        ),
    )
    create_index_once("ix_propusk_one_time_tokens_expires_at", "propusk_one_time_tokens", ["expires_at"])
    create_index_once("ix_propusk_one_time_tokens_user_id_purpose", "propusk_one_time_tokens", ["user_id", "purpose"])
    create_index_once(
        "ix_propusk_one_time_tokens_email_key_purpose", "propusk_one_time_tokens", ["email_key", "purpose"]
    )
    create_table_once(
        "propusk_mails",
        sa.Column("id", Id(), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("user_id", Id()),
        sa.Column("args", JsonText(), nullable=False),
        sa.Column("language", sa.String(35)),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("recipient", sa.String(320)),
        sa.Column("finished_at", UtcDateTime()),
        sa.Column("error", sa.String(300)),
        sa.PrimaryKeyConstraint("id", name="pk_propusk_mails"),
        sa.ForeignKeyConstraint(["user_id"], [owner_column()], name="fk_propusk_mails_user_id", ondelete="CASCADE"),
    )
    create_index_once("ix_propusk_mails_user_id", "propusk_mails", ["user_id"])
    create_index_once("ix_propusk_mails_state_due_at", "propusk_mails", ["state", "due_at"])
    create_table_once(
        "propusk_jobs",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("leased_until", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime()),
        sa.Column("finished_at", UtcDateTime()),
        sa.Column("succeeded_at", UtcDateTime()),
        sa.Column("duration_ms", sa.Integer()),
        sa.Column("error", sa.String(300)),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_propusk_jobs"),
    )
    # What is cleaned up is found by when it was last of use.
    create_index_once("ix_propusk_sessions_idle_expires_at", "propusk_sessions", ["idle_expires_at"])
    drop_index_once("ix_propusk_sessions_expires_at", "propusk_sessions")


def downgrade() -> None:
    create_index_once("ix_propusk_sessions_expires_at", "propusk_sessions", ["expires_at"])
    drop_index_once("ix_propusk_sessions_idle_expires_at", "propusk_sessions")
    for name in ("jobs", "mails", "one_time_tokens"):
        op.drop_table(f"propusk_{name}", if_exists=True)
