"""For a host's own Alembic history: what env.py passes to `context.configure`, and the steps of its revisions."""

from propusk.alembic.adopt import adopt_users, release_users
from propusk.alembic.alone import alone
from propusk.alembic.hooks import options
from propusk.alembic.passwords import move_passwords, return_passwords
from propusk.db.users_table import UsersTable

__all__ = ["UsersTable", "adopt_users", "alone", "move_passwords", "options", "release_users", "return_passwords"]
