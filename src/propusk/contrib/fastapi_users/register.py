"""Make an account."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from propusk.contrib.fastapi_users.refusals import transaction
from propusk.contrib.fastapi_users.route import Route
from propusk.contrib.fastapi_users.schemas import ErrorModel, UserCreate, UserRead
from propusk.domain import register_privately, register_with_password
from propusk.errors import EmailTaken, InvalidInput

router = APIRouter(route_class=Route)
_REFUSED = {EmailTaken: "REGISTER_USER_ALREADY_EXISTS", InvalidInput: "REGISTER_INVALID_PASSWORD"}


@router.post(
    "/register",
    status_code=201,
    name="register:register",
    response_model=UserRead,
    responses={400: {"model": ErrorModel}},
)
async def register(request: Request, body: UserCreate) -> UserRead | Response:
    """Make an account. With `private_registration` the answer is 202 whoever has the address, and has no user in it."""
    async with transaction(request, _REFUSED) as ctx:
        if ctx.settings.private_registration:
            await register_privately(ctx, email=body.email, password=body.password)
            return JSONResponse(None, 202)
        return UserRead.of(await register_with_password(ctx, email=body.email, password=body.password))
