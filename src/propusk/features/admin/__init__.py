"""Administration: what superusers do with other people's accounts."""

from propusk.feature import Feature
from propusk.features.admin.sessions import router as sessions_router
from propusk.features.admin.users import router as users_router


def feature() -> Feature:
    """The routes for superusers."""
    return Feature(name="admin", routers=(users_router, sessions_router))
