"""Requests as bytes, past every nicety of a client: paths and headers as an attacker writes them."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Scope

Headers = Mapping[str, str] | Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The one header of this name."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, self.headers
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem document; it must be one."""
        assert self.header("content-type") == "application/problem+json", self
        document = self.json()
        assert document["status"] == self.status
        return str(document["code"])


async def ask(
    app: ASGIApp,
    method: str,
    target: str,
    *,
    headers: Headers = (),
    body: bytes | Iterable[bytes] = b"",
    http_version: str = "1.1",
    client: str = "198.51.100.7",
) -> Answer:
    """Send a request as uvicorn would hand it on.

    Args:
        target: path and query as they stand in the request line.
        body: all of it, or its pieces as they arrive.
        client: the address at the other end of the socket.
    """
    raw, _, query = target.partition("?")
    pairs = [(k.lower().encode(), v.encode()) for k, v in headers.items()] if isinstance(headers, Mapping) else headers
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": http_version,
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(raw).decode("utf-8", "surrogateescape"),
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), *pairs],
        "client": (client, 50000),
        "server": ("127.0.0.1", 8000),
    }
    incoming = _messages([body] if isinstance(body, bytes) else body)
    sent: list[Message] = []
    answered = asyncio.Event()

    async def receive() -> Message:
        for message in incoming:
            return message
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    answered.set()
    return Answer(
        sent[0]["status"],
        [(key.decode(), value.decode()) for key, value in sent[0]["headers"]],
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


def _messages(pieces: Iterable[bytes]) -> Iterator[Message]:
    """What the app receives, made only when it asks."""
    for piece in pieces:
        yield {"type": "http.request", "body": piece, "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}
