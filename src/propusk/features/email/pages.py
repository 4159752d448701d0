"""The pages that mails about addresses link to."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from propusk.features.email.change import confirm_email
from propusk.features.email.undo import undo_email_change
from propusk.features.email.verify import disown, find_unverified, may_disown, verify_email
from propusk.mail.render import shown_time
from propusk.web.context import Ctx
from propusk.web.pages import Form, PageRoute, form_fields, page, query_token

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/verify-email")
async def get_verify_email(request: Request, ctx: Ctx) -> Response:
    """When and from where the account was made, and the choice: verify, or "this was not me"."""
    token = query_token(request)
    found, user = await find_unverified(ctx, token=token)
    forms = [Form("verify-email", "verify", hidden={"token": token})]
    disowns = may_disown(found, user)
    if disowns:
        forms.append(Form("verify-email", "not_me", hidden={"token": token, "not_me": "yes"}, quiet=True))
    name = "verify_registration" if user is None else "verify_email" if disowns else "verify_again"
    return page(
        request,
        name,
        forms=forms,
        email=found.payload["email"] if user is None else user.email,
        at=shown_time(found.created_at if user is None else user.created_at),
        ip=found.payload.get("ip") or "unknown",
    )


@router.post("/verify-email")
async def post_verify_email(request: Request, ctx: Ctx) -> Response:
    """Verify, or delete what somebody else made."""
    fields = await form_fields(request)
    token = fields.get("token", "")
    if fields.get("not_me"):
        await disown(ctx, token=token)
        return page(request, "not_me_done")
    user = await verify_email(ctx, token=token)
    return page(request, "verify_email_done", email=user.email)


@router.get("/confirm-email")
async def get_confirm_email(request: Request) -> Response:
    """Asks whether the new address is to be used."""
    form = Form("confirm-email", "confirm", hidden={"token": query_token(request)})
    return page(request, "confirm_email", forms=[form])


@router.post("/confirm-email")
async def post_confirm_email_page(request: Request, ctx: Ctx) -> Response:
    """Confirm the new address."""
    user = await confirm_email(ctx, token=(await form_fields(request)).get("token", ""))
    return page(request, "confirm_email_done", email=user.email)


@router.get("/undo-email")
async def get_undo_email(request: Request) -> Response:
    """Says what taking the change back does, and asks."""
    form = Form("undo-email", "undo", hidden={"token": query_token(request)})
    return page(request, "undo_email", forms=[form])


@router.post("/undo-email")
async def post_undo_email_page(request: Request, ctx: Ctx) -> Response:
    """Take the change back."""
    await undo_email_change(ctx, token=(await form_fields(request)).get("token", ""))
    return page(request, "undo_email_done")
