"""`propusk worker` beside a service that runs no jobs, and `propusk jobs`."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from propusk.jobs.worker import LOOK
from tests.backends import Backend
from tests.process.service import NO_LIMITS, PATIENCE, PROGRAM, Service, environment, propusk
from tests.process.test_mail import Sink, outbox, register, wait_for

pytestmark = pytest.mark.xdist_group("processes")
OURS = {"upkeep.counters", "upkeep.jobs", "upkeep.keys", "upkeep.mails", "upkeep.sessions", "upkeep.tokens"}


@contextmanager
def worker(service: Service) -> Iterator[subprocess.Popen[bytes]]:
    """A running `propusk worker` with the settings of a service."""
    with (service.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [PROGRAM, "worker"], cwd=service.folder, env=environment(service.env), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)


def jobs(service: Service) -> dict[str, dict[str, Any]]:
    done = service.run("jobs", "--json")
    assert done.returncode == 0, done.stderr
    return {job["name"]: job for job in json.loads(done.stdout)}


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    (tmp_path / "sink").mkdir()
    sink = Sink(tmp_path / "sink")
    yield sink.start()
    sink.kill()


@pytest.fixture
def quiet_service(tmp_path: Path, sink: Sink) -> Iterator[Service]:
    """A service that runs no jobs."""
    mail = {
        "PROPUSK_MAIL_URL": f"smtp://127.0.0.1:{sink.port}?security=none",
        "PROPUSK_MAIL_FROM": "Propusk <no-reply@id.example.com>",
    }
    with Service(tmp_path, env=NO_LIMITS | mail | {"PROPUSK_JOBS_INLINE": "false"}) as service:
        yield service


def test_a_worker_does_what_its_service_does_not(quiet_service: Service, sink: Sink) -> None:
    register(quiet_service)
    time.sleep(1.5)
    assert ([mail["state"] for mail in outbox(quiet_service)], sink.mails()) == (["queued"], [])
    before = jobs(quiet_service)
    assert {(job["runs"], job["due_at"], job["running"]) for job in before.values()} == {(0, None, False)}
    assert (set(before), before["upkeep.counters"]["every"]) == (OURS, "10m")

    with worker(quiet_service) as process:
        wait_for(sink.mails)
        waits = []
        for number in (2, 3, 4):
            register(quiet_service, f"grace{number}@example.com")
            waits.append(wait_for(lambda n=number: len(sink.mails()) == n))  # type: ignore[misc]
        assert min(waits) < 3, "nobody wakes it, so it looks each second; a service, each five"

        sink.hold()
        register(quiet_service, "edsger@example.com")
        wait_for(sink.is_holding)
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: "ending: what is under way" in (quiet_service.folder / "worker.log").read_text())
        time.sleep(0.2)  # and no longer: it waits for a few seconds only
        assert process.poll() is None, "a mail is under way"
        sink.let_go()
        assert process.wait(PATIENCE) == 0

    assert sorted(mail["to"][0] for mail in sink.mails()) == [
        "ada@example.com",
        "edsger@example.com",
        *(f"grace{number}@example.com" for number in (2, 3, 4)),
    ]
    assert {mail["state"] for mail in outbox(quiet_service)} == {"sent"}
    after = jobs(quiet_service)
    assert {(job["runs"], job["error"], job["running"]) for job in after.values()} == {(1, None, False)}
    assert all(job["due_at"] > job["finished_at"] >= job["started_at"] for job in after.values())
    table = quiet_service.run("jobs").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["name", *sorted(OURS)]


def test_sigint_ends_an_idle_worker_at_once(quiet_service: Service) -> None:
    with worker(quiet_service) as process:
        wait_for(lambda: jobs(quiet_service)["upkeep.keys"]["runs"] == 1)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - started < LOOK.total_seconds(), "it did not wait until it would look again"
    log = (quiet_service.folder / "worker.log").read_text()
    assert "Traceback" not in log


def test_a_worker_makes_no_second_installation(tmp_path: Path) -> None:
    done = propusk(tmp_path, "worker")
    assert (done.returncode, "propusk-data" in done.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_refuses_what_production_must_not_have(tmp_path: Path) -> None:
    (tmp_path / "propusk-data").mkdir(0o700)
    done = propusk(tmp_path, "worker", env={"PROPUSK_ENVIRONMENT": "production"})
    assert done.returncode == 1
    assert "public_url must be https" in done.stderr


def test_a_worker_refuses_an_old_schema_and_names_the_command(empty_database: Backend, tmp_path: Path) -> None:
    (tmp_path / "propusk-data").mkdir(0o700)
    done = propusk(tmp_path, "worker", env={"PROPUSK_DATABASE_URL": empty_database.url})
    assert (done.returncode, "propusk migrate" in done.stderr) == (1, True)
