"""What a database server says of itself, and what `propusk doctor` makes of it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from propusk.cli.doctor import ask_database, judge_server
from propusk.db.clock import DatabaseClock
from propusk.db.server import Server, ask_server
from tests.backends import Backend
from tests.kit import House, make_settings


async def test_a_server_tells_its_version_and_how_many_it_lets_in(house: House, backend: Backend) -> None:
    server = await ask_server(house.auth.engine)

    if backend.name == "sqlite":
        assert server is None
        return
    assert server is not None
    assert server.name == backend.name
    assert not server.is_too_old
    assert server.room > 15


def judge(server: Server | None, **settings: Any) -> list[tuple[str, str]]:
    findings = judge_server(server, make_settings("postgresql://db", "/nowhere", **settings))
    assert all(finding.advice for finding in findings if finding.status != "ok")
    return [(finding.about, finding.status) for finding in findings]


def test_doctor_says_when_the_workers_of_a_node_need_more_connections_than_the_server_lets_in() -> None:
    server = Server("postgresql", (16, 2), 97)

    assert judge(server, workers=6) == [("connections", "ok")]
    assert judge(server, workers=6, jobs_inline=False) == [("connections", "warn")]
    assert judge(server, workers=7) == [("connections", "warn")]
    assert judge(server, workers=7, database_connections=13) == [("connections", "ok")]
    assert judge(None, workers=7) == []


@pytest.mark.parametrize(
    ("name", "version", "too_old"),
    [
        ("mariadb", (10, 4, 34), True),
        ("mariadb", (10, 5, 0), False),
        ("mariadb", (11, 4, 2), False),
        ("mysql", (5, 7, 44), True),
        ("mysql", (8, 0, 0), False),
        ("postgresql", (13,), False),
    ],
)
def test_doctor_says_when_a_server_is_too_old(name: str, version: tuple[int, ...], too_old: bool) -> None:
    found = judge(Server(name, version, 151))

    assert found == [("database", "fail")] * too_old + [("connections", "ok")]


@pytest.mark.parametrize("ahead", [0, 300, -300])
async def test_doctor_says_how_far_this_machines_clock_is_from_the_servers(
    house: House, backend: Backend, ahead: int
) -> None:
    clock = DatabaseClock(lambda: datetime.now(UTC) + timedelta(seconds=ahead))

    findings = await ask_database(house.auth.settings, "the database", clock)

    (found,) = (finding for finding in findings if finding.about == "clock")
    if backend.name == "sqlite":
        assert (found.status, clock.offset) == ("ok", timedelta(0)), "there is no other clock"
        return
    assert found.status == ("warn" if ahead else "ok"), found
    if ahead:
        said = re.search(r"is (\d+)\.\d+ s (ahead of|behind) the database server's", found.detail)
        assert said is not None, found
        assert abs(int(said[1]) - 300) < 30, "the server is this machine"
        assert said[2] == ("ahead of" if ahead > 0 else "behind")
        assert "NTP" in found.advice
    assert abs(clock() - datetime.now(UTC)) < timedelta(seconds=30), "it is corrected"
