"""A real mail server to send to, which can be told to misbehave; also as a process: `python -m tests.post`."""
# ruff: noqa: N802 (aiosmtpd finds its handlers by these names)

import asyncio
import hashlib
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LOGIN = ("propusk", "zq7canary mail @:/#")
FOREVER = 3600.0


@dataclass
class Parcel:
    """A mail that the server took."""

    sender: str
    recipients: list[str]
    content: bytes = field(repr=False)

    @property
    def mail(self) -> EmailMessage:
        parsed = message_from_bytes(self.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def text(self) -> str:
        part = self.mail.get_body(("plain",))
        assert part is not None
        return str(part.get_content())


@dataclass
class PostOffice:
    """What the server is to do, and what came.

    Args:
        answers: instead of 250, by command: `{"RCPT": "550 5.1.1 unknown"}`. Commands: MAIL, RCPT, DATA (its end).
        hangs_at: the command that is not answered.
        drops: `in data` hangs up in the middle of the mail, `after data` when it has all of it, before the answer.
        login: who may log in; None for no login.
    """

    answers: dict[str, str] = field(default_factory=dict)
    hangs_at: str | None = None
    drops: str | None = None
    login: tuple[str, str] | None = None
    port: int = 0
    parcels: list[Parcel] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    logins: int = 0
    open: list["_Server"] = field(default_factory=list, repr=False)

    async def answer(self, command: str) -> str:
        self.commands.append(command)
        if self.hangs_at == command:
            await asyncio.sleep(FOREVER)
        return self.answers.get(command, "250 OK")

    async def handle_MAIL(
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.login is not None and not session.authenticated:
            return "530 5.7.0 log in first"
        envelope.mail_from = address
        return await self.answer("MAIL")

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = await self.answer("RCPT")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        answer = await self.answer("DATA")
        if answer.startswith("250"):
            content = envelope.content if isinstance(envelope.content, bytes) else b""
            self.parcels.append(Parcel(envelope.mail_from or "", list(envelope.rcpt_tos), content))
        if self.drops == "after data":
            assert isinstance(server, _Server)
            server.abort()
        return answer

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        good = self.login == (data.login.decode(), data.password.decode())
        self.logins += good
        return AuthResult(success=good, handled=False)


class _Server(SMTP):
    def __init__(self, office: PostOffice, **options: Any) -> None:
        super().__init__(office, hostname="post.example", **options)
        self._office = office

    def connection_made(self, transport: Any) -> None:
        if self.transport is None:  # and not STARTTLS
            self._office.connections += 1
            self._office.open.append(self)
        super().connection_made(transport)

    def abort(self) -> None:
        """Hang up, without a word."""
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.abort()

    async def end(self) -> None:
        """Hang up, whatever is going on."""
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
            await asyncio.gather(self._handler_coroutine, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
        if self.transport is not None:
            self.abort()

    async def smtp_QUIT(self, arg: str) -> None:
        self._office.commands.append("QUIT")
        await super().smtp_QUIT(arg)

    async def smtp_RSET(self, arg: str) -> None:
        self._office.commands.append("RSET")
        await super().smtp_RSET(arg)

    async def smtp_DATA(self, arg: str) -> None:
        if self._office.drops != "in data":
            await super().smtp_DATA(arg)
            return
        self._office.commands.append("DATA")
        await self.push("354 go on")
        await self._reader.readline()
        self.abort()


@asynccontextmanager
async def post_office(
    office: PostOffice | None = None, *, tls: ssl.SSLContext | None = None, implicit: bool = False, port: int = 0
) -> AsyncIterator[PostOffice]:
    """A mail server on a port of its own, in this event loop.

    Args:
        tls: with it, STARTTLS is offered, or TLS spoken from the start with `implicit`.
    """
    office = office or PostOffice()
    options: dict[str, Any] = {"tls_context": None if implicit else tls, "timeout": FOREVER}
    if office.login is not None:
        options |= {"authenticator": office.authenticate, "auth_require_tls": False}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Server(office, loop=loop, **options), "127.0.0.1", port, ssl=tls if implicit else None
    )
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        server.close()
        for connection in office.open:
            await connection.end()


def make_certificate(folder: Path) -> Path:
    """A certificate for localhost that signs itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = folder / "post.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


def tls_of(certificate: Path) -> ssl.SSLContext:
    """What a server with that certificate speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


class _Files(PostOffice):
    """Puts what came into a folder. A file `hold` there keeps mails from being answered, `refuse` from being taken."""

    folder = Path()

    async def answer(self, command: str) -> str:
        if command == "RCPT" and (self.folder / "refuse").exists():
            return "550 5.1.1 no such user"
        return await super().answer(command)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        (self.folder / "held").touch()
        while (self.folder / "hold").exists():
            await asyncio.sleep(0.02)
        answer = await super().handle_DATA(server, session, envelope)
        parcel = self.parcels[-1]
        name = f"{len(list(self.folder.glob('*.json'))):06}-{hashlib.sha256(parcel.content).hexdigest()[:8]}.json"
        draft = self.folder / f".{name}"
        draft.write_text(json.dumps({"to": parcel.recipients, "content": parcel.content.decode()}))
        draft.rename(self.folder / name)
        return answer


async def _serve(port: int, folder: Path) -> None:
    office = _Files()
    office.folder = folder
    async with post_office(office, port=port):
        (folder / "ready").touch()
        await asyncio.sleep(FOREVER)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
