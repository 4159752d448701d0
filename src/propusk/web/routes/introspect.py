"""Token introspection for other services (RFC 7662): is this token alive, now?"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from propusk.context import Context
from propusk.errors import InvalidClient
from propusk.sessions.models import is_live
from propusk.sessions.queries import find_session
from propusk.tokens.issue import with_own_claims
from propusk.tokens.refresh_token import is_authentic, parse_refresh_token
from propusk.web import examples
from propusk.web.bearer import read_basic
from propusk.web.context import Ctx, auth_of
from propusk.web.current import CLIENT
from propusk.web.faults import validated
from propusk.web.openapi import UNSAFE, form_or_json, refuses
from propusk.web.route import StrictRoute, accepts_form, read_fields
from propusk.web.schemas import Introspection, shown

router = APIRouter(prefix="/auth", route_class=StrictRoute, tags=["operation"])


class IntrospectionBody(BaseModel):
    """RFC 7662, section 2.1: parameters that we do not know are ignored."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True) | shown({"token": examples.REFRESH})

    token: str
    token_type_hint: str | None = Field(None, description="Not needed: our tokens differ by their form.")


@router.post(
    "/introspect",
    response_model=Introspection,
    responses=refuses(*UNSAFE, InvalidClient),
    openapi_extra=form_or_json(IntrospectionBody.model_json_schema()),
)
@accepts_form
async def post_introspect(request: Request, ctx: Ctx, _client: Annotated[None, Depends(CLIENT)]) -> Response:
    """Whether a token is alive, read at this moment; for services with a client id and secret (HTTP Basic)."""
    _check_client(request, ctx.settings.introspection_clients)
    token = await _read_token(request)
    claims = await _access_claims(request, ctx, token) or await _refresh_claims(ctx, token)
    return JSONResponse({"active": claims is not None, **(claims or {})})


async def _read_token(request: Request) -> str:
    return validated(IntrospectionBody, await read_fields(request)).token


def _check_client(request: Request, clients: Sequence[str]) -> None:
    """Compare against every client, so that the time tells no stranger which ids there are."""
    pair = read_basic(request.scope)
    if pair is None:
        raise InvalidClient
    digest = hashlib.sha256(pair[1].encode()).hexdigest()
    given = f"{pair[0]}:{digest}".encode()
    matches = [hmac.compare_digest(given, _with_lower_digest(client)) for client in clients]
    if not any(matches):
        raise InvalidClient


def _with_lower_digest(client: str) -> bytes:
    name, _, digest = client.rpartition(":")
    return f"{name}:{digest.lower()}".encode()


async def _access_claims(request: Request, ctx: Context, token: str) -> dict[str, Any] | None:
    auth = auth_of(request)
    claims = auth.access_tokens.read(ctx.keyring, token, ctx.now)
    principal = await auth.live.get(claims.session_id, ctx.now) if claims is not None else None
    if claims is None or principal is None or principal.user.id != claims.user_id:
        return None
    said = {
        "token_type": "access_token",
        "iss": ctx.settings.public_url,
        "aud": ctx.settings.token_audience,
        "client_id": ctx.settings.token_audience,
        "sub": str(claims.user_id),
        "sid": str(claims.session_id),
        "jti": claims.token_id,
        "iat": claims.issued_at,
        "exp": claims.expires_at,
    }
    # The host's as they are now, not as they were when the token was issued.
    return with_own_claims(ctx, principal.unshared().user, said)


async def _refresh_claims(ctx: Context, token: str) -> dict[str, Any] | None:
    """Only the current refresh token is active: an older one would end the session."""
    parsed = parse_refresh_token(token)
    found = await find_session(ctx, parsed.session_id) if parsed is not None else None
    if parsed is None or found is None:
        return None
    session, user = found
    authentic = is_authentic(ctx.keyring.secrets, parsed, session.refresh_seed)
    if not authentic or parsed.counter != session.refresh_counter or not is_live(session, user, ctx.now):
        return None
    return {
        "token_type": "refresh_token",
        "iss": ctx.settings.public_url,
        "sub": str(user.id),
        "sid": str(session.id),
        "iat": int((session.refreshed_at or session.created_at).timestamp()),
        "exp": int(session.lapses_at.timestamp()),
    }
