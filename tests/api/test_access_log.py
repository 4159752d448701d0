"""A line for each request, the last ones too."""

from pathlib import Path

import pytest

from propusk.server import create_app
from tests.backends import Backend
from tests.kit import House, make_settings
from tests.raw import ask

pytestmark = pytest.mark.one_database


async def test_the_last_lines_are_written_before_the_service_ends(
    backend: Backend, house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(make_settings(backend.url, tmp_path), clock=house.clock, access_log=True)
    async with app.router.lifespan_context(app):
        answer = await ask(app, "GET", "/healthz")
    name = answer.header("x-request-id")
    assert name
    assert name in capsys.readouterr().err
