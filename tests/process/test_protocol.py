"""What is read before the application sees a request is bounded, in size and in time."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from propusk.cli.protocol import MAX_OVERHEAD, SECONDS
from tests.process.service import NO_LIMITS, Service

pytestmark = pytest.mark.xdist_group("processes")
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service"), env=NO_LIMITS) as running:
        yield running


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=60)


def read_all(peer: socket.socket) -> bytes:
    """What comes until the other end closes."""
    answer = b""
    try:
        while part := peer.recv(65536):
            answer += part
    except ConnectionError:
        pass
    return answer


def read_answers(peer: socket.socket, count: int) -> bytes:
    answer = b""
    while answer.count(b'{"status":"ok"}') < count:
        part = peer.recv(65536)
        assert part, answer
        answer += part
    return answer


def refused(service: Service, *parts: bytes, status: int = 431) -> bytes:
    """The answer to bytes that are not welcome; the connection must end by what they are, not by the time they took."""
    begin = time.monotonic()
    with connect(service) as peer:
        try:
            for part in parts:
                peer.sendall(part)
        except ConnectionError:
            pass
        answer = read_all(peer)
    assert time.monotonic() - begin < SECONDS
    assert answer == b"" or answer.startswith(b"HTTP/1.1 %d " % status)
    return answer


def parts_of(answer: bytes) -> tuple[dict[str, str], bytes]:
    """The headers of one answer, and what follows them."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
    assert len({name for name, _, _ in lines}) == len(lines), lines
    return {name: value for name, _, value in lines}, body


def test_a_header_or_an_address_without_an_end_is_refused(service: Service) -> None:
    for request in (
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 102_400,
        b"GET /healthz?" + b"a" * 102_400,
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 20_000,
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 102_400 + b"\r\n\r\n",
        b"POST /auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 102_400,
    ):
        refused(service, request)
        pieces = [request[start : start + 10_000] for start in range(0, len(request), 10_000)]
        refused(service, *pieces)


@pytest.mark.parametrize("more", [2, 4_464, 100_000])
def test_headers_above_the_bound_are_refused_though_they_end_in_what_comes_at_once(service: Service, more: int) -> None:
    head, end = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ", b"\r\n\r\n"
    request = head + b"a" * (MAX_OVERHEAD + more - len(head + end)) + end
    for before in (b"", HEALTH):
        with connect(service) as peer:
            if before:
                peer.sendall(before)
                read_answers(peer, 1)
            with suppress(ConnectionError):
                peer.sendall(request)
            answer = read_all(peer)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


LONG = b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 65_600
"""Just over the bound and in one go, so that nothing is left unread that would reset the connection."""


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (431, LONG),
        (400, b"GARBAGE\r\n\r\n"),
        (400, b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\x0bb\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET http://a:99999/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"POST /auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nGARBAGE\r\n"),
    ],
)
def test_t33_what_is_refused_unread_is_answered_as_everything_else(
    service: Service, status: int, request_: bytes
) -> None:
    with connect(service) as peer:
        peer.sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        usual, _ = parts_of(read_all(peer))
    answer = refused(service, request_, status=status)
    headers, body = parts_of(answer)
    assert {name: value for name, value in usual.items() if name not in ("date", "content-length", "x-request-id")} == {
        name: value for name, value in headers.items() if name not in ("date", "content-length", "x-request-id")
    }
    assert headers.keys() == usual.keys()
    assert len(body) == int(headers["content-length"])
    assert json.loads(body)["status"] == status
    assert headers["x-request-id"] in service.logs()
    assert "Traceback" not in service.logs()


def test_nothing_is_answered_twice(service: Service) -> None:
    with connect(service) as peer:
        peer.sendall(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += peer.recv(65536)
        assert answer.startswith(b"HTTP/1.1 404 ")
        peer.sendall(b"GARBAGE\r\n")
        assert read_all(peer) == b""


def seconds_open(service: Service, *parts: bytes) -> float:
    """How long a connection stays open that sends these, each after the answer to the one before, and no more."""
    begin = time.monotonic()
    with connect(service) as peer:
        for n, part in enumerate(parts):
            peer.sendall(part)
            if n + 1 < len(parts):
                read_answers(peer, 1)
                begin = time.monotonic()
        assert read_all(peer) == b""
        return time.monotonic() - begin


def seconds_dripped(service: Service) -> float:
    begin = time.monotonic()
    with connect(service) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        peer.settimeout(0.5)
        while time.monotonic() - begin < 60:
            try:
                peer.sendall(b"a")
                if not peer.recv(1):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        return time.monotonic() - begin


def test_headers_that_do_not_end_are_not_waited_for(service: Service) -> None:
    half = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: "
    with ThreadPoolExecutor(5) as threads:
        waits = [
            threads.submit(seconds_open, service, half),
            threads.submit(seconds_open, service, b""),
            threads.submit(seconds_open, service, HEALTH, half),
            threads.submit(seconds_open, service, HEALTH, b"\r\n"),
            threads.submit(seconds_dripped, service),
        ]
        assert all(SECONDS - 1 < wait.result() < SECONDS + 20 for wait in waits), [wait.result() for wait in waits]


def test_requests_on_one_connection_are_answered_in_turn_and_pipelined(service: Service) -> None:
    with connect(service) as peer:
        for _ in range(3):
            peer.sendall(HEALTH)
            read_answers(peer, 1)
        peer.sendall(HEALTH * 5)
        assert read_answers(peer, 5).count(b"HTTP/1.1 200 OK") == 5
        long = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 60_000 + b"\r\n\r\n"
        for _ in range(3):
            peer.sendall(long)
            assert read_answers(peer, 1).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("at_once", [True, False])
def test_long_bodies_reach_the_application(service: Service, at_once: bool) -> None:
    body = json.dumps({"login": "a@example.com", "password": "zq7canary", "x": "a" * 61_000}).encode()
    head = b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with connect(service) as peer:
        for _ in range(3):
            request = head % len(body) + body
            step = len(request) if at_once else 5000
            for start in range(0, len(request), step):
                peer.sendall(request[start : start + step])
            answer = b""
            while not answer.endswith(b"}]}"):
                answer += peer.recv(65536)
            assert answer.startswith(b"HTTP/1.1 422 ") and b'"field":"x"' in answer


def test_a_body_above_the_limit_is_refused_by_the_application(service: Service) -> None:
    with connect(service) as peer:
        size = 300_000
        peer.sendall(
            b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % size
        )
        with suppress(ConnectionError):
            peer.sendall(b"a" * size)
        assert peer.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_connection_that_is_idle_between_two_requests_stays(service: Service) -> None:
    with connect(service) as peer:
        peer.sendall(HEALTH)
        read_answers(peer, 1)
        peer.settimeout(6)  # a second longer than uvicorn's own patience
        with pytest.raises(TimeoutError):
            peer.recv(1)
        peer.sendall(HEALTH)
        read_answers(peer, 1)
