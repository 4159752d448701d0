"""The guide for those who come from FastAPI Users: what they write now, executed. What they had, the recorder runs."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contrib.guide import GUIDE, blocks
from tests.process.service import environment

ADA = {"email": "ada@example.com", "password": "zq7canary old horse"}


async def test_the_guide_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exports = GUIDE.read_text().split("```sh\nexport ")[1].splitlines()[0]
    settings = dict(pair.split("=", 1) for pair in exports.split())
    assert settings["PROPUSK_ACCESS_TOKEN_TTL"] == "1h"
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    now: dict[str, Any] = {"__name__": "guide"}
    exec(compile(blocks("now"), GUIDE.name, "exec"), now)
    app = now["app"]
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.post("/auth/register", json=ADA)).status_code == 201
        await now["create_user"]("root@example.com", ADA["password"])
        seen = {}
        for email in (ADA["email"], "root@example.com"):
            form = {"username": email, "password": ADA["password"]}
            token = (await client.post("/auth/jwt/login", data=form)).json()["access_token"]
            for path in ("/hello", "/letters", "/figures", "/menu"):
                answer = await client.get(path, headers={"Authorization": f"Bearer {token}"})
                seen[email, path] = (answer.status_code, answer.json() if answer.status_code == 200 else None)
        assert (await client.get("/menu")).json() == "Log in"
    assert seen == {
        ("ada@example.com", "/hello"): (200, "Hello ada@example.com!"),
        ("ada@example.com", "/letters"): (403, None),
        ("ada@example.com", "/figures"): (403, None),
        ("ada@example.com", "/menu"): (200, "Log out"),
        ("root@example.com", "/hello"): (200, "Hello root@example.com!"),
        ("root@example.com", "/letters"): (200, "Letters for root@example.com"),
        ("root@example.com", "/figures"): (200, "Figures for root@example.com"),
        ("root@example.com", "/menu"): (200, "Log out"),
    }
