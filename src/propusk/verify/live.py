"""Asking the issuer about a token each time (RFC 7662), so that an end holds at once."""

import asyncio
import hashlib
import logging
from base64 import b64encode
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote_plus, urlencode

from propusk.verify.http import MAX_BODY, Fetch, Request
from propusk.verify.loops import PerLoop
from propusk.verify.refusals import InvalidToken, IssuerUnavailable
from propusk.verify.strict import parse_object

log = logging.getLogger("propusk.verify")

_Outcome = dict[str, Any] | IssuerUnavailable


@dataclass
class _Board:
    """What is asked in one event loop, by the digests of tokens."""

    slots: asyncio.Semaphore
    waiting: dict[bytes, asyncio.Task[_Outcome]] = field(default_factory=dict)
    """Questions that have not left yet: whoever comes now may join."""
    sent: dict[bytes, asyncio.Task[_Outcome]] = field(default_factory=dict)
    """Questions on their way: their answers may be older than who comes now, who must not have them."""


class Introspection:
    """Asks about tokens. For each token one question is on its way and one waits behind it, however many want to know.

    Args:
        url: of the introspection endpoint.
        timeout: seconds within which everybody has an answer, waiting included.
        connections: questions at a time.
    """

    def __init__(
        self, url: str, *, client_id: str, client_secret: str, fetch: Fetch, timeout: float, connections: int = 32
    ) -> None:
        self._url = url
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        self._headers = {
            "Authorization": f"Basic {b64encode(pair.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        self._fetch = fetch
        self._timeout = timeout
        self._boards = PerLoop(partial(_new_board, connections))

    async def ask(self, token: str) -> dict[str, Any]:
        """What the issuer says of a live token, in an answer to a question that left after this was called.

        Raises:
            InvalidToken: it says that the token is not active.
            IssuerUnavailable: it says nothing, or nothing that makes sense.
        """
        board, key = self._boards.here(), hashlib.sha256(token.encode()).digest()
        task = board.waiting.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(board, key, token, board.sent.get(key)))
            board.waiting[key] = task
        try:
            async with asyncio.timeout(self._timeout):
                outcome = await asyncio.shield(task)
        except TimeoutError:
            raise IssuerUnavailable("the issuer did not answer in time") from None
        if isinstance(outcome, IssuerUnavailable):
            raise IssuerUnavailable(outcome.reason)
        if outcome["active"] is False:
            raise InvalidToken("the issuer says that it is not active")
        return outcome

    async def _ask(self, board: _Board, key: bytes, token: str, before: asyncio.Task[_Outcome] | None) -> _Outcome:
        if before is not None:
            await asyncio.wait([before])
        async with board.slots:
            task = board.sent[key] = board.waiting.pop(key)
            try:
                return await self._send(token)
            finally:
                if board.sent[key] is task:
                    del board.sent[key]

    async def _send(self, token: str) -> _Outcome:
        """The answer, or why there is none: returned, so that it may be nobody's when all have gone."""
        request = Request("POST", self._url, self._headers, urlencode({"token": token}).encode())
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._fetch(request)
        except Exception as error:
            return self._away(type(error).__name__)
        if response.status != 200:
            return self._away(f"status {response.status}")
        answer = parse_object(response.body) if len(response.body) <= MAX_BODY else None
        if answer is None or not isinstance(answer.get("active"), bool):
            return self._away("no introspection answer")
        return answer

    def _away(self, why: str) -> IssuerUnavailable:
        log.warning("no introspection at %s: %s", self._url, why)
        return IssuerUnavailable(f"the issuer cannot be asked: {why}")


def _new_board(connections: int) -> _Board:
    return _Board(asyncio.Semaphore(connections))
