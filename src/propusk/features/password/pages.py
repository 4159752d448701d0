"""The page that a link to set a password opens."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from propusk.errors import InvalidInput
from propusk.features.password.reset import read_link, reset_password
from propusk.web.context import Ctx
from propusk.web.pages import Field, Form, PageRoute, form_fields, page, query_token, refusal_text
from propusk.web.route import accepts_form

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_PASSWORD = Field("password", "password", kind="password", autocomplete="new-password")


@router.get("/reset-password")
async def get_reset_password(request: Request, ctx: Ctx) -> Response:
    """Ask for the new password. Looking at it uses nothing up."""
    token = query_token(request)
    await read_link(ctx, token=token)
    return page(request, "reset_password", forms=[_form(token)])


@router.post("/reset-password")
@accepts_form
async def post_reset_password(request: Request, ctx: Ctx) -> Response:
    """Set it; one that may not be used is asked for again."""
    fields = await form_fields(request)
    token = fields.get("token", "")
    try:
        await reset_password(ctx, token=token, password=fields.get("password", ""))
    except InvalidInput as refusal:
        error = refusal_text(request, refusal)
        return page(request, "reset_password", status=refusal.status, forms=[_form(token)], error=error)
    return page(request, "reset_password_done")


def _form(token: str) -> Form:
    return Form("reset-password", "set_password", hidden={"token": token}, fields=[_PASSWORD])
