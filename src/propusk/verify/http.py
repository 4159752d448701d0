"""What the verifier asks the issuer, and what comes back; `propusk.verify.client` or anything else carries it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

MAX_BODY = 64 * 1024
"""Bytes of an answer; more is an error."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the verifier asks."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back; the names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


Fetch = Callable[[Request], Awaitable[Response]]
"""Sends a request and reads the answer, once, without following redirects. Whatever it raises means "away"."""
