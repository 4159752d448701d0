"""What verifiers and orchestrators ask."""

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from propusk.crypto.keyring import JWKS_MAX_AGE
from propusk.db.dialect import is_away
from propusk.db.revision import is_current
from propusk.errors import Unavailable
from propusk.web.context import auth_of
from propusk.web.leave import is_leaving
from propusk.web.openapi import refuses
from propusk.web.route import StrictRoute
from propusk.web.schemas import Health, KeySet, Readiness

router = APIRouter(tags=["operation"], route_class=StrictRoute)


@router.get("/.well-known/jwks.json", responses=refuses())
async def get_jwks(request: Request, response: Response) -> KeySet:
    """The public keys of access tokens, current and retiring (RFC 7517). Cacheable. Empty with HS256."""
    keys = await auth_of(request).keys.current()
    response.headers["Cache-Control"] = f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"
    return KeySet(**keys.jwks())


@router.get("/healthz")
async def get_healthz() -> Health:
    """Liveness: the process answers. Says nothing of the database: restarting us would not mend it."""
    return Health()


@router.get("/readyz", response_model_exclude_unset=True, responses=refuses())
async def get_readyz(request: Request) -> Readiness:
    """Readiness: the database answers, its schema is not older than the code, and the process is not about to stop.
    Redis is reported, not needed.
    """
    if is_leaving(request.app):
        raise Unavailable("The process is about to stop.")
    auth = auth_of(request)
    try:
        async with asyncio.timeout(5):
            ready = await is_current(auth.engine, auth.tables.metadata)
    except Exception as error:
        if is_away(error) or isinstance(error, TimeoutError):
            raise Unavailable("The database is away.") from error
        raise
    if not ready:
        raise Unavailable("The schema is older than the code: run propusk migrate.")
    beside = {name: "ok" if well else "away" for name, well in (await auth.store.health()).items()}
    return Readiness.model_validate({"status": "ok", **beside})
