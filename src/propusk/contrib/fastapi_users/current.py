"""Who is calling, told in the words of FastAPI Users."""

from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import OAuth2PasswordBearer
from starlette.requests import HTTPConnection

from propusk.contrib.fastapi_users.refusals import refused
from propusk.errors import AuthError
from propusk.sessions.models import Principal
from propusk.users.models import User
from propusk.web.context import auth_of
from propusk.web.current import authenticate

_AUTHORIZE = OAuth2PasswordBearer(tokenUrl="auth/jwt/login", auto_error=False)  # for the document; we read it ourselves


async def current_principal(
    connection: HTTPConnection, _documented: Annotated[str | None, Depends(_AUTHORIZE)]
) -> Principal:
    """Dependency: the user and session that are calling.

    Raises:
        HTTPException: 401; 403 for who has yet to verify their address, where that is required.
    """
    try:
        principal = await authenticate(connection)
    except AuthError as refusal:
        raise refused(refusal, {}) from None
    if auth_of(connection).settings.require_verified_email and not principal.user.is_verified:
        raise HTTPException(403)
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


async def current_active_user(principal: CurrentPrincipal) -> User:
    """Dependency: the user who is calling.

    Raises:
        HTTPException: see `current_principal`.
    """
    return principal.user


async def current_administrator(principal: CurrentPrincipal) -> Principal:
    """Dependency: the superuser and the session that are calling.

    Raises:
        HTTPException: 403 for others.
    """
    if not principal.user.is_superuser:
        raise HTTPException(403)
    return principal


CurrentAdministrator = Annotated[Principal, Depends(current_administrator)]


async def current_superuser(principal: CurrentAdministrator) -> User:
    """Dependency: the superuser who is calling.

    Raises:
        HTTPException: 403 for others.
    """
    return principal.user
