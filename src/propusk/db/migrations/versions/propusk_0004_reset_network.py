"""A password remembers from which network it was reset: the owner is at home there.

Revision: propusk_0004, after propusk_0003.
"""

import sqlalchemy as sa

from propusk.db.migrations.once import add_column_once, drop_column_once

revision = "propusk_0004"
down_revision = "propusk_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column_once("propusk_passwords", sa.Column("reset_network", sa.String(49)))


def downgrade() -> None:
    drop_column_once("propusk_passwords", "reset_network")
