"""Alembic's entry: runs on the connection that `propusk.db.migrate` hands it."""

from alembic import context

from propusk.db.revision import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["metadata"],
    version_table=VERSION_TABLE,
    compare_type=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
