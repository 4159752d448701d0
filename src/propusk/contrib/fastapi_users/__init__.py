"""The routes of FastAPI Users, for clients that know these: its paths, bodies, status codes and error codes.

    app.include_router(fastapi_users.router)

or piece by piece, each under the prefix that its clients know. First comes `auth.install(app, routes=PAGES)`: it owns
users and sessions, and the pages that links in mails open.
"""

from fastapi import APIRouter

from propusk.contrib.fastapi_users.auth import router as auth_router
from propusk.contrib.fastapi_users.current import current_active_user, current_superuser
from propusk.contrib.fastapi_users.mails import reset_password_router, verify_router
from propusk.contrib.fastapi_users.register import router as register_router
from propusk.contrib.fastapi_users.users import router as users_router

__all__ = [
    "auth_router",
    "current_active_user",
    "current_superuser",
    "register_router",
    "reset_password_router",
    "router",
    "users_router",
    "verify_router",
]

router = APIRouter()
"""All of them, where the documentation of FastAPI Users mounts them."""
router.include_router(auth_router, prefix="/auth/jwt", tags=["auth"])
for piece in (register_router, reset_password_router, verify_router):
    router.include_router(piece, prefix="/auth", tags=["auth"])
router.include_router(users_router, prefix="/users", tags=["users"])
