"""/metrics: off unless asked for, for who has the token, and nothing about anybody."""

import re
from datetime import timedelta

import pytest
from pydantic import SecretStr

from propusk.context import Context
from propusk.mail.outbox import enqueue
from propusk.registry import Periodic
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House

TOKEN = "zq7canary-metrics-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def figures(house: House) -> dict[str, float]:
    """Each sample with its labels."""
    answer = await house.client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z_]+(\{[a-z]+="(\\.|[^"\\])*"\})? [0-9.e+]+', line) for line in lines), lines
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_there_are_none_unless_the_settings_say_so(house: House) -> None:
    answer = await house.client.get("/metrics", headers=BEARER)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_without_a_token_in_the_settings_they_are_open(make_house: MakeHouse) -> None:
    house = await make_house(metrics=True)
    answer = await house.client.get("/metrics")
    assert answer.status_code == 200
    assert "propusk_up 1\n" in answer.text


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({}, "not_authenticated"),
        ({"Authorization": "Basic enE3Y2FuYXJ5OmE="}, "not_authenticated"),
        ({"Authorization": "Bearer zq7canary-metrics-012345678"}, "invalid_access_token"),
        ({"Authorization": f"Bearer {TOKEN}0"}, "invalid_access_token"),
        ({"Authorization": "Bearer ключ".encode()}, "invalid_access_token"),
    ],
)
async def test_a_wrong_token_or_none_is_refused(make_house: MakeHouse, header: dict[str, str], code: str) -> None:
    house = await make_house(metrics=True, metrics_token=SecretStr(TOKEN))
    answer = await house.client.get("/metrics", headers=header)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_superusers_access_token_is_not_the_one(make_house: MakeHouse) -> None:
    house = await make_house(metrics=True, metrics_token=SecretStr(TOKEN))
    root = await house.superuser()
    assert (await root.get("/metrics")).status_code == 401


async def test_mails_that_wait_are_counted_and_how_long_they_have(make_house: MakeHouse) -> None:
    house = await make_house(metrics=True, metrics_token=SecretStr(TOKEN))
    before = await figures(house)
    assert (before['propusk_mails{state="queued"}'], before["propusk_mails_oldest_seconds"]) == (0, 0)

    async def two_mails(ctx: Context) -> None:
        await enqueue(ctx, "nobody.writes.this")
        await enqueue(ctx, "nobody.writes.this")

    await house.do(two_mails)
    house.clock.tick(seconds=90)

    after = await figures(house)
    assert (after['propusk_mails{state="queued"}'], after["propusk_mails_oldest_seconds"]) == (2, 90)
    assert after['propusk_mails{state="failed"}'] == 0


async def test_runs_and_failures_of_each_job_are_counted(make_house: MakeHouse) -> None:
    house = await make_house(metrics=True, metrics_token=SecretStr(TOKEN))

    async def work(_ctx: Context) -> None:
        return None

    async def fail(_ctx: Context) -> None:
        raise ValueError("zq7canary")

    house.auth.worker.add(Periodic("well", timedelta(minutes=1), work))
    house.auth.worker.add(Periodic('a "bad"\\job', timedelta(minutes=1), fail))
    await house.auth.worker.run_due()
    at = house.clock().timestamp()

    found = await figures(house)
    bad = '{job="a \\"bad\\"\\\\job"}'
    assert (found['propusk_job_runs_total{job="well"}'], found['propusk_job_failures_total{job="well"}']) == (1, 0)
    assert (found[f"propusk_job_runs_total{bad}"], found[f"propusk_job_failures_total{bad}"]) == (1, 1)
    assert abs(found['propusk_job_last_success_timestamp_seconds{job="well"}'] - at) < 5
    assert f"propusk_job_last_success_timestamp_seconds{bad}" not in found
    assert f"propusk_job_last_duration_seconds{bad}" in found
    assert found['propusk_job_runs_total{job="upkeep.sessions"}'] == 1


async def test_nothing_of_anybody_is_in_them(make_house: MakeHouse) -> None:
    house = await make_house(metrics=True, metrics_token=SecretStr(TOKEN))
    ada = await house.register("ada.zq7canary@example.com", PASSWORD, username="ada_l", name="Ada")
    text = (await house.client.get("/metrics", headers=BEARER)).text
    assert not [word for word in ("zq7canary", "example.com", "ada", "198.51.100", ada.id) if word in text.lower()]


async def test_they_cost_two_statements_however_many_mails_there_are(make_house: MakeHouse) -> None:
    house = await make_house(metrics=True)
    with house.statements() as seen:
        await house.client.get("/metrics")
    assert len([statement for statement in seen if "propusk_mails" in statement or "propusk_jobs" in statement]) == 2
