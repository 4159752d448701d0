"""Asked to stop, a service says so to the balancers first, and serves on until they have heard it."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.process.people import login, me, new_address, new_person, register
from tests.process.service import NO_LIMITS, PATIENCE, Service
from tests.process.wire import Ask, Wire, once

pytestmark = pytest.mark.xdist_group("processes")
DELAY = 15
READY = Ask("GET", "/readyz")
ENDED = (0, -signal.SIGTERM)
"""What it ends with: several workers, or one."""


@pytest.mark.parametrize("workers", [1, 2])
async def test_asked_to_stop_it_is_not_ready_any_more_and_serves_on_for_a_while(tmp_path: Path, workers: int) -> None:
    with Service(tmp_path, env={**NO_LIMITS, "PROPUSK_SHUTDOWN_DELAY": f"{DELAY}s"}, workers=workers) as service:
        person = await new_person(service.port)
        one = await person.log_in()
        begun = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(service.stop))
        while (ready := await once(service.port, READY)).status == 200:
            assert time.monotonic() - begun < DELAY, "it never said so"
        assert (ready.status, ready.code) == (503, "unavailable")
        assert int(ready.headers["retry-after"]) > 0
        await asyncio.sleep(begun + 3 - time.monotonic())
        assert (await once(service.port, me(one.access))).status == 200
        assert (await once(service.port, login(person.email))).status == 200
        assert await stopping in ENDED
        assert DELAY <= time.monotonic() - begun < DELAY + 12, "as soon as nobody is served any more"


@pytest.mark.parametrize("workers", [1, 2])
async def test_asked_to_stop_twice_it_does_not_wait(tmp_path: Path, workers: int) -> None:
    with Service(tmp_path, env={"PROPUSK_SHUTDOWN_DELAY": "10m"}, workers=workers) as service:
        os.kill(service.pid, signal.SIGTERM)
        while (await once(service.port, READY)).status == 200:
            pass
        assert await asyncio.to_thread(service.stop) in ENDED


@pytest.mark.parametrize("workers", [1, 2])
async def test_who_comes_while_it_finishes_what_is_under_way_is_turned_away(tmp_path: Path, workers: int) -> None:
    with Service(tmp_path, workers=workers) as service:
        held, request = await Wire.open(service.port), register(new_address()).encode()
        held.send(request[:-1])
        await once(service.port, READY)  # so that it has arrived
        os.kill(service.pid, signal.SIGTERM)
        while await is_let_in(service.port):
            await asyncio.sleep(0.05)
        held.send(request[-1:])
        answer = await held.receive()
        assert answer.status == 201, "what was under way had not ended"
        await held.close()
        assert await asyncio.to_thread(service.stop) in ENDED
    assert answer.headers["x-request-id"] in service.logs()


STUCK = """
import os, pathlib, time
folder = pathlib.Path(__file__).parent
(folder / "begun").touch()
while not (folder / "die").exists():
    time.sleep(0.05)
(folder / "dead").touch()
os._exit(1)
"""
"""What Python does before all else when it finds it as sitecustomize.py."""


@pytest.mark.parametrize("dies", [True, False])
async def test_asked_to_stop_it_hears_that_while_a_worker_does_not_start(tmp_path: Path, dies: bool) -> None:
    folder = tmp_path / "early"
    folder.mkdir()
    with Service(tmp_path, env={"PYTHONPATH": str(folder)}, workers=2) as service:
        (folder / "sitecustomize.py").write_text(STUCK)
        os.kill(workers_of(service)[0], signal.SIGKILL)
        await there_is(folder / "begun")
        held, request = await Wire.open(service.port), register(new_address()).encode()
        held.send(request[:-1])
        await once(service.port, READY)  # so that it has arrived
        await asyncio.sleep(2)  # so that the first process waits for the new one, for a minute
        if dies:
            (folder / "die").touch()
            await there_is(folder / "dead")
        begun = time.monotonic()
        os.kill(service.pid, signal.SIGTERM)
        while await is_let_in(service.port):
            assert time.monotonic() - begun < 30, "a service manager would not have waited any longer"
            await asyncio.sleep(0.05)
        held.send(request[-1:])
        assert (await held.receive()).status == 201, "what was under way had not ended"
        await held.close()
        assert await asyncio.to_thread(service.stop) in ENDED


def workers_of(service: Service) -> list[int]:
    """Its processes other than the first, without the one in which Python keeps book of them."""
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def there_is(path: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"no {path.name}"
        await asyncio.sleep(0.05)


async def is_let_in(port: int) -> bool:
    """Whether a connection comes about."""
    try:
        await (await Wire.open(port)).close()
    except ConnectionRefusedError:
        return False
    return True
