"""Connections that begin, and those that have begun, as the service reads them."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from propusk.cli.protocol import BoundedProtocol
from tests.unit.rounds import Rounds

CROWD = 30
REQUEST = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Door:
    """A server whose every request takes half of a round's share to read; which was read in which round."""

    def __init__(self) -> None:
        self.rounds = Rounds()
        self.read: list[tuple[bytes, int]] = []
        self.came = 0
        self.protocols: list[BoundedProtocol] = []

    async def open(self) -> None:
        config, state, door = Config(app, ws="none", log_config=None), ServerState(), self

        class Noting(BoundedProtocol):
            def data_received(self, data: bytes) -> None:
                door.came += 1
                super().data_received(data)

            def on_headers_complete(self) -> None:
                door.read.append((self.url, door.rounds.count))
                time.sleep(0.0005)
                super().on_headers_complete()

        def made() -> BoundedProtocol:
            self.protocols.append(Noting(config, state, {}))
            return self.protocols[-1]

        self._server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)

    async def connect(self) -> socket.socket:
        loop, peer = asyncio.get_running_loop(), socket.socket()
        peer.setblocking(False)
        await loop.sock_connect(peer, self._server.sockets[0].getsockname())
        return peer

    async def close(self) -> None:
        self.rounds.stop()
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    made = Door()
    await made.open()
    yield made
    await made.close()


async def until_answered(peer: socket.socket) -> None:
    answer = b""
    while not answer.endswith(b"ok"):
        part = await asyncio.get_running_loop().sock_recv(peer, 4096)
        assert part, answer
        answer += part


async def crowd_at(door: Door) -> list[socket.socket]:
    """Connections that the server knows of, and their requests, which all come before it looks again."""
    before = len(door.protocols)
    peers = [await door.connect() for _ in range(CROWD)]
    while len(door.protocols) < before + CROWD:
        await asyncio.sleep(0)
    for peer in peers:
        peer.send(REQUEST % b"crowd")
    return peers


async def test_t09_a_crowd_that_begins_leaves_room_for_who_has_been_here(door: Door) -> None:
    resident = await door.connect()
    resident.send(REQUEST % b"hello")
    await until_answered(resident)
    peers = await crowd_at(door)
    resident.send(REQUEST % b"again")

    for peer in [resident, *peers]:
        await until_answered(peer)
        peer.close()

    crowd = [found for url, found in door.read if url == b"/crowd"]
    assert len(crowd) == CROWD
    assert max(crowd.count(found) for found in crowd) <= 2
    [again] = [found for url, found in door.read if url == b"/again"]
    assert again < crowd[-1]


async def test_what_has_come_is_answered_before_a_connection_is_shut_down(door: Door) -> None:
    peers = await crowd_at(door)
    while door.came < CROWD:
        await asyncio.sleep(0)
    assert len(door.read) < CROWD

    for protocol in door.protocols:
        protocol.shutdown()
    for peer in peers:
        await until_answered(peer)
        assert await asyncio.get_running_loop().sock_recv(peer, 1) == b"", "closed then"
        peer.close()


async def test_who_has_gone_before_their_turn_is_left_out(door: Door) -> None:
    peers = await crowd_at(door)
    while door.came < CROWD:
        await asyncio.sleep(0)
    for protocol in door.protocols:
        protocol.transport.abort()
    await asyncio.sleep(0.05)

    assert len(door.read) < CROWD
    for peer in peers:
        peer.close()
