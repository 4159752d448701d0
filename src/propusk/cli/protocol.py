"""HTTP as uvicorn reads it, with bounds on what it reads before the application sees a request."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from propusk.web.turns import TurnsOfLoops

MAX_OVERHEAD = 64 * 1024
"""Bytes of one request that are not its body: address, headers, the marks of chunks, trailers."""
SECONDS = 10.0
"""How long the headers of a request may take."""
BEGIN_EACH, LEAVE_EACH = 4, 16
"""How many connections begin, and how many are let go, in a round of the event loop in which nobody else asks."""
_PIECE = 8 * 1024
_PROBLEM = b'{"type":"about:blank","title":"Request Header Fields Too Large","status":431}'
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: application/problem+json\r\n"
    b"content-length: %d\r\n"
    b"cache-control: no-store\r\n"
    b"connection: close\r\n\r\n%b" % (len(_PROBLEM), _PROBLEM)
)


_BEGINNING, _LEAVING = TurnsOfLoops(BEGIN_EACH), TurnsOfLoops(LEAVE_EACH)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which by itself keeps a header of any length and waits for its end for ever.

    More than `MAX_OVERHEAD` is answered 431 (RFC 6585, section 5), or with a close where an answer is under way.
    Headers that are not complete `SECONDS` after the connection was opened, or after the first byte of a later
    request, end the connection; so does a rest of a request that was answered before its end.

    What comes first on a connection waits for its turn, for as long as it takes, and so does its end: a crowd that
    comes or hangs up at once leaves room for who is here, and gets as much as those do.
    """

    _overhead = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None
    _is_new = True
    _first = b""

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
        if self._overhead and self._timer is None and (self._in_head or self.cycle.response_complete):
            self._wait()

    def _receive_in_pieces(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            self._overhead += len(piece)
            super().data_received(piece)
            if self.transport.is_closing():
                return
            if self._overhead > MAX_OVERHEAD:
                if self._in_head and not self._is_answering():
                    self.transport.write(_TOO_LARGE)
                self.transport.close()
                return

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._wait_no_more()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._overhead -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._overhead = 0
        self._wait_no_more()
        super().on_message_complete()

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

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
