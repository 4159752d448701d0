"""The outermost layer of the service: a name for each request, headers on every answer, one log line."""

import logging
import time
from collections.abc import Callable
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from propusk.errors import AuthError
from propusk.web.request_id import request_id

log = logging.getLogger("propusk.access")

# Nobody frames us, opens us with a handle on the window, or loads our answers into pages of theirs.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class InternalError(AuthError):
    """A bug of ours. Says nothing of it; the log has the rest under the request's id."""

    code, status, title = "internal_error", 500, "Internal error"
    detail = "Something went wrong here. The request id helps the operator to find it in the log."


class Edge:
    """Pure ASGI: Starlette's middleware classes with a `dispatch` would cost a fifth of the speed each.

    Args:
        render: turns a refusal into an answer, for errors that no other layer caught.
        https: whether browsers reach us over TLS (adds Strict-Transport-Security).
    """

    def __init__(
        self, app: ASGIApp, *, new_id: Callable[[], str], render: Callable[[AuthError], Response], https: bool
    ) -> None:
        self._app = app
        self._new_id = new_id
        self._render = render
        headers = SECURITY_HEADERS | ({"Strict-Transport-Security": "max-age=63072000"} if https else {})
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = request_id(scope, self._new_id)
        structlog.contextvars.bind_contextvars(request_id=name)
        answer = _Answer(send, [(b"x-request-id", name.encode()), *self._headers])
        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            logging.getLogger("propusk").exception("unhandled error")
            if answer.status is not None:
                raise
            await self._render(InternalError())(scope, receive, answer.send)
        finally:
            _log(scope, answer.status, time.perf_counter() - started)
            structlog.contextvars.unbind_contextvars("request_id")


class _Answer:
    """Sends on, with our headers where the answer has none of that name."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            sent = message.get("headers", [])
            names = {name for name, _ in sent}
            message = {**message, "headers": [*sent, *(pair for pair in self._headers if pair[0] not in names)]}
        await self._send(message)


def _log(scope: Scope, status: int | None, seconds: float) -> None:
    """The path without its query: a link in a mail carries its token there."""
    if log.isEnabledFor(logging.INFO):
        fields: dict[str, Any] = {
            "method": scope["method"],
            "path": scope["path"][:300],
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        log.info("request", extra=fields)
