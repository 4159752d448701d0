"""The guides about hosts' tables, followed in empty folders: every block of them, as it stands there."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import bcrypt
import pytest

pytestmark = [
    pytest.mark.delivery,
    pytest.mark.xdist_group("packages"),
    pytest.mark.timeout(400),
]  # Alembic's command, a dozen times
GUIDES = Path(__file__).parents[2] / "docs" / "guides"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ([\w/]+\.(?:py|ini))\n")
PASSWORD = "zq7canary as it was before"
MINE = """
import asyncio
from propusk import create_auth
from propusk.domain import list_users, login_with_password
from propusk.testing import settings_for_tests
from shop.models import engine
from shop.users import USERS

async def main():
    auth = create_auth(settings_for_tests("."), engine=engine, users=USERS)
    async with auth.transaction() as ctx:
        pair = await login_with_password(ctx, login="ADA", password=PASSWORD)
        print("in", bool(pair.access_token), (await list_users(ctx, limit=9))[0].email)
    await auth.close()
    await engine.dispose()

asyncio.run(main())
"""


class Folder:
    """An empty project of a host."""

    def __init__(self, path: Path, guide: str) -> None:
        self.path = path
        self.text = (GUIDES / guide).read_text()
        self.run("alembic init -t async migrations && mkdir shop && touch shop/__init__.py")

    def section(self, title: str) -> list[tuple[str, str]]:
        """The blocks of a section, with their kinds."""
        (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", self.text, re.MULTILINE | re.DOTALL)
        return BLOCK.findall(text)

    def follow(self, title: str) -> str:
        """Write the files of a section, then run its commands; returns what they print."""
        blocks = self.section(title)
        for kind, block in blocks:
            if kind in ("python", "ini") and (name := NAMED.match(block)):
                (self.path / name[1]).write_text(block)
            elif kind == "python" and "instead of the line with options" not in block:
                self.run(f"{sys.executable} -", stdin=block)
        return self.run("\n".join(block for kind, block in blocks if kind == "sh"))

    def run(self, script: str, stdin: str = "") -> str:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {"PATH": path, "HOME": str(self.path), "PYTHONPATH": str(self.path), "PYTHONWARNINGS": "ignore"}
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            command, cwd=self.path, env=env, input=stdin, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout

    def tables(self) -> set[str]:
        with closing(sqlite3.connect(self.path / "shop.db")) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@pytest.mark.parametrize("way", ["Kept apart", "One history", "Taken in"])
def test_the_guide_to_alembic_is_followed(tmp_path: Path, way: str) -> None:
    folder = Folder(tmp_path, "alembic.md")
    folder.follow("What is the same")
    env = tmp_path / "migrations" / "env.py"
    if way == "Taken in":
        ((_, line),) = [block for block in folder.section(way) if block[0] == "python"]
        old = "    context.configure(connection=connection, **options(Base.metadata))\n"
        env.write_text(env.read_text().replace(old, line.partition("\n")[2]))

    said = folder.follow(way)

    assert "No new upgrade operations detected." in said
    assert {"shop_order", "propusk_users", "propusk_jobs"} <= folder.tables()
    assert ("propusk_schema_version" in folder.tables()) == (way == "Kept apart")


def test_the_guide_to_a_users_table_is_followed(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "users-table.md")
    folder.follow("What you have")
    folder.follow("Name it")
    folder.run("alembic revision --autogenerate -m accounts --rev-id accounts && alembic upgrade head")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        row = ("Ada@example.com", "ada", hashed, 1, "pro")
        connection.execute("INSERT INTO account VALUES (7, ?, ?, ?, ?, ?)", row)
        connection.execute("INSERT INTO shop_order VALUES (1, 7)")

    said = folder.follow("Adopt it")

    assert "No new upgrade operations detected." in said
    assert folder.run(f"{sys.executable} -", stdin=f"PASSWORD = {PASSWORD!r}\n{MINE}") == "in True Ada@example.com\n"
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(account)")]
        assert all(f"`{name}`" in folder.text for name in columns[6:])
        assert connection.execute("SELECT buyer, hashed_password FROM shop_order, account").fetchall() == [(7, "")]
