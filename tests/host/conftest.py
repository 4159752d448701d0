"""Fixture `make_stand`: an application of somebody else's, on a real database, that Propusk is put into."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete

from propusk import Settings, create_auth
from propusk.auth import Auth
from propusk.mail.memory import MemoryMailer
from tests.backends import Backend
from tests.host.stand import MakeStand, Stand
from tests.kit import FakeClock, make_settings

INSTALL = ("prefix", "routes", "errors")


@pytest.fixture
async def make_stand(backend: Backend, signing_key_file: Path, tmp_path: Path) -> AsyncIterator[MakeStand]:
    """Builds one: `await make_stand(app, claims=…, prefix=…)`, settings by `settings={…}`."""
    auths: list[Auth] = []
    clients: list[httpx.AsyncClient] = []

    async def make(app: FastAPI | None = None, *, settings: dict[str, Any] | None = None, **options: Any) -> Stand:
        app = app or FastAPI()
        placing = {name: options.pop(name) for name in INSTALL if name in options}
        usual = {"signing_key_file": signing_key_file}
        chosen: Settings = make_settings(backend.url, tmp_path, **(usual | (settings or {})))
        clock, mailer = FakeClock(), MemoryMailer()
        auth = create_auth(chosen, clock=clock, mailer=mailer, **options)
        auths.append(auth)
        if len(auths) == 1:
            async with auth.engine.begin() as connection:
                for table in reversed(auth.tables.metadata.sorted_tables):
                    if table is not auth.tables.locks:
                        await connection.execute(delete(table))
        auth.install(app, **placing)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
        clients.append(client)
        await auth.start()
        return Stand(app, auth, clock, mailer, client)

    yield make
    for client in clients:
        await client.aclose()
    for auth in auths:  # those whose installation was refused as well
        await auth.close()
