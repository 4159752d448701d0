"""The verifier as a FastAPI dependency: the only file here that knows a web framework, imported when it is needed."""

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from propusk.verify.claims import AccessToken
from propusk.verify.refusals import Refused

if TYPE_CHECKING:
    from propusk.verify.verifier import TokenVerifier


class _Documented(SecurityBase):
    """Puts the scheme into the host's OpenAPI document. Reads nothing, so that it serves WebSockets as well."""

    def __init__(self) -> None:
        self.model = HTTPBearerModel(bearerFormat="JWT", description="An access token (RFC 6750).")
        self.scheme_name = "HTTPBearer"

    def __call__(self) -> None:
        return None


_SCHEME = _Documented()


def make_dependency(
    verifier: "TokenVerifier", scopes: Sequence[str]
) -> Callable[..., Coroutine[Any, Any, AccessToken]]:
    """A dependency that verifies the token of a request or a WebSocket, and that it has all of `scopes`."""

    async def access_token(connection: HTTPConnection, _scheme: Annotated[None, Depends(_SCHEME)]) -> AccessToken:
        values = [value for name, value in connection.scope["headers"] if name == b"authorization"]
        try:
            return await verifier.authenticate(values, *scopes)
        except Refused as refused:
            refusal = HTTPException(refused.status, refused.title, refused.headers)
        # Outside the except: what led to the refusal is not for whoever logs this.
        raise refusal

    return access_token
