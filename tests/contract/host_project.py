"""A host's Alembic project in a folder, as its developers have it: env.py, models, revisions; and its database."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import event, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.db.engine import connect, database_url
from propusk.db.migrate import upgrade
from propusk.db.schema import build_tables
from tests.backends import drop_backend, is_reachable, make_backend
from tests.contract.host_tables import HostTables
from tests.kit import make_settings

ENV = """
import asyncio
import runpy

from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

models = runpy.run_path("{folder}/models.py")
options = models["options"]


def run(connection):
    context.configure(connection=connection, compare_type=True, **options)
    with context.begin_transaction():
        context.run_migrations()


async def main():
    engine = create_async_engine(context.config.get_main_option("url"), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


asyncio.run(main())
"""
SCRIPT = '''"""${message}"""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''


@dataclass
class Project:
    """The folder of a host, and its empty database."""

    name: str
    folder: Path
    url: str
    engine: AsyncEngine
    config: Config = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "versions").mkdir(parents=True)
        (self.folder / "env.py").write_text(ENV.format(folder=self.folder))
        (self.folder / "script.py.mako").write_text(SCRIPT)
        self.config = Config(stdout=io.StringIO())
        self.config.set_main_option("script_location", str(self.folder))
        self.config.set_main_option("path_separator", "newline")
        self.config.set_main_option("version_locations", f"{self.folder}/versions")
        self.config.set_main_option("url", database_url(make_settings(self.url, self.folder)).render_as_string(False))

    def models(self, source: str) -> None:
        """Write models.py; it ends with `options = …` for env.py."""
        (self.folder / "models.py").write_text(dedent(source))

    def revision(self, name: str, after: str | None, upgrade: str, downgrade: str = "pass") -> None:
        """Write a revision by hand."""
        head = f"import sqlalchemy as sa\nfrom alembic import op\n\nrevision = {name!r}\ndown_revision = {after!r}\n"
        bodies = f"\n\ndef upgrade():\n    {upgrade}\n\n\ndef downgrade():\n    {downgrade}\n"
        (self.folder / "versions" / f"{name}.py").write_text(head + bodies)

    async def run(self, name: str, *args: Any, **options: Any) -> Any:
        """An Alembic command: `run("upgrade", "head")`. env.py has an event loop of its own, so a thread as well."""
        return await asyncio.to_thread(getattr(command, name), self.config, *args, **options)

    async def autogenerate(self, **options: Any) -> str:
        """What the new revision says."""
        script = await self.run("revision", "made", autogenerate=True, **options)
        return Path(script.path).read_text()

    def rewrite_newest(self, change: Callable[[str], str]) -> None:
        """Edit the youngest revision, as one does before it is committed."""
        path = max((self.folder / "versions").glob("*.py"), key=lambda each: each.stat().st_mtime_ns)
        path.write_text(change(path.read_text()))

    async def tables(self) -> set[str]:
        async with self.engine.connect() as connection:
            return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))

    async def columns(self, table: str) -> dict[str, Any]:
        """What the database says of each column, by its name."""
        async with self.engine.connect() as connection:
            found = await connection.run_sync(lambda sync: inspect(sync).get_columns(table))
        return {column["name"]: column for column in found}

    async def do(self, *statements: str, **values: Any) -> None:
        async with self.engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement), values)

    async def ask(self, question: str, **values: Any) -> list[tuple[Any, ...]]:
        async with self.engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(question), values)]


@asynccontextmanager
async def host_project(request: pytest.FixtureRequest, name: str, folder: Path) -> AsyncIterator[Project]:
    """A project on a database of its own on this server; the test is skipped where it was not asked for."""
    if name not in request.config.getoption("--db").split(",") or not is_reachable(name):
        pytest.skip(f"{name} was not asked for or is not running")
    backend = await asyncio.to_thread(make_backend, name, folder, f"h{folder.name[-12:]}")
    engine = connect(database_url(make_settings(backend.url, folder)), pool_size=5)
    try:
        yield Project(name, folder / "host", backend.url, engine)
    finally:
        await engine.dispose()
        await asyncio.to_thread(drop_backend, backend)


@asynccontextmanager
async def statements_of(engine: AsyncEngine) -> AsyncIterator[list[str]]:
    """The texts of the statements that go through an engine meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


async def adopt(project: Project, host: HostTables, *, passwords: bool = True) -> None:
    """What a host does to give its table to us: its own history, ours, and its own again."""
    path, _, name = host.source.rpartition(".")
    models = f"import propusk.alembic\nfrom sqlalchemy import MetaData\nfrom {path} import {name}\n"
    project.models(models + f"options = propusk.alembic.options(MetaData(), {name})")
    steps = f"import propusk.alembic; from {path} import {name}; propusk.alembic."
    project.revision("adopt", None, f"{steps}adopt_users({name}, batch=2)", f"{steps}release_users({name})")
    moved = f"({name}, {host.passwords!r}, batch=2)"
    project.revision("move", "adopt", f"{steps}move_passwords{moved}", f"{steps}return_passwords{moved}")
    await project.run("upgrade", "adopt")
    await upgrade(project.engine, build_tables(host.users).metadata)
    if passwords:
        await project.run("upgrade", "head")
