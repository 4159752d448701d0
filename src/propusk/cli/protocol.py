"""HTTP as uvicorn reads it, with bounds on what it reads before the application sees a request."""

import asyncio
import json
import logging
import os
from http import HTTPStatus
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from propusk.crypto.secrets import b64url
from propusk.web.headers import headers_of_all
from propusk.web.turns import TurnsOfLoops

log = logging.getLogger("propusk")
MAX_OVERHEAD = 64 * 1024
"""Bytes of one request that are not its body: address, headers, the marks of chunks, trailers."""
SECONDS = 10.0
"""How long the headers of a request may take."""
BEGIN_EACH, LEAVE_EACH = 4, 16
"""How many connections begin, and how many are let go, in a round of the event loop in which nobody else asks."""
_PIECE = 8 * 1024

_BEGINNING, _LEAVING = TurnsOfLoops(BEGIN_EACH), TurnsOfLoops(LEAVE_EACH)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which by itself keeps a header of any length and waits for its end for ever.

    More than `MAX_OVERHEAD` is answered 431 (RFC 6585, section 5), and what is no HTTP 400; either with a close where
    an answer is under way. Headers that are not complete `SECONDS` after the connection was opened, or after the first
    byte of a later request, end the connection; so does a rest of a request that was answered before its end.

    What comes first on a connection waits for its turn, for as long as it takes, and so does its end: a crowd that
    comes or hangs up at once leaves room for who is here, and gets as much as those do.

    Args:
        https: whether browsers reach us over TLS.
        of_uvicorn: what uvicorn makes its protocols of.
    """

    _overhead = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None
    _is_new = True
    _first = b""

    def __init__(self, *, https: bool, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._https = https

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._beginning = _BEGINNING.of(self.loop)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._is_new:
            self._beginning.make_room()
            self._receive(data)
            return
        self._first += data
        self._beginning.begin(self.loop, self._begin)
        if self._is_new:
            self.flow.pause_reading()  # until it is its turn

    def eof_received(self) -> bool:  # type: ignore[override]
        """Close when it is its turn."""
        _LEAVING.of(self.loop).begin(self.loop, self._leave)
        return True

    def shutdown(self) -> None:
        """What has come is answered before the connection ends."""
        self._begin()
        super().shutdown()

    def _begin(self) -> bool:
        if not self._first or self.transport.is_closing():
            return False
        data, self._first, self._is_new = self._first, b"", False
        self.flow.resume_reading()
        self._receive(data)
        return True

    def _leave(self) -> bool:
        if self.transport.is_closing():
            return False
        self.transport.close()
        return True

    def _receive(self, data: bytes) -> None:
        self._overhead += len(data)
        if self._overhead <= MAX_OVERHEAD:
            super().data_received(data)
        else:
            # Perhaps all of it is body. Which, the parser tells bit by bit.
            self._overhead -= len(data)
            self._receive_in_pieces(data)
        if self._overhead and self._timer is None and (self._in_head or not self._is_answering()):
            self._wait()

    def _receive_in_pieces(self, data: bytes) -> None:
        while data and not self.transport.is_closing():
            # Of a head no more than the bound and a byte: if it ends the request, the count begins anew.
            size = MAX_OVERHEAD + 1 - self._overhead if self._in_head else _PIECE
            piece, data = data[:size], data[size:]
            self._overhead += len(piece)
            super().data_received(piece)
            if self._overhead > MAX_OVERHEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn answers to what is no HTTP, made as our other answers are."""
        self._refuse(HTTPStatus.BAD_REQUEST)

    def _refuse(self, status: HTTPStatus) -> None:
        if self._may_answer():
            name = b64url(os.urandom(12))
            with structlog.contextvars.bound_contextvars(request_id=name):
                log.info("refused unread: %d %s", status, status.phrase)
            headers = [(b"x-request-id", name.encode()), *headers_of_all(https=self._https)]
            self.transport.write(_refusal(status, [*self.server_state.default_headers, *headers]))
        self.transport.close()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False
        self._wait_no_more()

    def on_body(self, body: bytes) -> None:
        self._overhead -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._overhead = 0  # The parser does not say how much of the next request came along.
        self._wait_no_more()
        super().on_message_complete()

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _may_answer(self) -> bool:
        """Whether what we write now would be the one answer to what is being read."""
        if self.transport.is_closing():
            return False
        if self._in_head:
            return not self._is_answering()
        return not (self.cycle.response_started or self.pipeline)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(SECONDS, self._give_up)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if self._first or self._is_answering():
            self._wait()
        else:
            self._timer = None
            self.transport.close()


def _refusal(status: HTTPStatus, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The bytes of an answer that ends the connection: a problem that is about nothing but its status."""
    body = json.dumps({"type": "about:blank", "title": status.phrase, "status": status}, separators=(",", ":")).encode()
    ours = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    lines = [name + b": " + value for name, value in [*headers, *ours]]
    return b"\r\n".join([b"HTTP/1.1 %d %b" % (status, status.phrase.encode()), *lines, b"", body])
