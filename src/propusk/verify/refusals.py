"""Why a request is not let in, with the status and the headers of the answer (RFC 6750, section 3)."""

from collections.abc import Collection
from typing import ClassVar


class Refused(Exception):
    """The root of all refusals. Its text says why, for your log; it never holds the token or what stands in it."""

    status: ClassVar[int]
    """HTTP status of the answer."""
    title: ClassVar[str]
    """A sentence for the client; tells less than the reason does."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the answer must carry."""
        return {}


class MissingToken(Refused):
    """No bearer token came along: 401, and no error word, as the client may not know that it needs one."""

    status, title = 401, "An access token is needed: Authorization: Bearer …"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class InvalidToken(Refused):
    """The token is none of the issuer's for us, has expired, or (with `live`) its session has ended: 401."""

    status, title = 401, "The access token is not valid or has expired."

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class InsufficientScope(Refused):
    """The token is good and does not allow this: 403, with all the scopes that are needed."""

    status, title = 403, "The access token does not allow this."

    def __init__(self, scopes: Collection[str]) -> None:
        super().__init__("a scope is missing")
        self.scopes = tuple(scopes)

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{" ".join(self.scopes)}"'}


class IssuerUnavailable(Refused):
    """Whether the token is good cannot be known now: 503. Nobody is let in on a guess."""

    status, title = 503, "Access tokens cannot be verified at the moment; try again."

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "2"}
