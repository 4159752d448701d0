"""The library's guide, executed in an empty folder: its file with a real server, then what it says of each part."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.process.service import PATIENCE, environment, free_port

pytestmark = pytest.mark.xdist_group("processes")
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "library.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TYPED = "correct horse battery"


def blocks(kind: str) -> list[str]:
    return [text for name, text in BLOCK.findall(GUIDE.read_text()) if name == kind]


def test_the_first_page_works_as_it_is_typed(tmp_path: Path) -> None:
    port = free_port()
    _install, start, use = blocks("sh")
    (tmp_path / "app.py").write_text(blocks("python")[0])
    programs = Path(sys.executable).parent
    serve = start.replace(".venv/bin", str(programs)).strip()
    env = environment()
    server = subprocess.Popen([*serve.split(), "--port", str(port)], cwd=tmp_path, env=env, stderr=subprocess.PIPE)
    try:
        assert server.stderr is not None
        while b"startup complete" not in (line := server.stderr.readline()):
            assert line, "it did not start"
        script = use.replace("localhost:8000", f"127.0.0.1:{port}").replace("curl -s", "curl -sS")
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True, timeout=PATIENCE)
        assert done.stdout.endswith('["an order of ada@example.com"]')
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE)


@pytest.fixture
def setting() -> dict[str, str]:
    """What the environment says beside the guide: nothing."""
    return {}


@pytest.fixture
async def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: dict[str, str]) -> dict[str, Any]:
    """All its Python in one namespace."""
    monkeypatch.chdir(tmp_path)
    for name, value in (environment() | setting).items():
        if name.startswith("PROPUSK_PASSWORD") or name in setting:
            monkeypatch.setenv(name, value)
    names: dict[str, Any] = {"__name__": "guide"}
    for text in blocks("python"):
        exec(compile(text, GUIDE.name, "exec"), names)
    return names


@asynccontextmanager
async def started(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that runs, as it would under uvicorn."""
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client,
    ):
        yield client


async def test_the_later_pages_do_what_they_say(guide: dict[str, Any]) -> None:
    app, shop = guide["app"], guide["shop"]
    async with started(app) as client:
        assert (await client.get("/hello")).json() == "stranger"
        body = {"email": "ada@example.com", "password": TYPED}
        assert (await client.post("/auth/register", json=body)).status_code == 201
        login = {"login": "ada@example.com", "password": TYPED}
        token = (await client.post("/auth/login", json=login)).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/hello", headers=bearer)).json() == "ada@example.com"
        assert (await client.post("/reviews", headers=bearer)).status_code == 403
        assert (await client.get("/report", headers=bearer)).status_code == 403
        order = "/orders/018f0000-0000-7000-8000-000000000000"
        assert (await client.delete(order, headers=bearer)).status_code == 200

    async with started(shop) as client:
        fields = {"email": "bob@example.com", "password": TYPED, "profile": {"newsletter": True}}
        assert (await client.post("/account/auth/register", json=fields)).status_code == 201
        login = {"login": "bob@example.com", "password": TYPED}
        tokens = (await client.post("/account/auth/login", json=login)).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await client.get("/newsletter", headers=bearer)).json() is True
        eve = {"email": "eve@example.com", "password": TYPED}
        foreign = await client.post("/sign-up", json=eve, headers={"Sec-Fetch-Site": "cross-site"})
        assert (foreign.status_code, "set-cookie" in foreign.headers) == (403, False)
        answer = await client.post("/sign-up", json={"password": TYPED})
        assert (answer.status_code, TYPED in answer.text) == (422, False)
        answer = await client.post("/sign-up", json=eve)
        assert (answer.status_code, answer.json()) == (200, "Welcome, eve@example.com")
        assert (await client.get("/account/users/me")).json()["email"] == "eve@example.com"
        assert (await client.get("/account/users")).status_code == 404

        account = guide["Account"]
        async with shop.state.propusk.transaction() as ctx:
            assert (await ctx.db.execute(select(account.balance))).scalars().all() == [10, 10]
    await guide["auth"].close()


@pytest.mark.parametrize("setting", [{"PROPUSK_REQUIRE_VERIFIED_EMAIL": "true"}])
async def test_who_signs_up_where_addresses_must_be_verified_is_told_of_the_mail(guide: dict[str, Any]) -> None:
    async with started(guide["shop"]) as client:
        answer = await client.post("/sign-up", json={"email": "eve@example.com", "password": TYPED})
        assert (answer.status_code, answer.json()) == (200, "Follow the link that was sent to eve@example.com")
        assert "set-cookie" not in answer.headers
        login = {"login": "eve@example.com", "password": TYPED}
        answer = await client.post("/account/auth/login", json=login)
        assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")
    await guide["auth"].close()
