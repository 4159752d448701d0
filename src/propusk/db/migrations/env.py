"""Alembic's entry: runs on the connection that `propusk.db.migrate` hands it."""

from alembic import context

from propusk.db.migrations.owner import OPTION
from propusk.db.revision import VERSION_TABLE

given = context.config.attributes
context.configure(
    connection=given["connection"],
    target_metadata=given["metadata"],
    version_table=VERSION_TABLE,
    compare_type=True,
    render_as_batch=True,
    **{OPTION: given["users"]},
)
with context.begin_transaction():
    context.run_migrations()
