"""Record what FastAPI Users 15 answers: `python -m tests.contrib.record` writes `recording.json` anew.

What is recorded is the application of `docs/guides/from-fastapi-users.md`: its blocks of what you had. FastAPI Users is
installed into an environment of its own, with the hashes of `requirements.lock` beside this file, and this module runs
there.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx

from tests.contrib.guide import blocks
from tests.contrib.player import Player
from tests.contrib.scenario import USUAL, VERIFIED

HERE = Path(__file__).parent
RECORDING = HERE / "recording.json"
PACKAGES = (
    "fastapi-users",
    "fastapi-users-db-sqlalchemy",
    "fastapi",
    "pydantic",
    "email-validator",
    "python-multipart",
)


def main() -> None:
    """Make the environment, and have this module record there."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = str(Path(folder) / "bin" / "python")
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--require-hashes"]
        subprocess.run([*pip, "-r", str(HERE / "requirements.lock")], check=True)
        subprocess.run([python, "-m", "tests.contrib.record", "--here"], check=True, cwd=HERE.parents[1])


async def record() -> None:
    """Play the steps to the real thing and write its answers down."""
    recorded: dict[str, Any] = {"versions": {name: version(name) for name in PACKAGES}, "application": blocks("had")}
    for name, steps, verified in (("usual", USUAL, False), ("verified", VERIFIED, True)):
        async with application(requires_verification=verified) as (app, acts):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                recorded[name] = {"steps": steps, "answers": await Player(client, acts).play(steps)}
                recorded["openapi"] = (await client.get("/openapi.json")).json()
    RECORDING.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")


@asynccontextmanager
async def application(*, requires_verification: bool) -> AsyncIterator[tuple[Any, dict[str, Any]]]:
    """The guide's application, on a database of its own, and what the steps ask for."""
    with tempfile.TemporaryDirectory() as folder:
        text = blocks("had").replace("///app.db", f"///{folder}/app.db")
        text = text.replace("REQUIRES_VERIFICATION = False", f"REQUIRES_VERIFICATION = {requires_verification}")
        module = sys.modules["had"] = ModuleType("had")
        had = module.__dict__
        exec(compile(text, "from-fastapi-users.md", "exec"), had)
        sent: dict[tuple[str, str], str] = {}

        def send_link(to: str, path: str, token: str) -> None:
            sent[path, to] = token

        async def mail_token(kind: str, email: str) -> str:
            return sent[{"verify": "verify-email", "reset": "reset-password"}[kind], email]

        async def superuser(email: str, password: str) -> None:
            await had["create_user"](email, password)

        had["send_link"] = send_link
        async with had["engine"].begin() as connection:
            await connection.run_sync(had["Base"].metadata.create_all)
        yield had["app"], {"superuser": superuser, "mail_token": mail_token}
        await had["engine"].dispose()


if __name__ == "__main__":
    asyncio.run(record()) if "--here" in sys.argv else main()
