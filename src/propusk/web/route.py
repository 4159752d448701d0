"""The route class of every JSON route: reads and checks the body before FastAPI sees it. Renders nothing.

Plain FastAPI takes duplicate keys, UTF-16 and NaN, reads bodies of any size for any time, and leaves the media type to
a switch that the host app may have turned off.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from propusk.errors import AuthError, BodyTooLarge, MalformedJson, UnsupportedMediaType, invalid
from propusk.web.body import MAX_BODY, check_texts, media_type, parse_body
from propusk.web.client import HAS_GONE
from propusk.web.faults import refusal_of
from propusk.web.headers import header_values
from propusk.web.problems import Render, rendered
from propusk.web.turns import TurnsOfLoops

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
BODY_SECONDS = 10.0
_TURNS = TurnsOfLoops()


class _Unread:
    """Part of the body was left unread: HTTP/1 can only close the connection then (RFC 9112, section 9.6), or a slow
    client would hold it for as long as it likes. HTTP/2 has streams for that and forbids the header.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._closes = str(scope.get("http_version", "1.1")).startswith("1")

    def headers(self) -> dict[str, str]:
        return {"Connection": "close"} if self._closes else {}


class UnreadBodyTooLarge(_Unread, BodyTooLarge):
    """More than `MAX_BODY` bytes were announced or came (RFC 9110, section 15.5.14)."""


class BodyTooSlow(_Unread, MalformedJson):
    """The body did not come in time. There is no code of its own: half a document is a malformed one."""

    detail = "The body did not arrive in time."


def accepts_form(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Mark an endpoint that reads its body with `read_fields`, as JSON or as a form."""
    endpoint.accepts_form = True  # type: ignore[attr-defined]
    return endpoint


async def read_fields(request: Request, *, takes_form: bool = True) -> dict[str, object]:
    """The fields of a JSON object or a form, for an endpoint marked with `accepts_form`, or of a `LeanRoute`.

    Raises:
        UnsupportedMediaType, MalformedJson
        InvalidInput: JSON, but no object.
    """
    _check_coding(request.scope)
    types = header_values(request.scope, b"content-type")
    fields = parse_body(types, await request.body(), takes_form=takes_form)
    if not isinstance(fields, dict):
        raise invalid("body", "wrong_type", "An object is needed.")
    return fields


async def buffered(request: Request) -> Request:
    """The same request with its body read, for routes that check nothing else of it.

    Raises:
        BodyTooLarge, MalformedJson: too slow, or it ended early.
    """
    body = await _read_in_time(request, BODY_SECONDS)
    return Request(request.scope, _replay(body, request.receive))


class BoundedRoute(APIRoute):
    """FastAPI's own route with bounds, for a host's routes that take passwords: on the size and time of a body, and on
    what a 422 tells, which is nothing of what was sent. FastAPI repeats that, and fails with a 500 where it cannot be
    written as JSON. Its answers are not to be stored, unless the endpoint says otherwise.

        router = APIRouter(route_class=BoundedRoute)
    """

    def get_route_handler(self) -> Handler:
        """The handler of FastAPI, given a body that has been read."""
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            request = await buffered(request)
            try:
                response = await handle(request)
            except RequestValidationError as error:
                faults = [{name: fault[name] for name in ("type", "loc", "msg")} for fault in error.errors()]
            else:
                response.headers.setdefault("Cache-Control", "no-store")
                return response
            # Outside the except: FastAPI's error holds the submitted body and would go along as context.
            raise RequestValidationError(faults)

        return bounded


class StrictRoute(APIRoute):
    """Refuses what is no strict JSON (or form, where marked) before the endpoint and its dependencies run.

    Its answers are not to be stored by anybody, unless the endpoint says otherwise.

    A route that declares no body ignores one, up to `MAX_BODY`. Raises refusals and renders none, so that the
    transaction around the endpoint sees each; other exceptions pass.
    """

    body_seconds: ClassVar[float] = BODY_SECONDS
    """How long a client may take to send the body."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            _check_query(request.scope)
            body = await _read_in_time(request, self.body_seconds)
            if request.method not in ("GET", "HEAD"):
                self._check(request.scope, body)
            request.scope[HAS_GONE] = request.is_disconnected
            return await _refusing(handle, Request(request.scope, _replay(body, request.receive)))

        return strictly

    def _check(self, scope: Scope, body: bytes) -> None:
        takes_form = getattr(self.endpoint, "accepts_form", False)
        required = takes_form or (self.body_field is not None and self.body_field.field_info.is_required())
        if not body and not required:
            return
        _check_coding(scope)
        types = header_values(scope, b"content-type")
        if required or self.body_field is not None:
            parse_body(types, body, takes_form=takes_form)
        elif (media_type(types) or "").startswith("multipart/"):
            raise UnsupportedMediaType


class LeanRoute(APIRoute):
    """For what is asked most: an endpoint that takes the request alone and calls what it needs, with the same bounds.

    FastAPI writes it into the document and resolves nothing, unless a host has dependencies of its own for all of its
    routes.
    """

    def get_route_handler(self) -> Handler:
        """The endpoint, given a request whose body has been read."""
        endpoint, resolving = self.endpoint, super().get_route_handler()

        async def lean(request: Request) -> Response:
            await _TURNS.take()
            _check_query(request.scope)
            request.scope[HAS_GONE] = request.is_disconnected
            handle = resolving if getattr(request.app.router, "dependencies", ()) else endpoint
            return await _refusing(handle, await buffered(request))

        return lean

    def past(self, render: Render) -> ASGIApp:
        """This route as an app: past FastAPI's layers, which cost as much as statements do.

        Args:
            render: makes the answers to what it refuses.
        """
        handle = self.get_route_handler()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            try:
                response = await handle(request)
            except AuthError as refusal:
                response = rendered(render, request, refusal)
            await response(scope, receive, send)

        return app


async def _refusing(handle: Handler, request: Request) -> Response:
    """The answer, not to be stored; what FastAPI refuses is refused by us."""
    try:
        response = await handle(request)
    except RequestValidationError as error:
        refusal = refusal_of(error)
    else:
        response.headers.setdefault("Cache-Control", "no-store")
        return response
    # Outside the except: FastAPI's error holds the submitted body and would go along as context.
    raise refusal


async def _read_in_time(request: Request, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await read_body(request.scope, request.receive)
    except TimeoutError:
        raise BodyTooSlow(request.scope) from None


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body of a request, counted while it comes.

    Raises:
        BodyTooLarge: more than `MAX_BODY` bytes; before reading any, if Content-Length says so.
        MalformedJson: the client went away in the middle.
    """
    length = b"".join(header_values(scope, b"content-length"))
    if length.isdigit() and (len(length) > 9 or int(length) > MAX_BODY):
        raise UnreadBodyTooLarge(scope)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise MalformedJson("The body ended early.")
        chunk = message.get("body", b"")
        if len(body) + len(chunk) > MAX_BODY:
            raise UnreadBodyTooLarge(scope)
        body += chunk
        if not message.get("more_body", False):
            return bytes(body)
        if not chunk:
            # Empty messages that are always ready would never let the deadline in.
            await asyncio.sleep(0)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive channel that answers the body once, then what the client does next."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _check_coding(scope: Scope) -> None:
    codings = header_values(scope, b"content-encoding")
    if any(coding.strip().lower() != b"identity" for coding in codings):
        raise UnsupportedMediaType


def _check_query(scope: Scope) -> None:
    """NUL in the query would reach the database driver, which refuses it with an error of its own."""
    query = scope["query_string"]
    if b"%00" in query or b"\x00" in query:
        check_texts(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
