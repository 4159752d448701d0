"""Connections that begin, those that have begun and those that end, as the service reads them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from uvicorn.config import Config
from uvicorn.server import ServerState

from propusk.cli.protocol import BEGIN_EACH, LEAVE_EACH, BoundedProtocol
from propusk.web.headers import headers_of_all
from tests.unit.rounds import Rounds

CROWD = 60
REQUEST = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"ok"


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": ANSWER})


class Door:
    """A server, and what happened there in which round of the event loop."""

    def __init__(self) -> None:
        self.rounds = Rounds()
        self.came: list[int] = []
        self.read: list[tuple[bytes, int]] = []
        self.left: list[int] = []
        self.protocols: list[BoundedProtocol] = []
        self.heard: list[object] = []
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _loop, context: self.heard.append(context))

    async def open(self) -> None:
        config, state, door = Config(app, ws="none", log_config=None), ServerState(), self

        class Noting(BoundedProtocol):
            def data_received(self, data: bytes) -> None:
                door.came.append(door.rounds.count)
                super().data_received(data)

            def on_headers_complete(self) -> None:
                door.read.append((self.url, door.rounds.count))
                super().on_headers_complete()

            def _leave(self) -> bool:
                door.left.append(door.rounds.count)
                return super()._leave()

        def made() -> BoundedProtocol:
            self.protocols.append(Noting(https=True, config=config, server_state=state, app_state={}))
            return self.protocols[-1]

        self._server = await self.loop.create_server(made, "127.0.0.1", 0)

    async def connect(self) -> socket.socket:
        peer = socket.socket()
        peer.setblocking(False)
        await self.loop.sock_connect(peer, self._server.sockets[0].getsockname())
        return peer

    async def crowd(self, request: bytes = REQUEST % b"crowd") -> list[socket.socket]:
        """Connections that the server knows of, and their requests, which all come before it looks again."""
        before = len(self.protocols)
        peers = [await self.connect() for _ in range(CROWD)]
        while len(self.protocols) < before + CROWD:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        for peer in peers:
            peer.send(request)
        return peers

    async def all_came(self) -> None:
        while len(self.came) < CROWD:
            await asyncio.sleep(0)

    async def answered(self, peer: socket.socket) -> None:
        answer = b""
        while not answer.endswith(ANSWER):
            part = await self.loop.sock_recv(peer, 4096)
            assert part, answer
            answer += part

    async def closed(self, peer: socket.socket) -> None:
        assert await self.loop.sock_recv(peer, 1) == b""
        peer.close()

    async def close(self) -> None:
        self.rounds.stop()
        self._server.close()
        for each in self.protocols:
            each.transport.abort()


@asynccontextmanager
async def opened() -> AsyncIterator[Door]:
    door = Door()
    await door.open()
    try:
        yield door
    finally:
        await door.close()
    assert door.heard == []


Scenario = Callable[[Door], Awaitable[None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Play something at a door."""

    async def at_a_door(scenario: Scenario) -> None:
        async with asyncio.timeout(60), opened() as door:
            await scenario(door)

    def run(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(at_a_door(scenario))

    return run


def most_in_a_round(rounds: list[int]) -> int:
    return max(rounds.count(each) for each in rounds)


def test_t09_a_crowd_that_begins_leaves_room_for_who_is_here(play: Callable[[Scenario], None]) -> None:
    async def scenario(door: Door) -> None:
        resident = await door.connect()
        resident.send(REQUEST % b"hello")
        await door.answered(resident)
        peers = await door.crowd()
        resident.send(REQUEST % b"again")
        for peer in [resident, *peers]:
            await door.answered(peer)
            peer.close()

        crowd = [found for url, found in door.read if url == b"/crowd"]
        assert len(crowd) == CROWD
        # One more for the resident's; what begins between two rounds of ours counts for either.
        assert most_in_a_round(crowd) <= 2 * BEGIN_EACH + 1
        [again] = [found for url, found in door.read if url == b"/again"]
        assert again < crowd[-1]

    play(scenario)


def test_a_crowd_that_begins_gets_as_much_as_who_is_here(play: Callable[[Scenario], None]) -> None:
    async def scenario(door: Door) -> None:
        residents = [await door.connect() for _ in range(30)]
        for resident in residents:
            resident.send(REQUEST % b"hello")
            await door.answered(resident)
        door.came.clear()
        peers = await door.crowd()
        await door.all_came()
        for resident in residents:
            resident.send(REQUEST % b"again")
        for peer in [*residents, *peers]:
            await door.answered(peer)
            peer.close()
        assert most_in_a_round([found for url, found in door.read if url == b"/crowd"]) >= len(residents)

    play(scenario)


def test_t09_a_crowd_that_hangs_up_leaves_room_for_who_is_here(play: Callable[[Scenario], None]) -> None:
    async def scenario(door: Door) -> None:
        peers = await door.crowd()
        for peer in peers:
            await door.answered(peer)
        for peer in peers:
            peer.shutdown(socket.SHUT_WR)
        for peer in peers:
            await door.closed(peer)
        assert len(door.left) == CROWD
        assert most_in_a_round(door.left) <= 2 * LEAVE_EACH

    play(scenario)


def test_a_request_in_pieces_goes_on_when_its_turn_came(play: Callable[[Scenario], None]) -> None:
    async def scenario(door: Door) -> None:
        request = REQUEST % b"pieces"
        peers = await door.crowd(request[:7])
        await door.all_came()
        assert not door.protocols[-1].transport.is_reading(), "nobody keeps what more they send"
        for peer in peers:
            peer.send(request[7:])
        for peer in peers:
            await door.answered(peer)
            peer.close()
        assert len(door.read) == CROWD

    play(scenario)


def test_what_has_come_is_answered_before_a_connection_is_shut_down(play: Callable[[Scenario], None]) -> None:
    async def scenario(door: Door) -> None:
        idle = await door.connect()
        peers = await door.crowd()
        await door.all_came()
        assert len(door.read) < CROWD
        for each in door.protocols:
            each.shutdown()
        for peer in peers:
            await door.answered(peer)
        for peer in [*peers, idle]:
            await door.closed(peer)

    play(scenario)


def test_who_has_gone_before_their_turn_is_left_out(play: Callable[[Scenario], None]) -> None:
    async def scenario(door: Door) -> None:
        peers = await door.crowd()
        await door.all_came()
        for each in door.protocols:
            each.transport.abort()
        begun = len(door.read)
        await asyncio.sleep(0.05)
        assert len(door.read) == begun < CROWD
        for peer in peers:
            peer.close()

    play(scenario)


def test_who_waits_for_their_turn_is_not_too_slow(play: Callable[[Scenario], None]) -> None:
    async def scenario(door: Door) -> None:
        peers = await door.crowd()
        await door.all_came()
        for each in door.protocols:
            each._give_up()  # what the timer calls
        for peer in peers:
            await door.answered(peer)
            peer.close()

    play(scenario)


def test_t33_over_tls_a_refusal_says_so_as_every_answer(play: Callable[[Scenario], None]) -> None:
    async def scenario(door: Door) -> None:
        peer = await door.connect()
        peer.send(b"GARBAGE\r\n\r\n")
        answer = await door.loop.sock_recv(peer, 4096)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert all(b"\r\n%b: %b\r\n" % header in answer for header in headers_of_all(https=True))
        assert b"strict-transport-security" in answer
        await door.closed(peer)

    play(scenario)
