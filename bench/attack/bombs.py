"""Requests built to cost much: what they cost in time and memory."""

import asyncio
import base64
import json
import statistics
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from bench.attack.row import Attack
from tests.process.people import me
from tests.process.service import Service
from tests.process.wire import Ask, Wire, once

MIB = 1024 * 1024
COST_MS, GROWTH_MIB, BODY_GROWTH_MIB, LOG_LINE = 5.0, 1.0, 2.0, 1024


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _nested(depth: int) -> str:
    token = "zq7canary"
    for _ in range(depth):
        token = f"{_part({'alg': 'none', 'cty': 'JWT'})}.{base64.urlsafe_b64encode(token.encode()).decode()}."
    return token


TOKENS: Mapping[str, str] = {
    "8 KiB of a": "a" * 8000,
    "16 KiB of dots": "." * 16000,
    "32 KiB of a": "a" * 32000,
    "a JWE with zip": f"{_part({'alg': 'dir', 'enc': 'A256GCM', 'zip': 'DEF'})}..{'A' * 16}.{'A' * 4000}.{'A' * 22}",
    "PBES2 with p2c of 2^31": f"{_part({'alg': 'PBES2-HS256+A128KW', 'enc': 'A128GCM', 'p2s': 'AAAA', 'p2c': 2**31})}"
    f".{'A' * 32}.{'A' * 16}.AAAA.{'A' * 22}",
    "RSA1_5": f"{_part({'alg': 'RSA1_5', 'enc': 'A128CBC-HS256'})}.{'A' * 342}.{'A' * 22}.AAAA.{'A' * 22}",
    "nested ten deep": _nested(10),
}


def bombs(service: Service) -> Iterator[Attack]:
    """Against one worker."""
    for name, token in TOKENS.items():
        yield Attack("T17", f"a bearer of {name}", "sqlite, 1 worker", partial(_token, service, token))
    yield Attack("T17", "a bearer of 1 MiB", "sqlite, 1 worker", partial(_huge, service))
    for name, request in bodies().items():
        yield Attack("T49", name, "sqlite, 1 worker", partial(_body, service, request))


def resident_mib(pid: int) -> float:
    """Memory that the process holds now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def _token(service: Service, token: str) -> str:
    """Compared to a bad token of an ordinary size, over 200 requests each."""

    async def run() -> tuple[float, float]:
        wire = await Wire.open(service.port)
        times: dict[str, list[float]] = {"zq7canary": [], token: []}
        for _ in range(200):
            for sent, found in times.items():
                begun = time.perf_counter()
                answer = await wire.ask(me(sent))
                found.append(time.perf_counter() - begun)
                assert answer.status in (400, 401, 431), f"{answer.status}"
        await wire.close()
        return statistics.median(times["zq7canary"]), statistics.median(times[token])

    asyncio.run(run())
    before = resident_mib(service.pid)
    plain, bomb = asyncio.run(run())
    growth, cost = resident_mib(service.pid) - before, 1000 * (bomb - plain)
    assert cost < COST_MS, f"{cost:.2f} ms more than a short one"
    assert growth < GROWTH_MIB, f"memory +{growth:.2f} MiB"
    _check_log(service)
    return f"{cost:+.2f} ms to a short one, memory {growth:+.2f} MiB"


def _check_log(service: Service) -> None:
    longest = max((len(line) for line in service.logs().splitlines()[-50:]), default=0)
    assert longest <= LOG_LINE, f"a log line of {longest} characters"
    assert "zq7canary" not in service.logs(), "the token is in the log"


def _huge(service: Service) -> str:
    """The server's parser gives up on the head of the request; the next client notices nothing."""

    async def run() -> str:
        wire = await Wire.open(service.port)
        begun = time.perf_counter()
        try:
            answer = await wire.ask(me("a" * MIB))
            said = str(answer.status)
            assert answer.status in (400, 401, 431), said
        except ConnectionError:
            said = "connection closed"
        seconds = time.perf_counter() - begun
        await wire.close()
        assert (await once(service.port, Ask("GET", "/healthz"))).status == 200
        assert seconds < 1, f"{seconds:.2f} s"
        return f"{said} after {1000 * seconds:.0f} ms"

    asyncio.run(run())
    before = resident_mib(service.pid)
    said = asyncio.run(run())
    growth = resident_mib(service.pid) - before
    assert growth < BODY_GROWTH_MIB, f"memory +{growth:.2f} MiB"
    _check_log(service)
    return f"{said}, memory {growth:+.2f} MiB"


def _post(body: bytes, *headers: str) -> bytes:
    head = ["POST /auth/login HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


def bodies() -> dict[str, bytes]:
    """Bodies that a parser might choke on."""
    form, multipart = "Content-Type: application/x-www-form-urlencoded", "Content-Type: multipart/form-data; boundary=x"
    chunked = b"POST /auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return {
        "a form of 20 000 fields": _post(b"&".join([b"a="] * 20_000), form),
        "a form of 4 MiB": _post(b"a=b&" * MIB, form),
        "a form of 30 000 semicolons": _post(b";" * 30_000, form),
        "multipart with endless preamble": _post(b"x" * MIB, multipart),
        "multipart with 10 000 parts": _post(
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 10_000, multipart
        ),
        "chunks of one byte, 100 KiB": chunked
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"1\r\na\r\n" * 100_000
        + b"0\r\n\r\n",
        "a gzip body": _post(b"\x1f\x8b" + b"\0" * 1000, "Content-Type: application/json", "Content-Encoding: gzip"),
        "60 KiB of brackets": _post(b"[" * 60_000, "Content-Type: application/json"),
        "a number of 60 000 digits": _post(b'{"login": ' + b"9" * 60_000 + b"}", "Content-Type: application/json"),
        "JSON of 4 MiB": _post(b'"' + b"a" * 4 * MIB + b'"', "Content-Type: application/json"),
    }


def _body(service: Service, request: bytes) -> str:
    async def run() -> tuple[int | None, float]:
        wire = await Wire.open(service.port)
        begun = time.perf_counter()
        wire.send(request)
        try:
            status = (await wire.receive()).status
        except ConnectionResetError:
            # Closed on a sender who would not stop: TCP may lose the answer on the way then (RFC 9112, section 9.6).
            status = None
        seconds = time.perf_counter() - begun
        await wire.close()
        return status, seconds

    asyncio.run(run())
    before = resident_mib(service.pid)
    found = [asyncio.run(run()) for _ in range(10)]
    growth, slowest = resident_mib(service.pid) - before, max(seconds for _, seconds in found)
    seen = {status for status, _ in found}
    assert seen <= {400, 413, 415, 422, None}, str(seen)
    assert slowest < 1, f"{slowest:.2f} s"
    assert growth < BODY_GROWTH_MIB, f"memory +{growth:.2f} MiB"
    shown = " or ".join(str(status or "closed") for status in sorted(seen, key=lambda status: status or 999))
    return f"{shown} within {1000 * slowest:.0f} ms, memory {growth:+.2f} MiB"
