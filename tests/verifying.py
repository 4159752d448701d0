"""Issuers for the verifier's tests: one that answers as it is told, and tokens for it."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from propusk.crypto.keyring import PrivateKey
from propusk.verify import Request, Response, TokenVerifier
from tests.forgeries import Signer
from tests.kit import FakeClock

ISSUER = "https://auth.example.com"
AUDIENCE = "https://shop.example.com"
SUB, SID = "0193b0a0-0000-7000-8000-000000000001", "0193b0a0-0000-7000-8000-000000000002"
NOW = FakeClock().now
SECONDS = int(NOW.timestamp())
CLAIMS: dict[str, Any] = {
    **{"iss": ISSUER, "aud": AUDIENCE, "client_id": AUDIENCE, "sub": SUB, "sid": SID, "jti": "zq7canary"},
    **{"iat": SECONDS, "exp": SECONDS + 600},
}


class Timer:
    """Seconds that grow when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def key_set(keys: Iterable[PrivateKey]) -> bytes:
    """What the issuer publishes of these keys."""
    return json.dumps({"keys": [key.public_jwk for key in keys]}).encode()


@dataclass
class FakeIssuer:
    """Answers requests with `answer`, or raises it; while `gate` is closed, everybody waits."""

    answer: Response | Exception | Callable[[Request], Response]
    asked: list[Request] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        # Read before the wait: an answer is of the moment at which the question arrived.
        answer = self.answer(request) if callable(self.answer) else self.answer
        await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


def publishes(*keys: PrivateKey, cache: str = "public, max-age=300", **headers: str) -> Response:
    """The answer of a well issuer."""
    return Response(200, {"content-type": "application/json", "cache-control": cache, **headers}, key_set(keys))


def verifier_of(http: Any, **options: Any) -> TokenVerifier:
    """A verifier at the moment of `CLAIMS`, unless it has a clock of its own."""
    return TokenVerifier(ISSUER, AUDIENCE, **({"http": http, "clock": lambda: NOW} | options))


def sign(key: PrivateKey, **changes: Any) -> str:
    """A token that the issuer made; `name=...` leaves a claim out."""
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...}
    return Signer.of(key).sign(claims)
