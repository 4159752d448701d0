"""A small HTTP/1.1 client on asyncio and h11.

It follows no redirect, decodes no compression, and reads no more than it was told.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

import h11

from propusk.verify.http import MAX_BODY, Request, Response
from propusk.verify.loops import PerLoop

MAX_IDLE = 16
"""Connections that are kept open for nobody yet."""


class HttpError(OSError):
    """There was no answer of a kind that we take."""


class HttpClient:
    """The `Fetch` of a verifier that was given none. Keeps connections open for requests that do not say otherwise.

    Time-outs are the caller's business: a cancelled request closes its connection.

    Args:
        tls: by default, certificates are checked against the authorities of the system.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls or ssl.create_default_context()
        self._idle: PerLoop[list[_Connection]] = PerLoop(list)

    async def __call__(self, request: Request) -> Response:
        """Raises OSError when the other side is away or answers nonsense."""
        try:
            return await self._send(request)
        except h11.ProtocolError as error:
            raise HttpError(f"no HTTP: {error}") from error

    async def _send(self, request: Request) -> Response:
        while (kept := self._take(_origin(request.url))) is not None:
            try:
                return await self._exchange(kept, request)
            except (OSError, h11.ProtocolError):
                # It was closed meanwhile, or at this moment. What we ask changes nothing, so it can be asked again.
                continue
        return await self._exchange(await self._connect(_origin(request.url)), request)

    def _take(self, origin: "_Origin") -> "_Connection | None":
        idle = self._idle.here()
        while idle:
            connection = idle.pop()
            if connection.origin == origin and not connection.reader.at_eof():
                return connection
            connection.close()
        return None

    async def _connect(self, origin: "_Origin") -> "_Connection":
        scheme, host, port = origin
        tls = self._tls if scheme == "https" else None
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        return _Connection(origin, reader, writer)

    async def _exchange(self, connection: "_Connection", request: Request) -> Response:
        try:
            response, reusable = await connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        idle = self._idle.here()
        if reusable and len(idle) < MAX_IDLE:
            idle.append(connection)
        else:
            connection.close()
        return response

    async def aclose(self) -> None:
        """Close the connections that are open for nobody."""
        idle = self._idle.here()
        while idle:
            await idle.pop().aclose()


_Origin = tuple[str, str, int]


def _origin(url: str) -> _Origin:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)


def _joined(head: h11.Response) -> dict[str, str]:
    """The headers, several of one name as a list (RFC 9110, section 5.2)."""
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


class _Connection:
    def __init__(self, origin: _Origin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.origin = origin
        self.reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def exchange(self, request: Request) -> tuple[Response, bool]:
        """Send and receive; whether the connection may be used once more."""
        self._writer.write(self._encode(request))
        await self._writer.drain()
        head, body = await self._receive()
        done = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        # Bytes that nobody asked for would pass as the answer to the next question.
        reusable = done and self._http.trailing_data == (b"", False)
        if reusable:
            self._http.start_next_cycle()
        return Response(head.status_code, _joined(head), body), reusable

    def _encode(self, request: Request) -> bytes:
        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Host": parts.netloc, "Accept-Encoding": "identity", **request.headers}
        if request.body:
            headers["Content-Length"] = str(len(request.body))
        head = h11.Request(method=request.method, target=target, headers=list(headers.items()))
        events = [head, h11.Data(request.body), h11.EndOfMessage()]
        return b"".join(self._http.send(event) or b"" for event in events)

    async def _receive(self) -> tuple[h11.Response, bytes]:
        head: h11.Response | None = None
        body = bytearray()
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY:
                    raise HttpError("the answer is too long")
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return head, bytes(body)
            elif not isinstance(event, h11.InformationalResponse):
                raise HttpError("the connection was closed before the answer was complete")

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self.reader.read(16 * 1024))
        return event

    def close(self) -> None:
        """Close without waiting."""
        self._writer.transport.abort()

    async def aclose(self) -> None:
        """Close, and wait until it is."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return
