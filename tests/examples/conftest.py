"""Fixtures for the examples: each is started as its README says, on an empty database, in this process or in others.

A module says by `DATABASES` what its example runs on; `--db` takes away from that.
"""

import importlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from propusk import Auth
from tests.backends import Backend, drop_backend, is_reachable, make_backend
from tests.process.service import NO_LIMITS, environment

LONGEST = 400
"""Seconds for one test with its fixtures: several starts of processes, on a machine that is busy."""


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.timeout(LONGEST))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--db").split(",")
        names = [name for name in metafunc.module.DATABASES if name in chosen]
        metafunc.parametrize("database", names, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings that name an empty database: none for SQLite, which is what an example takes by itself."""
    name: str = request.param
    if not is_reachable(name):
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is required with CI=true and cannot be reached")
        pytest.skip(f"{name} is not running on this machine")
    if name == "sqlite":
        yield {}
        return
    backend: Backend = make_backend(name, tmp_path, f"example_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    yield {"PROPUSK_DATABASE_URL": backend.url}
    drop_backend(backend)


@dataclass
class Example:
    """A running example."""

    app: FastAPI
    auth: Auth
    client: httpx.AsyncClient


StartExample = Callable[..., Awaitable[Example]]


@pytest.fixture
async def start_example(
    database: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StartExample]:
    """Starts one in this process: `await start_example("cookie_app", PROPUSK_…="…")`, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    async with AsyncExitStack() as stack:

        async def start(name: str, **settings: str) -> Example:
            for variable, value in environment(NO_LIMITS | database | settings).items():
                monkeypatch.setenv(variable, value)
            module = f"examples.{name}"
            for loaded in [known for known in sys.modules if known == module or known.startswith(f"{module}.")]:
                del sys.modules[loaded]
            app: FastAPI = importlib.import_module(module).app
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
            return Example(app, app.state.propusk, await stack.enter_async_context(client))

        yield start
