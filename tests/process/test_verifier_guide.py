"""The verifier's guide, executed: its settings, its apps, and what it says of them, against a running service."""

import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from propusk.verify import InvalidToken
from tests.process.people import logout, new_person
from tests.process.service import Service, environment, free_port
from tests.process.wire import once

pytestmark = pytest.mark.xdist_group("clusters")
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "verifier.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ISSUER = "https://login.example.com"


def blocks(kind: str, issuer: str) -> str:
    """All blocks of a kind, with the issuer that runs here in place of the guide's."""
    found = [text for name, text in BLOCK.findall(GUIDE.read_text()) if name == kind]
    assert found
    return "\n".join(found).replace(ISSUER, issuer)


def variables(script: str) -> dict[str, str]:
    """What the guide's commands set."""
    command = ["bash", "-euc", script + '\nprintf "%s\\0" "$SECRET"; env -0']
    printed = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout
    secret, *rest = printed.rstrip("\0").split("\0")
    exported = dict(pair.split("=", 1) for pair in rest)
    return {"SECRET": secret} | {name: value for name, value in exported.items() if name.startswith("PROPUSK_")}


async def ask(app: Any, token: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://shop.example.com") as client:
        return await client.get("/orders", headers=headers)


async def test_the_guide_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    settings = variables(blocks("sh", issuer))
    monkeypatch.setenv("SECRET", settings.pop("SECRET"))
    guide: dict[str, Any] = {}
    exec(compile(blocks("python", issuer), GUIDE.name, "exec"), guide)
    with Service(tmp_path, env=settings, port=port):
        person = await new_person(port)
        token = (await person.log_in()).access
        for app in (guide["app"], guide["starlette_app"]):
            assert (await ask(app, token)).json() == [f"an order of {person.id}"]
            assert (await ask(app, None)).headers["www-authenticate"] == "Bearer"
            assert (await ask(app, token[:-4])).headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert await guide["who_sent"](token) == person.id
        assert await guide["who_sent"]("zq7canary") is None
        async with guide["live"] as live:
            assert (await live.verify(token)).subject == person.id
            assert (await once(port, logout(token))).status == 204
            with pytest.raises(InvalidToken):
                await live.verify(token)
        assert await guide["who_sent"](token) == person.id, "offline, a logout is not heard of"
