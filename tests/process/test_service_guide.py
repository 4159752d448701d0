"""The service's guide, followed from its first line to its updates: each block of it, behind a proxy, with mails."""

import asyncio
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backends import is_reachable
from tests.post import Parcel, PostOffice, make_certificate, post_office, tls_of
from tests.process.service import FEW_CONNECTIONS, PATIENCE, environment, free_port

pytestmark = [pytest.mark.delivery, pytest.mark.xdist_group("packages")]
ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "service.md").read_text().partition("\n## In containers\n")[0]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UV = str(Path(sys.executable).with_name("uv"))
PHRASE = "a rather long pass phrase"
PASSWORD = "zq7canary one two three"
PUBLIC_URL = "https://login.example.com"


@dataclass(frozen=True)
class Machine:
    """Where the guide is followed: what it calls by a name that means something else here, and what that is."""

    folder: Path
    here: dict[str, str]
    env: dict[str, str]
    port: int

    def block(self, section: str, kind: str) -> str:
        """All blocks of a kind in a section."""
        (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
        found = [block for name, block in BLOCK.findall(text) if name == kind]
        assert found, (section, kind)
        script = "\n".join(found)
        for there, here in self.here.items():
            script = script.replace(there, here)
        return script

    async def follow(self, *sections: str) -> str:
        """Run the commands of some sections in one shell; returns what they print."""
        script = "\n".join(self.block(section, "sh") for section in sections)
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (sections, done.stdout, done.stderr)
        return str(done.stdout)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """The service, started as its unit says."""
        (command,) = re.findall(r"^ExecStart=(.*)$", self.block("Start", "ini"), re.MULTILINE)
        with (self.folder / "serve.log").open("ab") as log:
            process = subprocess.Popen(
                shlex.split(command), cwd=self.folder, env=self.env, stderr=log, start_new_session=True
            )
        try:
            await answers(f"http://127.0.0.1:{self.port}/readyz", self.folder / "serve.log")
            yield
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, PATIENCE)


async def answers(url: str, log: Path) -> None:
    """Return as soon as something answers 200 there."""
    end = time.monotonic() + PATIENCE
    async with httpx.AsyncClient(timeout=10, trust_env=False, verify=False) as client:
        while time.monotonic() < end:
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    pytest.fail(log.read_text())


@pytest.fixture
def role(pytestconfig: pytest.Config) -> Iterator[str]:
    """A name for the role and the database that the guide makes; both are dropped, and what it restores."""
    if "postgresql" not in pytestconfig.getoption("--db").split(",") or not is_reachable("postgresql"):
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is required with CI=true and cannot be reached")
        pytest.skip("PostgreSQL is not running on this machine, or not asked for")
    name = f"propusk_guide_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}"
    yield name
    for statement in (
        f'DROP DATABASE IF EXISTS "{name}_restored" WITH (FORCE)',
        f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
        f'DROP ROLE IF EXISTS "{name}"',
    ):
        command = ["psql", "--quiet", "postgresql://postgres@127.0.0.1/postgres", "--command", statement]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guide_wheel")
    command = [UV, "build", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*command, "--out-dir", folder, ROOT], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@contextmanager
