"""The pytest plugin. It is part of every run where Propusk is installed, so nothing of weight is imported before a
fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fastapi import FastAPI

    from propusk.mail.memory import MemoryMailer
    from propusk.settings import Settings
    from propusk.testing.clock import Clock
    from propusk.testing.kit import Kit
    from propusk.testing.sync_kit import SyncKit

_NO_APP = """\
propusk.testing does not know your app. Put this into conftest.py, with your own way to make the app:

    @pytest.fixture
    def propusk_app(propusk_settings, propusk_clock, propusk_mailer):
        return create_app(propusk_settings, clock=propusk_clock, mailer=propusk_mailer)
"""


@pytest.fixture
def propusk_settings(tmp_path: Path) -> Settings:
    """Settings for `create_auth`: a new SQLite file, cheap hashing, no limits in the way."""
    from propusk.testing.settings import settings_for_tests

    return settings_for_tests(tmp_path / "propusk")


@pytest.fixture
def propusk_clock() -> Clock:
    """A clock for `create_auth`: it begins at the real time and waits to be moved."""
    from propusk.testing.clock import Clock

    return Clock()


@pytest.fixture
def propusk_mailer() -> MemoryMailer:
    """A mailer for `create_auth`, which keeps the mails."""
    from propusk.mail.memory import MemoryMailer

    return MemoryMailer()


@pytest.fixture
def propusk_app() -> FastAPI:
    """Your app: override this one, and make the app with the three others."""
    raise pytest.UsageError(_NO_APP)


@pytest.fixture
def propusk(propusk_app: FastAPI) -> Iterator[Kit]:
    """Users, clients, mails and the time of `propusk_app`, for async tests."""
    from propusk.testing.kit import Kit
    from propusk.testing.tables import make_tables, run_apart

    kit = Kit(propusk_app)
    make_tables(kit.auth)
    yield kit
    # The loop of the test may be closed by now.
    run_apart(kit.close)


@pytest.fixture
def propusk_sync(propusk_app: FastAPI) -> Iterator[SyncKit]:
    """The same for tests that are plain functions. The app's lifespan runs."""
    from propusk.testing.sync_kit import SyncKit

    with SyncKit.of(propusk_app) as kit:
        yield kit
