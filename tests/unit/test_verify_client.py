"""The verifier's own HTTP client, on real sockets: bounded in size and time, follows nothing, and keeps connections."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from propusk.verify import Request, Response, TokenVerifier
from propusk.verify.client import HttpClient
from propusk.verify.refusals import IssuerUnavailable
from tests.forgeries import b64
from tests.verifying import AUDIENCE


@dataclass
class Server:
    """Answers each request with the next of `scripts` (the last one again and again), after which it may hang up."""

    scripts: list[bytes | None]
    hang_up: bool = False
    delay: float = 0
    port: int = 0
    scheme: str = "http"
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower()[:15] == b"content-length:"), 0
                )
                self.heads.append(head + await reader.readexactly(length))
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                if script is None:
                    break
                await self._write(writer, script)
                if self.hang_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _write(self, writer: asyncio.StreamWriter, script: bytes) -> None:
        if not self.delay:
            writer.write(script)
        for byte in script if self.delay else b"":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(self.delay)


@asynccontextmanager
async def listening(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    made = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.scheme = "https" if tls is not None else "http"
    server.port = made.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        made.close()


DAY = timedelta(days=1)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
UNKNOWN = ".".join(b64(part) for part in (b'{"typ":"at+jwt","alg":"EdDSA","kid":"a"}', b"{}", b"zq7canary"))
POST = Request("POST", "", {"Authorization": "Basic zq7canary"}, b"token=zq7canary")


async def ask(server: Server, client: HttpClient | None = None, path: str = "/keys", **headers: str) -> Response:
    own = client or HttpClient()
    try:
        async with asyncio.timeout(60):
            return await own(Request("GET", server.url + path, headers))
    finally:
        if client is None:
            await own.aclose()


async def test_a_request_is_sent_and_its_answer_read() -> None:
    script = b"HTTP/1.1 200 OK\r\nCache-Control: public\r\ncache-control: max-age=9\r\nContent-Length: 2\r\n\r\nhi"
    async with listening(Server([script])) as server:
        assert await ask(server, path="/a/b?c=d", accept="x") == Response(
            200, {"cache-control": "public, max-age=9", "content-length": "2"}, b"hi"
        )
        client = HttpClient()
        answer = await client(Request("POST", f"{server.url}/ask", POST.headers, POST.body))
        await client.aclose()
    assert answer.body == b"hi"
    head = server.heads[0].decode()
    assert head.startswith("GET /a/b?c=d HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}\r\n" in head
    assert server.heads[1].startswith(b"POST /ask HTTP/1.1\r\n")
    assert server.heads[1].endswith(b"Content-Length: 15\r\n\r\ntoken=zq7canary")


@pytest.mark.parametrize(
    ("script", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", 200, b"hi"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, 200, b"hi"),
        (b"HTTP/1.0 200 OK\r\n\r\nhi", 200, b"hi"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    ],
)
async def test_every_shape_of_answer_is_read_and_no_redirect_followed(script: bytes, status: int, body: bytes) -> None:
    async with listening(Server([script], hang_up=True)) as server:
        answer = await ask(server)
        assert (answer.status, answer.body) == (status, body)
        assert server.connections == 1


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" + b"x" * 65537,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b"x" * 0x4000 + b"\r\n" * 1,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10**6,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10**6,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
    ],
)
async def test_t14_an_answer_that_is_none_or_too_much_is_an_error(script: bytes) -> None:
    async with listening(Server([script], hang_up=True)) as server:
        with pytest.raises(OSError, match=r"."):
            await ask(server)


async def test_nobody_there_is_an_error() -> None:
    with pytest.raises(OSError, match="failed"):
        await HttpClient()(Request("GET", "http://127.0.0.1:1/"))


async def test_t14_an_issuer_that_drips_is_given_up_in_time() -> None:
    async with listening(Server([OK * 100], delay=0.02)) as server:
        verifier = TokenVerifier(server.url, AUDIENCE, timeout=0.3)
        started = asyncio.get_running_loop().time()
        with pytest.raises(IssuerUnavailable):
            await verifier.verify(UNKNOWN)
        assert asyncio.get_running_loop().time() - started < 20, "the whole answer would take 78 s"
        await verifier.aclose()


async def test_a_connection_serves_one_question_after_another() -> None:
    async with listening(Server([OK])) as server:
        client = HttpClient()
        for _ in range(5):
            assert (await ask(server, client)).body == b"hi"
        assert server.connections == 1
        await asyncio.gather(*(ask(server, client) for _ in range(5)))
        assert 2 <= server.connections <= 5
        await client.aclose()


async def test_a_connection_that_was_closed_meanwhile_is_replaced() -> None:
    async with listening(Server([OK, None, OK])) as server:
        client = HttpClient()
        assert (await ask(server, client)).body == b"hi"
        assert (await ask(server, client)).body == b"hi", "closed just when it was used: asked once more"
        assert server.connections == 2
        await client.aclose()
    async with listening(Server([OK], hang_up=True)) as server:
        client = HttpClient()
        for number in range(1, 4):
            assert (await ask(server, client)).body == b"hi"
            await asyncio.sleep(0.01)
            assert server.connections == number
        await client.aclose()


async def test_a_connection_is_not_kept_when_that_was_asked_or_something_is_left_on_it() -> None:
    async with listening(Server([OK])) as server:
        client = HttpClient()
        for _ in range(2):
            await ask(server, client, Connection="close")
        assert server.connections == 2
    async with listening(Server([OK + OK])) as server:
        for _ in range(2):
            assert (await ask(server, client)).body == b"hi"
        assert server.connections == 2
        await client.aclose()


def self_signed(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that no authority has signed, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - DAY, now + DAY)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = built.add_extension(alternative, critical=False).sign(key, SHA256())
    path = folder / "tls.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    return path


async def test_a_certificate_that_nobody_vouches_for_is_an_error(tmp_path: Path) -> None:
    file = self_signed(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(file)
    async with listening(Server([OK]), tls) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(server)
        trusting = HttpClient(ssl.create_default_context(cafile=str(file)))
        assert (await ask(server, trusting)).body == b"hi"
        await trusting.aclose()
        assert server.heads != []
        request = Request("GET", server.url.replace("127.0.0.1", "localhost"))
        with pytest.raises(ssl.SSLCertVerificationError):
            await HttpClient(ssl.create_default_context(cafile=str(file)))(request)
