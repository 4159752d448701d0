"""The routes about e-mail addresses."""

from fastapi import APIRouter, Depends
from starlette.responses import Response

from propusk.errors import CrossOrigin, EmailTaken, ExpiredToken, InvalidToken, WrongPassword
from propusk.features.email.change import confirm_email, request_email_change
from propusk.features.email.undo import undo_email_change
from propusk.features.email.verify import request_verification, verify_email
from propusk.web import examples
from propusk.web.answers import accepted, no_content
from propusk.web.context import Ctx
from propusk.web.current import CurrentPrincipal, same_origin
from propusk.web.openapi import HASHING, LOGIN_NEEDED, UNSAFE, refuses
from propusk.web.route import StrictRoute
from propusk.web.schemas import Body, Email, LinkToken, Password, UserOut, shown

router = APIRouter(route_class=StrictRoute, dependencies=[Depends(same_origin)])
_WITH_TOKEN = (*UNSAFE, CrossOrigin, InvalidToken, ExpiredToken)


class VerificationRequest(Body):
    """The address that is to get a link."""

    model_config = shown({"email": "ada@example.com"})

    email: Email


class TokenBody(Body):
    """What a link in a mail brought."""

    model_config = shown({"token": examples.ONE_TIME})

    token: LinkToken


class EmailChange(Body):
    """Another e-mail address, and one's password once more."""

    model_config = shown({"new_email": "ada@example.org", "password": examples.PASSWORD})

    new_email: Email
    password: Password


@router.post(
    "/auth/request-verify-token",
    status_code=202,
    response_class=Response,
    tags=["login"],
    responses=refuses(*UNSAFE, CrossOrigin, *HASHING),
)
async def post_request_verify_token(ctx: Ctx, body: VerificationRequest) -> Response:
    """Have a verification link sent. The answer is the same whoever has the address."""
    await request_verification(ctx, email=body.email)
    return accepted()


@router.post("/auth/verify", tags=["login"], responses=refuses(*_WITH_TOKEN, EmailTaken))
async def post_verify(ctx: Ctx, body: TokenBody) -> UserOut:
    """Verify an e-mail address, or finish a registration that waited for this."""
    return UserOut.of(await verify_email(ctx, token=body.token))


@router.post(
    "/users/me/email",
    status_code=202,
    response_class=Response,
    tags=["users"],
    responses=refuses(*UNSAFE, *LOGIN_NEEDED, WrongPassword, CrossOrigin, *HASHING),
)
async def post_email(principal: CurrentPrincipal, ctx: Ctx, body: EmailChange) -> Response:
    """Change your e-mail address: the new one gets a link that confirms, the old one a link that takes it back."""
    await request_email_change(ctx, principal=principal, new_email=body.new_email, password=body.password)
    return accepted()


@router.post("/auth/confirm-email", tags=["users"], responses=refuses(*_WITH_TOKEN, EmailTaken))
async def post_confirm_email(ctx: Ctx, body: TokenBody) -> UserOut:
    """Confirm a new e-mail address. The old one can take it back for a while."""
    return UserOut.of(await confirm_email(ctx, token=body.token))


@router.post("/auth/undo-email", status_code=204, tags=["users"], responses=refuses(*_WITH_TOKEN, EmailTaken))
async def post_undo_email(ctx: Ctx, body: TokenBody) -> Response:
    """Take a change of the e-mail address back. Every session ends, and the password works no more."""
    await undo_email_change(ctx, token=body.token)
    return no_content()
