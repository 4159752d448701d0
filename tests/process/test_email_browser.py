"""A real browser opens a link and nobody clicks: what mail scanners do."""

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.process.links import link, use
from tests.process.people import new_person
from tests.process.service import PATIENCE, free_port
from tests.process.town import Town
from tests.process.wire import Ask, once

pytestmark = pytest.mark.xdist_group("processes")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browser(url: str) -> Iterator[int]:
    """Chromium on one page; gives the port where it tells what it has open."""
    assert CHROMIUM is not None
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"]
        command = [CHROMIUM, *flags, f"--remote-debugging-port={port}", url]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield port
        finally:
            process.terminate()
            process.wait(PATIENCE)


async def open_tab(port: int, title: str) -> str:
    """The address that the browser shows once a page of this title is there."""
    end = time.monotonic() + PATIENCE
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        while time.monotonic() < end:
            try:
                tabs = json.loads((await client.get(f"http://127.0.0.1:{port}/json/list")).text)
            except httpx.TransportError:
                tabs = []
            for tab in tabs:
                if tab["type"] == "page" and tab["title"] == title:
                    return str(tab["url"])
            await asyncio.sleep(0.2)
    raise AssertionError(f"the browser shows no page with the title {title!r}")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
async def test_t35_a_browser_that_opens_the_link_uses_nothing_up_and_t34_hides_the_token(
    town: Town,
) -> None:
    person = await new_person(town.port)
    token = await link(town, person.email, "verify-email")

    with browser(f"{town.service.url}/verify-email?token={token}") as port:
        await open_tab(port, "Verify your e-mail address")
        await asyncio.sleep(1)
        shown = await open_tab(port, "Verify your e-mail address")

    assert shown == f"{town.service.url}/verify-email"
    users = town.records.tables.users
    (row,) = await town.records.rows(users, users.c.email == person.email)
    assert row["is_verified"] is False
    assert (await once(town.port, Ask("GET", f"/verify-email?token={token}"))).status == 200
    assert (await once(town.port, use("verify", token))).status == 200
