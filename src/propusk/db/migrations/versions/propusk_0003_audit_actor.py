"""Audit events are found by who acted, too: a deleted user's addresses go from all of them.

Revision: propusk_0003, after propusk_0002.
"""

from propusk.db.migrations.once import create_index_once, drop_index_once

revision = "propusk_0003"
down_revision = "propusk_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_index_once("ix_propusk_audit_events_actor_id", "propusk_audit_events", ["actor_id"])


def downgrade() -> None:
    drop_index_once("ix_propusk_audit_events_actor_id", "propusk_audit_events")
