"""FastAPI's own route with two bounds: on the size and time of a body, and on what a 422 repeats of it: no password.
Nobody is to store what it answers.
"""

import json
from collections.abc import Sequence
from typing import Any

from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from propusk.contrib.fastapi_users.refusals import refused
from propusk.errors import AuthError
from propusk.web.route import Handler, buffered


class Route(APIRoute):
    """Refuses larger and slower bodies than our other routes take; what FastAPI says of the rest is not changed."""

    def get_route_handler(self) -> Handler:
        """The handler of FastAPI, given a body that has been read."""
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            try:
                request = await buffered(request)
            except AuthError as refusal:
                raise refused(refusal, {}) from None
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise RequestValidationError(_tellable(error.errors())) from None

        return bounded

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refusals included: the host's handlers make those, and they repeat what was sent."""

        async def send_unstored(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Cache-Control", "no-store")
            await send(message)

        await super().handle(scope, receive, send_unstored)


def _tellable(faults: Sequence[Any]) -> Sequence[Any]:
    """The faults, without what was submitted where it may hold a password, or cannot be written as JSON: NaN, lone
    surrogates, or too deep.

    FastAPI repeats the input: of a fault of the body as a whole all of it, and at those others it would fail, with a
    500.
    """
    faults = [_without_input(fault) if _may_hold_password(fault) else fault for fault in faults]
    try:
        json.dumps(jsonable_encoder(faults), allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return [_without_input(fault) for fault in faults]
    return faults


def _may_hold_password(fault: Any) -> bool:
    """Whether it repeats more than one field, or a password. A body that is no JSON comes as a text."""
    place = fault["loc"]
    return isinstance(fault.get("input"), dict | list) or place == ("body",) or "password" in place


def _without_input(fault: Any) -> Any:
    return {name: value for name, value in fault.items() if name != "input"}
