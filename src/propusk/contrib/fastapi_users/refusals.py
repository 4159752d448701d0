"""Refusals in the words of FastAPI Users: `{"detail": …}`, by way of the host's own handler of `HTTPException`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import HTTPException
from starlette.requests import HTTPConnection

from propusk.context import Context
from propusk.errors import AuthError, Forbidden, InvalidInput, NotFound, Unauthenticated
from propusk.web.context import request_context

Codes = Mapping[type[AuthError], str]
"""What a route calls some refusals. The word for `InvalidInput` is about the password: other fields are told as 422."""


@asynccontextmanager
async def transaction(connection: HTTPConnection, codes: Codes | None = None) -> AsyncIterator[Context]:
    """A use case in a transaction of its own: committed at the end of the block, before the answer leaves.

    Raises:
        HTTPException: it was refused, and is rolled back but for what such a refusal keeps.
    """
    try:
        async with request_context(connection) as ctx:
            yield ctx
    except AuthError as refusal:
        raise refused(refusal, codes or {}) from None


def refused(refusal: AuthError, codes: Codes) -> HTTPException:
    """A refusal as its answer: by the code that the route has for it, else as the like of it is told there."""
    headers = refusal.headers()
    if isinstance(refusal, InvalidInput):
        return _invalid(refusal, codes.get(InvalidInput))
    if (code := codes.get(type(refusal))) is not None:
        return HTTPException(400, code)
    if isinstance(refusal, Unauthenticated | Forbidden | NotFound):
        return HTTPException(refusal.status, headers=headers)  # the bare name of the status
    return HTTPException(refusal.status, str(refusal), headers)


def _invalid(refusal: InvalidInput, code: str | None) -> HTTPException:
    first = refusal.errors[0]
    if code is not None and first.field.endswith("password"):
        return HTTPException(400, {"code": code, "reason": first.message})
    faults = [{"type": e.code, "loc": ["body", *e.field.split(".")], "msg": e.message} for e in refusal.errors]
    return HTTPException(422, faults)
