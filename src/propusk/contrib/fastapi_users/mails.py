"""What begins and ends with a link in a mail. The link opens a page of ours; its token works here as well."""

from typing import Annotated

from fastapi import APIRouter, Body, HTTPException
from starlette.requests import Request

from propusk.context import Context
from propusk.contrib.fastapi_users.refusals import transaction
from propusk.contrib.fastapi_users.route import Route
from propusk.contrib.fastapi_users.schemas import Email, ErrorModel, UserRead
from propusk.domain import forgot_password, request_verification, verify_email
from propusk.domain import reset_password as set_password_by_link
from propusk.errors import EmailTaken, ExpiredToken, InvalidInput, InvalidToken
from propusk.one_time.issue import digest, is_token
from propusk.one_time.models import Purpose
from propusk.one_time.queries import find_by_digest
from propusk.users.queries import find_user

verify_router = APIRouter(route_class=Route)
reset_password_router = APIRouter(route_class=Route)
_BAD_VERIFY = dict.fromkeys((InvalidToken, ExpiredToken, EmailTaken), "VERIFY_USER_BAD_TOKEN")
_BAD_RESET = {
    InvalidToken: "RESET_PASSWORD_BAD_TOKEN",
    ExpiredToken: "RESET_PASSWORD_BAD_TOKEN",
    InvalidInput: "RESET_PASSWORD_INVALID_PASSWORD",
}


@verify_router.post("/request-verify-token", status_code=202, name="verify:request-token")
async def request_verify_token(request: Request, email: Annotated[Email, Body(embed=True)]) -> None:
    """Have a link sent that verifies an address. The answer is the same whoever has it."""
    async with transaction(request) as ctx:
        await request_verification(ctx, email=email)


@verify_router.post("/verify", name="verify:verify", responses={400: {"model": ErrorModel}})
async def verify(request: Request, token: Annotated[str, Body(embed=True)]) -> UserRead:
    """Verify an address."""
    async with transaction(request, _BAD_VERIFY) as ctx:
        try:
            return UserRead.of(await verify_email(ctx, token=token))
        except InvalidToken:
            if await _is_over(ctx, token):
                raise HTTPException(400, "VERIFY_USER_ALREADY_VERIFIED") from None
            raise


async def _is_over(ctx: Context, token: str) -> bool:
    """Whether it is a link of ours to an address that its user has verified meanwhile, by this link or another."""
    found = await find_by_digest(ctx, digest(token)) if token.isascii() else None
    if found is None or found.purpose is not Purpose.VERIFY or not is_token(ctx, token, found):
        return False
    user = await find_user(ctx, found.user_id) if found.user_id is not None else None
    return user is not None and user.is_verified and user.email_key == found.email_key and ctx.now < found.expires_at


@reset_password_router.post("/forgot-password", status_code=202, name="reset:forgot_password")
async def ask_for_reset(request: Request, email: Annotated[Email, Body(embed=True)]) -> None:
    """Have a link sent that resets a forgotten password. The answer is the same whoever has the address."""
    async with transaction(request) as ctx:
        await forgot_password(ctx, email=email)


@reset_password_router.post("/reset-password", name="reset:reset_password", responses={400: {"model": ErrorModel}})
async def reset_password(request: Request, token: Annotated[str, Body()], password: Annotated[str, Body()]) -> None:
    """Set a new password. Every session of the user ends."""
    async with transaction(request, _BAD_RESET) as ctx:
        await set_password_by_link(ctx, token=token, password=password)
