"""What the installation removes by itself, when, and what it must leave; and the change of its own keys."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, MetaData, Table, insert, update

from propusk.context import Context
from propusk.crypto.keyfiles import SIGNING_KEY_FILE
from propusk.crypto.keyring import PrivateKey, generate_key, parse_keys
from propusk.db.dialect import changed
from propusk.db.types import Id
from propusk.events import UserDeleted
from propusk.jobs.lease import run_if_due
from propusk.jobs.queries import list_jobs
from propusk.jobs.upkeep import BATCH, FEW, KEY_AGE, rotate_old_key
from propusk.mail.models import Mail, MailState
from propusk.mail.queries import insert_mail
from propusk.one_time.issue import issue
from propusk.one_time.models import Purpose
from propusk.registry import Subscriber
from propusk.settings import Algorithm
from propusk.store import Hit
from propusk.tokens.queries import publish_key
from tests.conftest import MakeHouse
from tests.kit import House

DAY = timedelta(days=1)


async def keep_up(house: House, name: str) -> None:
    """Run one of our jobs, as often as it has more to do, as if it were due."""
    job = next(job for job in house.auth.worker.periodic if job.name == name)
    while await house.do(job.run):
        continue


def hits(count: int, *, kind: str = "test") -> list[Hit]:
    from propusk.setting_types import Limit

    return [Hit(kind, f"zq7canary-{n}", Limit(10, timedelta(minutes=15))) for n in range(count)]


async def test_every_job_of_ours_runs_well(make_house: MakeHouse) -> None:
    house = await make_house(unverified_user_ttl=DAY, signing_key_file=None)
    await house.auth.worker.run_due()
    found = {state.name: (state.runs, state.error) for state in await house.do(list_jobs)}
    names = ("counters", "jobs", "keys", "mails", "sessions", "tokens", "users")
    assert found == {f"upkeep.{name}": (1, None) for name in names}


async def test_t53_counters_go_with_their_window(house: House) -> None:
    await house.auth.store.hit(hits(3), now=house.clock())
    house.clock.tick(minutes=10)
    await house.auth.store.hit(hits(1), now=house.clock())
    await house.auth.store.hit(hits(2, kind="later"), now=house.clock())

    await keep_up(house, "upkeep.counters")
    assert len(await house.rows("counters")) == 5
    house.clock.tick(minutes=5)
    await keep_up(house, "upkeep.counters")
    assert len(await house.rows("counters")) == 2
    house.clock.tick(minutes=10)
    await keep_up(house, "upkeep.counters")
    assert await house.rows("counters") == []


async def test_t53_however_many_keys_were_forged_their_counters_go_in_batches(house: House) -> None:
    for start in range(0, 2 * BATCH + 100, 100):
        await house.auth.store.hit(hits(start + 100)[start:], now=house.clock())
    house.clock.tick(minutes=15)

    job = next(job for job in house.auth.worker.periodic if job.name == "upkeep.counters")
    assert await house.do(job.run) is True
    assert len(await house.rows("counters")) == BATCH + 100
    await keep_up(house, "upkeep.counters")
    assert await house.rows("counters") == []


async def test_a_counter_that_began_anew_meanwhile_stays(house: House) -> None:
    """The batch is chosen first; what is counted again before it goes has a window of its own."""
    await house.auth.store.hit(hits(1), now=house.clock())
    house.clock.tick(minutes=15)
    await house.auth.store.hit(hits(1), now=house.clock())
    await keep_up(house, "upkeep.counters")
    assert [row["count"] for row in await house.rows("counters")] == [1]


async def test_sessions_go_once_their_network_is_forgotten(house: House) -> None:
    ada = await house.register()
    house.clock.tick(days=29)
    await ada.log_in()
    house.clock.tick(days=31)
    await keep_up(house, "upkeep.sessions")
    assert len(await house.rows("sessions")) == 2, "idle for 30 days, then remembered for 30 more"
    house.clock.tick(seconds=1)
    await keep_up(house, "upkeep.sessions")
    assert len(await house.rows("sessions")) == 1
    assert len(await house.rows("users")) == 1


async def test_a_refresh_token_of_a_session_that_is_gone_is_refused_like_any_other(house: House) -> None:
    ada = await house.register()
    house.clock.tick(days=61)
    await keep_up(house, "upkeep.sessions")
    answer = await ada.refresh()
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")


async def test_single_use_tokens_go_a_week_after_they_expired(house: House) -> None:
    ttl = timedelta(hours=1)
    await house.do(lambda ctx: issue(ctx, Purpose.RESET, email_key="ada@example.com", ttl=ttl))
    house.clock.tick(days=7, hours=1)
    await keep_up(house, "upkeep.tokens")
    assert len(await house.rows("one_time_tokens")) == 1
    house.clock.tick(seconds=1)
    await keep_up(house, "upkeep.tokens")
    assert await house.rows("one_time_tokens") == []


async def put_mail(house: House, state: MailState) -> None:
    now = house.clock()

    async def put(ctx: Context) -> None:
        over = now if state is not MailState.QUEUED else None
        from propusk.crypto.secrets import new_id

        await insert_mail(
            ctx, Mail(new_id(now, ctx.entropy), "test", None, {}, None, state, now, now, 1, None, over, None)
        )

    await house.do(put)


async def test_mails_that_are_over_go_after_a_week_failed_ones_after_a_month_and_no_other(house: House) -> None:
    for state in MailState:
        await put_mail(house, state)

    async def left(**span: float) -> set[str]:
        house.clock.tick(**span)
        await keep_up(house, "upkeep.mails")
        return {row["state"] for row in await house.rows("mails")}

    assert await left(days=7) == {"queued", "sent", "skipped", "failed"}
    assert await left(seconds=1) == {"queued", "failed"}
    assert await left(days=23) == {"queued"}
    assert await left(days=365) == {"queued"}


async def set_user(house: House, user_id: str, **values: Any) -> None:
    from uuid import UUID

    users = house.auth.tables.users
    await house.do(lambda ctx: changed(ctx.db, update(users).where(users.c.id == UUID(user_id)).values(**values)))


async def emails(house: House) -> set[str]:
    return {row["email"] for row in await house.rows("users")}


async def test_t53_who_never_verified_goes_in_time_and_nobody_else_does(make_house: MakeHouse) -> None:
    house = await make_house(unverified_user_ttl=2 * DAY)
    root = await house.superuser()
    await set_user(house, root.id, is_verified=False)
    verified = await house.register("verified@example.com")
    await set_user(house, verified.id, is_verified=True)
    await house.register("never@example.com")
    house.clock.tick(days=1)
    await house.register("later@example.com")
    house.clock.tick(days=1, seconds=1)

    await keep_up(house, "upkeep.users")

    assert await emails(house) == {"root@example.com", "verified@example.com", "later@example.com"}
    gone = await house.rows("audit_events", kind="user_deleted")
    assert [(row["actor_id"], row["outcome"]) for row in gone] == [(None, "success")]


async def test_who_was_changed_since_is_waited_for_anew(make_house: MakeHouse) -> None:
    house = await make_house(unverified_user_ttl=2 * DAY)
    ada = await house.register()
    house.clock.tick(days=2)
    assert (await ada.refresh()).status_code == 200
    assert (await ada.patch("/users/me", {"name": "Ada"})).status_code == 200
    house.clock.tick(days=1)
    await keep_up(house, "upkeep.users")
    assert await emails(house) == {"ada@example.com"}
    house.clock.tick(days=1, seconds=1)
    await keep_up(house, "upkeep.users")
    assert await emails(house) == set()


async def test_without_the_setting_nobody_goes(house: House) -> None:
    await house.register()
    house.clock.tick(days=3650)
    await house.auth.worker.run_due()
    assert await emails(house) == {"ada@example.com"}


async def test_users_that_the_hosts_rows_hold_on_to_stay_and_keep_no_other_from_going(make_house: MakeHouse) -> None:
    house = await make_house(unverified_user_ttl=DAY)
    users = house.auth.tables.users
    orders = Table(
        "orders_of_a_host",
        MetaData(),
        Column("user_id", Id, ForeignKey(users.c.id), primary_key=True),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    count = FEW + 5
    for n in range(count):
        await house.register(f"user{n}@example.com")
        house.clock.tick(seconds=1)
    held = [row["id"] for row in await house.rows("users") if row["email"] != f"user{count - 1}@example.com"]
    async with house.auth.engine.begin() as connection:
        await connection.run_sync(orders.create)
        await connection.execute(insert(orders), [{"user_id": each} for each in held])
    try:
        house.clock.tick(days=2)
        await keep_up(house, "upkeep.users")
        assert {row["id"] for row in await house.rows("users")} == set(held)
    finally:
        async with house.auth.engine.begin() as connection:
            await connection.run_sync(orders.drop)


def subscribe(house: House, handle: Callable[[Context, UserDeleted], Awaitable[None]]) -> None:
    """Let a host hear of every user that is deleted."""
    registry = house.auth.registry
    house.auth.registry = replace(registry, subscribers=(*registry.subscribers, Subscriber(UserDeleted, handle)))


async def test_one_whose_removal_fails_keeps_no_other_from_going(
    make_house: MakeHouse, caplog: pytest.LogCaptureFixture
) -> None:
    house = await make_house(unverified_user_ttl=DAY)
    for n in range(3):
        await house.register(f"user{n}@example.com")
        house.clock.tick(seconds=1)
    poor = next(row["id"] for row in await house.rows("users") if row["email"] == "user1@example.com")

    async def fail(ctx: Context, event: UserDeleted) -> None:
        if event.user_id == poor:
            raise RuntimeError("zq7canary")

    subscribe(house, fail)
    house.clock.tick(days=2)
    await house.auth.worker.run_due()

    assert await emails(house) == {"user1@example.com"}
    assert [record.args for record in caplog.records if "could not be removed" in record.message] == [(poor,)]
    assert len(await house.rows("audit_events", kind="user_deleted")) == 2
    states = {state.name: state.error for state in await house.do(list_jobs)}
    assert states["upkeep.users"] is None


async def test_who_could_not_be_removed_is_tried_again_the_next_time_round(make_house: MakeHouse) -> None:
    house = await make_house(unverified_user_ttl=DAY)
    await house.register()
    tried: list[int] = []

    async def fail_once(ctx: Context, event: UserDeleted) -> None:
        tried.append(1)
        if len(tried) == 1:
            raise RuntimeError("zq7canary")

    subscribe(house, fail_once)
    house.clock.tick(days=2)
    await keep_up(house, "upkeep.users")
    assert len(await emails(house)) == 1
    await keep_up(house, "upkeep.users")
    assert await emails(house) == set()


async def test_jobs_that_no_process_has_any_more_are_forgotten_in_a_month(house: House) -> None:
    async def nothing(_ctx: Context) -> None:
        return None

    house.auth.every(seconds=10, name="bygone")(nothing)
    await house.auth.worker.run_due()
    job = house.auth.worker.periodic
    house.clock.tick(days=31)
    for each in job:
        if each.name != "bygone":
            states = {state.name: state for state in await house.do(list_jobs)}
            await run_if_due(house.auth.transaction, each, states[each.name])
    names = {state.name for state in await house.do(list_jobs)}
    assert "upkeep.jobs" in names
    assert "bygone" not in names


def key_file(house: House) -> Path:
    return house.auth.settings.data_dir / SIGNING_KEY_FILE


def keys_of(house: House) -> tuple[PrivateKey, ...]:
    return parse_keys(key_file(house).read_bytes())


async def test_t57_a_generated_key_is_changed_after_90_days_and_nobody_is_logged_out(make_house: MakeHouse) -> None:
    house = await make_house(signing_key_file=None)
    first = keys_of(house)
    house.clock.tick(days=89)
    await keep_up(house, "upkeep.keys")
    assert keys_of(house) == first

    house.clock.tick(days=1)
    ada = await house.register()
    await keep_up(house, "upkeep.keys")

    new, *rest = keys_of(house)
    assert tuple(rest) == first
    retired = {row["kid"]: row["retired_at"] for row in await house.rows("signing_keys")}
    assert retired[new.kid] is None
    assert retired[first[0].kid] is not None
    await house.auth.keys.load()
    assert await ada.is_in()
    await keep_up(house, "upkeep.keys")
    assert keys_of(house) == (new, *first), "and not again"
    house.clock.tick(minutes=10)
    await house.auth.keys.load()
    later = await house.log_in("ada@example.com")
    assert await later.is_in()
    assert [row["detail"] for row in await house.rows("audit_events", kind="key_rotated")] == [new.kid]


async def test_t57_keys_that_an_operator_gave_are_left_alone(house: House, signing_key_file: Path) -> None:
    before = signing_key_file.read_bytes()
    assert "upkeep.keys" not in {job.name for job in house.auth.worker.periodic}
    house.clock.tick(days=400)
    await house.do(rotate_old_key)
    assert signing_key_file.read_bytes() == before


async def test_t57_a_key_of_another_node_that_we_do_not_have_keeps_us_from_changing_ours(make_house: MakeHouse) -> None:
    house = await make_house(signing_key_file=None)
    theirs = generate_key(Algorithm.EDDSA)
    signing_keys = house.auth.tables.signing_keys
    await house.do(lambda ctx: publish_key(ctx.db, signing_keys, theirs, ctx.now))
    first = keys_of(house)
    house.clock.tick(days=2 * KEY_AGE.days)
    await keep_up(house, "upkeep.keys")
    assert keys_of(house) == first


async def test_with_hs256_there_is_no_key_to_change(make_house: MakeHouse) -> None:
    house = await make_house(signing_key_file=None, token_algorithm=Algorithm.HS256)
    house.clock.tick(days=400)
    await keep_up(house, "upkeep.keys")
    assert not key_file(house).exists()


@pytest.mark.parametrize("seconds", [0, 0.5, -1])
async def test_a_rhythm_under_a_second_is_refused(house: House, seconds: float) -> None:
    async def nothing(_ctx: Context) -> None:
        return None

    with pytest.raises(ValueError, match="once a second at most"):
        house.auth.every(seconds=seconds)(nothing)


async def test_a_hosts_function_is_run_in_its_rhythm_under_its_own_name(house: House) -> None:
    seen: list[Any] = []

    @house.auth.every(minutes=1, seconds=30)
    async def tidy(ctx: Context) -> None:
        seen.append(ctx.now)

    for _ in range(4):
        await house.auth.worker.run_due()
        house.clock.tick(seconds=45)
    assert len(seen) == 2
    name = f"{__name__}.{tidy.__qualname__}"
    assert name in {state.name for state in await house.do(list_jobs)}
    with pytest.raises(ValueError, match="one name"):
        house.auth.every(hours=1)(tidy)
    with pytest.raises(ValueError, match="1 to 100"):
        house.auth.every(hours=1, name="x" * 101)(tidy)
    with pytest.raises(TypeError, match="async"):
        house.auth.every(hours=1)(lambda _ctx: None)  # type: ignore[type-var]
