"""A counter."""

import sqlalchemy as sa
from alembic import op

revision = "app_0001"
down_revision = None
branch_labels = ("app",)
depends_on = ("propusk_0001",)


def upgrade() -> None:
    columns = (sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer, nullable=False))
    op.bulk_insert(op.create_table("counters", *columns), [{"id": 1, "n": 0}])


def downgrade() -> None:
    op.drop_table("counters")
