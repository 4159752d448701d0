"""${message}

Revision: ${up_revision}, after ${down_revision | comma,n}. Every step must be harmless when it is run again: MariaDB
never rolls DDL back, and a killed migration is continued by the next.
"""

import sqlalchemy as sa
from alembic import op

from propusk.db.migrations.once import create_index_once
from propusk.db.types import Digest, Id, JsonText, UtcDateTime

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
