"""The login form of FastAPI Users."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from propusk.contrib.fastapi_users.refusals import refused
from propusk.errors import AuthError
from propusk.web.login_form import PasswordForm, read_login_form


async def read_login(request: Request) -> PasswordForm:
    """Dependency: the form.

    Raises:
        RequestValidationError: as FastAPI says of its `OAuth2PasswordRequestForm`.
        HTTPException: the body is no such form.
    """
    try:
        return await read_login_form(request)
    except AuthError as refusal:
        raise refused(refusal, {}) from None


Login = Annotated[PasswordForm, Depends(read_login)]