def haproxy(config: str, folder: Path) -> Iterator[None]:
    """HAProxy with what the guide says about it."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("haproxy is required with CI=true and is not installed")
        pytest.skip("haproxy is not installed on this machine")
    (folder / "haproxy.cfg").write_text(config)
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([program, "-db", "-f", folder / "haproxy.cfg"], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait(PATIENCE)


async def test_the_guide_does_what_it_says(tmp_path: Path, wheel: Path, role: str) -> None:
    certificate = make_certificate(tmp_path)
    port, tls_port = free_port(), free_port()
    office = PostOffice(login=("propusk", "mail-password"))
    async with post_office(office, tls=tls_of(certificate)):
        folder = tmp_path / "srv"
        folder.mkdir()
        there = {
            "/srv/propusk": str(folder),
            "venv/bin/pip install": f"{UV} pip install --python venv",  # as pip does, in a tenth of the time
            '"propusk[service]"': f"'propusk[service] @ {wheel.as_uri()}'",
            "smtp.example.com:587": f"localhost:{office.port}",
            "postgresql://propusk:": f"postgresql://{role}:",
            "/propusk\nPROPUSK_SECRET": f"/{role}\nPROPUSK_SECRET",
            "CREATE ROLE propusk ": f"CREATE ROLE {role} ",
            "CREATE DATABASE propusk OWNER propusk;": f"CREATE DATABASE {role} OWNER {role};",
            "s|/propusk$|/propusk_restored|": f"s|/{role}$|/{role}_restored|",
            "--owner=propusk propusk_restored": f"--owner={role} {role}_restored",
            "127.0.0.1:8000": f"127.0.0.1:{port}",
            "--port 8000": f"--port {port}",
            "/etc/haproxy/login.example.com.pem": str(certificate),
            "bind :443": f"bind 127.0.0.1:{tls_port}",
        }
        assert [name for name in there if name not in GUIDE] == []
        inherited = {name: value for name, value in environment().items() if not name.startswith("PROPUSK_")}
        versions = {"UV_CONSTRAINT": str(ROOT / "requirements.lock"), "UV_COMPILE_BYTECODE": "1"}
        installing = Machine(folder, there, inherited | versions, port)
        await installing.follow("Install")
        machine = Machine(folder, there, inherited | FEW_CONNECTIONS | {"SSL_CERT_FILE": str(certificate)}, port)
        told = await machine.follow("Settings", "Database")
        assert [line for line in told.splitlines() if line.startswith("fail")] == []
        assert {oct((folder / name).stat().st_mode) for name in (".env", "signing_keys.pem")} == {"0o100600"}
        check_unit(machine.block("Start", "ini"), tmp_path)
        with haproxy(machine.block("Proxy", "haproxy"), tmp_path):
            async with machine.serving(), client(tls_port, certificate) as browser:
                await answers(f"https://localhost:{tls_port}/readyz", tmp_path / "haproxy.log")
                ada = await a_person_registers(browser, office)
                told = await machine.follow("See that it is well")
                assert '{"status":"ok"' in told and "\npropusk_" in told and "upkeep.sessions" in told
                before = await log_in(browser, "ada@example.com", PASSWORD)
            await machine.follow("Backups")
            assert (folder / ".env").read_text().count("_restored") == 1
            async with machine.serving(), client(tls_port, certificate) as browser:
                await answers(f"https://localhost:{tls_port}/readyz", tmp_path / "haproxy.log")
                assert await refresh(browser, before) == 401, "no session of the backup is alive"
                login = await log_in(browser, "ada@example.com", PASSWORD)
                assert login["user_id"] == ada
                await machine.follow("New keys")
            keys = (folder / ".env").read_text().partition("PROPUSK_SECRET_KEY=")[2].partition("\n")[0].split(",")
            assert [len(key) for key in keys] == [64, 64]
            async with machine.serving(), client(tls_port, certificate) as browser:
                await answers(f"https://localhost:{tls_port}/readyz", tmp_path / "haproxy.log")
                assert await refresh(browser, login) == 200, "a session outlives the old key"
        await installing.follow("Updates")


def client(port: int, certificate: Path) -> httpx.AsyncClient:
    """Somebody at another address than the proxy's, who claims to be at yet another."""
    transport = httpx.AsyncHTTPTransport(
        verify=ssl.create_default_context(cafile=str(certificate)), local_address="127.0.0.2"
    )
    lies = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    return httpx.AsyncClient(transport=transport, base_url=f"https://localhost:{port}", headers=lies, timeout=PATIENCE)


async def a_person_registers(browser: httpx.AsyncClient, office: PostOffice) -> str:
    """Register, get a mail with a link to the public address; and the superuser of the guide sees who is there."""
    person = {"email": "ada@example.com", "password": PASSWORD}
    made = (await browser.post("/auth/register", json=person)).json()
    mail = await mail_to("ada@example.com", office)
    assert f"{PUBLIC_URL}/verify-email?token=" in mail.text
    assert "Example <no-reply@example.com>" in str(mail.mail["From"])
    root = await log_in(browser, "root@example.com", PHRASE)
    bearer = {"Authorization": f"Bearer {root['access_token']}"}
    found = (await browser.get("/users?q=ada", headers=bearer)).json()["items"]
    assert [user["id"] for user in found] == [made["id"]]
    (session,) = (await browser.get("/auth/sessions", headers=bearer)).json()["items"]
    assert session["ip"] == "127.0.0.2", "whom the proxy names, and not whom the client does"
    return str(made["id"])


async def mail_to(address: str, office: PostOffice) -> Parcel:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for parcel in office.parcels:
            if parcel.recipients == [address]:
                return parcel
        await asyncio.sleep(0.1)
    pytest.fail(f"no mail for {address}")


async def log_in(browser: httpx.AsyncClient, login: str, password: str) -> dict[str, Any]:
    """The answer of a login, with the id of the user."""
    answer = await browser.post("/auth/login", json={"login": login, "password": password})
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    me = await browser.get("/users/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    return tokens | {"user_id": me.json()["id"]}


async def refresh(browser: httpx.AsyncClient, login: dict[str, Any]) -> int:
    return (await browser.post("/auth/refresh", json={"refresh_token": login["refresh_token"]})).status_code


def check_unit(unit: str, folder: Path) -> None:
    """systemd understands every line of it."""
    path = folder / "propusk.service"
    path.write_text(unit.replace("User=propusk", "User=root"))  # the user is not made here
    if (program := shutil.which("systemd-analyze")) is not None:
        done = subprocess.run([program, "verify", path], capture_output=True, text=True, check=False)
        assert "propusk.service" not in done.stderr, done.stderr


def test_every_block_of_the_guide_is_followed() -> None:
    sections = re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    with_blocks = [name for name, text in sections if "```" in text]
    followed = Path(__file__).read_text()
    assert [name for name in with_blocks if f'"{name}"' not in followed] == []
    assert sum(text.count("```") for _, text in sections) == 2 * len(BLOCK.findall(GUIDE))


def test_every_setting_of_the_guides_is_one() -> None:
    reference = json.dumps((ROOT / "docs" / "reference" / "settings.md").read_text())
    for guide in (ROOT / "docs" / "guides").glob("*.md"):
        for name in set(re.findall(r"\bPROPUSK_[A-Z0-9_]+", guide.read_text())):
            assert f"`{name}`" in reference, (guide.name, name)
