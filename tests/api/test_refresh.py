"""Refresh: one lineage of tokens, never two; a used token that comes back ends its session."""

import asyncio
import string
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from propusk.context import Context
from propusk.crypto.secrets import SecretKeys
from propusk.errors import AccountDisabled, AuthError, InvalidAccessToken, InvalidCredentials, InvalidRefreshToken
from propusk.features.password.change import set_password
from propusk.login.complete import complete_login
from propusk.sessions import queries
from propusk.sessions.end import end_all_sessions, log_out
from propusk.tokens.keys import UnknownSecretKey, check_secret_keys
from propusk.tokens.refresh import _advance, refresh_session
from propusk.users.change import change_user
from propusk.users.delete import delete_user
from propusk.users.models import User
from propusk.users.queries import find_user
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, SECRET_KEY, House, Person

NEWER = "zq7canary-newer-" + "n" * 32


async def code(answer: Any) -> str:
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    found: str = answer.json()["code"]
    return found


async def session_row(person: Person) -> dict[str, Any]:
    rows = await person.house.rows("sessions", user_id=UUID(person.id))
    return next(dict(row) for row in rows if str(row["id"]) == person.tokens["session_id"])


async def thefts(house: House) -> int:
    return len(await house.rows("audit_events", kind="refresh_token_reuse_detected"))


async def test_a_refresh_hands_out_new_tokens_of_the_same_session(house: House) -> None:
    ada = await house.register()
    old = ada.tokens
    house.clock.tick(minutes=9)
    answer = await ada.refresh()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json().keys() == old.keys()
    assert ada.tokens["session_id"] == old["session_id"]
    assert ada.tokens["refresh_token"] != old["refresh_token"]
    assert ada.tokens["access_token"] != old["access_token"]
    assert (ada.tokens["expires_in"], ada.tokens["refresh_expires_in"]) == (600, 30 * 86400)
    assert await ada.is_in()


async def test_a_refresh_leaves_the_older_access_token_valid_until_it_expires(house: House) -> None:
    ada = await house.register()
    old = dict(ada.tokens)
    await ada.refresh()
    ada.tokens["access_token"], new = old["access_token"], ada.tokens["access_token"]
    assert await ada.is_in()
    house.clock.tick(minutes=10)
    assert not await ada.is_in()
    ada.tokens["access_token"] = new
    assert not await ada.is_in()


async def test_t20_within_the_grace_the_parent_gets_the_same_successor(house: House) -> None:
    ada = await house.register()
    parent = ada.tokens["refresh_token"]
    await ada.refresh()
    for _ in range(3):
        house.clock.tick(seconds=3)
        again = await ada.refresh(parent)
        assert again.json()["refresh_token"] == ada.tokens["refresh_token"]
        assert again.json()["session_id"] == ada.tokens["session_id"]
    assert (await session_row(ada))["refresh_counter"] == 1


async def test_t20_the_grace_counts_from_the_first_use_and_replays_do_not_renew_it(house: House) -> None:
    ada = await house.register()
    parent = ada.tokens["refresh_token"]
    await ada.refresh()
    house.clock.tick(seconds=10)
    assert (await ada.refresh(parent)).status_code == 200
    house.clock.tick(seconds=1)
    assert await code(await ada.refresh(parent)) == "refresh_token_reused"
    assert not await ada.is_in()
    assert await code(await ada.refresh()) == "invalid_refresh_token"
    assert await thefts(house) == 1


async def test_t20_the_grandparent_ends_the_session_even_within_the_grace(house: House) -> None:
    ada = await house.register()
    grandparent = ada.tokens["refresh_token"]
    await ada.refresh()
    await ada.refresh()
    assert await code(await ada.refresh(grandparent)) == "refresh_token_reused"
    assert not await ada.is_in()


async def test_t20_without_a_grace_a_token_works_once(make_house: MakeHouse) -> None:
    house = await make_house(refresh_grace=timedelta(0))
    ada = await house.register()
    parent = ada.tokens["refresh_token"]
    await ada.refresh()
    house.clock.tick(microseconds=1)
    assert await code(await ada.refresh(parent)) == "refresh_token_reused"


async def test_t20_a_clock_that_is_set_back_does_not_lengthen_the_grace(house: House) -> None:
    ada = await house.register()
    parent = ada.tokens["refresh_token"]
    house.clock.tick(hours=1)
    await ada.refresh()
    house.clock.tick(seconds=-10)
    assert (await ada.refresh(parent)).status_code == 200
    house.clock.tick(minutes=-50)
    assert await code(await ada.refresh(parent)) == "refresh_token_reused"
    assert not await ada.is_in()


async def test_t20_thirty_two_refreshes_at_once_have_one_successor(house: House) -> None:
    ada = await house.register()
    answers = await asyncio.gather(*(ada.refresh(ada.tokens["refresh_token"]) for _ in range(32)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert {answer.json()["session_id"] for answer in answers} == {ada.tokens["session_id"]}
    row = await session_row(ada)
    assert (row["refresh_counter"], row["ended_at"]) == (1, None)
    for answer in answers:
        ada.tokens = answer.json()
        assert await ada.is_in()
    assert await thefts(house) == 0


@pytest.mark.parametrize("thief_first", [True, False])
async def test_t21_a_stolen_token_ends_its_session_whoever_comes_second(house: House, thief_first: bool) -> None:
    ada = await house.register()
    phone = await ada.log_in()
    stolen = ada.tokens["refresh_token"]
    thief = Person(house, ada.id, ada.email, ada.password, house.new_client("203.0.113.66"))
    first, second = (thief, ada) if thief_first else (ada, thief)

    won = await first.refresh(stolen)
    assert won.status_code == 200
    first.tokens = won.json()
    house.clock.tick(minutes=1)
    assert await code(await second.refresh(stolen)) == "refresh_token_reused"

    for person in (first, ada):
        assert not await person.is_in()
    assert await code(await first.refresh()) == "invalid_refresh_token"
    assert await phone.is_in()
    assert (await phone.refresh()).status_code == 200


async def test_t21_fifty_replays_are_one_incident(house: House) -> None:
    ada = await house.register()
    stolen = ada.tokens["refresh_token"]
    await ada.refresh()
    house.clock.tick(minutes=1)
    codes = [await code(await ada.refresh(stolen)) for _ in range(50)]
    assert codes == ["refresh_token_reused"] + ["invalid_refresh_token"] * 49
    assert await thefts(house) == 1


async def test_t21_replays_at_once_are_one_incident(house: House) -> None:
    ada = await house.register()
    stolen = ada.tokens["refresh_token"]
    await ada.refresh()
    house.clock.tick(minutes=1)
    answers = await asyncio.gather(*(ada.refresh(stolen) for _ in range(16)))
    codes = [await code(answer) for answer in answers]
    assert sorted(codes) == ["invalid_refresh_token"] * 15 + ["refresh_token_reused"]
    assert await thefts(house) == 1


async def test_t22_a_lost_answer_costs_nothing_within_the_grace_and_the_session_after_it(house: House) -> None:
    ada = await house.register()
    before = dict(ada.tokens)
    lost = await ada.refresh(before["refresh_token"])
    house.clock.tick(seconds=5)
    retried = await ada.refresh(before["refresh_token"])
    assert retried.json()["refresh_token"] == lost.json()["refresh_token"]

    ada.tokens = retried.json()
    await ada.refresh(ada.tokens["refresh_token"])  # this answer is lost, too
    house.clock.tick(seconds=11)
    assert await code(await ada.refresh()) == "refresh_token_reused"
    assert (await house.rows("sessions"))[0]["ended_at"] is not None


async def test_t19_no_edit_of_a_refresh_token_is_accepted_and_none_changes_anything(house: House) -> None:
    ada = await house.register()
    token: str = ada.tokens["refresh_token"]
    before = await session_row(ada)
    letters = string.ascii_letters + string.digits + "-_"
    edits = [token[:at] + letters[(letters.index(token[at]) + 1) % 64] + token[at + 1 :] for at in range(len(token))]
    edits += [token[:at] + token[at + 1 :] for at in range(0, len(token), 3)]
    edits += [token[:at] + "A" + token[at:] for at in range(0, len(token) + 1, 3)]
    edits += [token + "=", token + " ", " " + token, token + "\n", token.swapcase(), token[5:], "", token * 20]
    edits += [token.replace("_", "%5F"), ada.tokens["access_token"]]
    for edit in edits:
        for path in ("/auth/refresh", "/auth/logout"):
            answer = await ada.client.post(path, json={"refresh_token": edit})
            assert await code(answer) == "invalid_refresh_token", edit
    assert await session_row(ada) == before
    assert await thefts(house) == 0
    assert (await ada.refresh()).status_code == 200


async def test_t19_the_database_holds_no_token(house: House) -> None:
    ada = await house.register()
    await ada.refresh()
    seen = repr([await house.rows(table) for table in ("users", "sessions", "audit_events", "counters", "secret_keys")])
    for token in (ada.tokens["refresh_token"], ada.tokens["access_token"], SECRET_KEY):
        assert token not in seen
        assert token[5:40] not in seen


# T29: ends of sessions


async def test_t29_an_unused_session_ends_at_its_idle_end(house: House) -> None:
    ada = await house.register()
    house.clock.tick(days=30, microseconds=-1)
    assert (await ada.refresh()).status_code == 200
    house.clock.tick(days=30)
    assert await code(await ada.refresh()) == "invalid_refresh_token"
    assert await code(await ada.client.post("/auth/logout", json={"refresh_token": ada.tokens["refresh_token"]}))
    assert await thefts(house) == 0


async def test_t29_no_refresh_carries_a_session_past_its_absolute_end(house: House) -> None:
    ada = await house.register()
    for _ in range(6):
        house.clock.tick(days=29, hours=23)
        assert (await ada.refresh()).status_code == 200
    left = ada.tokens["refresh_expires_in"]
    assert left == 6 * 3600
    house.clock.tick(seconds=left - 60)
    assert (await ada.refresh()).status_code == 200
    assert (ada.tokens["expires_in"], ada.tokens["refresh_expires_in"]) == (60, 60)
    house.clock.tick(seconds=60)
    assert not await ada.is_in()
    assert await code(await ada.refresh()) == "invalid_refresh_token"


async def test_t29_an_access_token_does_not_outlive_its_session(make_house: MakeHouse) -> None:
    house = await make_house(
        access_token_ttl=timedelta(hours=2), refresh_token_ttl=timedelta(hours=1), session_max_age=timedelta(hours=1)
    )
    ada = await house.register()
    assert (ada.tokens["expires_in"], ada.tokens["refresh_expires_in"]) == (3600, 3600)
    house.clock.tick(hours=1, microseconds=-1)
    assert ada.tokens["expires_in"] == 3600
    house.clock.tick(microseconds=1)
    assert not await ada.is_in()


async def test_t29_a_shorter_setting_does_not_lengthen_and_no_row_is_needed_to_end_a_session(house: House) -> None:
    ada = await house.register()
    house.clock.tick(days=31)
    assert not await ada.is_in()
    assert (await session_row(ada))["ended_at"] is None  # nobody had to clean up
    assert (await (await ada.log_in()).get("/auth/sessions")).json()["items"][0]["current"] is True


# T25: what is in flight while the password changes


async def both(house: House) -> tuple[Any, Any]:
    """Two transactions of two requests, interleaved by hand."""
    return house.auth.sessions(), house.auth.sessions()


async def test_t25_a_refresh_in_flight_does_not_survive_the_end_of_all_sessions(house: House) -> None:
    ada = await house.register()
    keys = await house.auth.keys.current()
    one, two = await both(house)
    async with one, two:
        refreshing, ending = house.auth.lend(one, keys), house.auth.lend(two, keys)
        user = await _user(ending, ada)
        # The refresh has read a living session; then everything of the user ends; then the refresh writes.
        found = await queries.find_session(refreshing, UUID(ada.tokens["session_id"]))
        assert found is not None
        await one.commit()
        await end_all_sessions(ending, user_id=user.id, actor_id=None)
        await two.commit()
        advanced = await _advance(refreshing, found[0])
        await one.commit()
        assert advanced is not None
        with pytest.raises(InvalidRefreshToken):
            await refresh_session(ending, token=ada.tokens["refresh_token"])
    assert not await ada.is_in()


async def _user(ctx: Context, person: Person) -> User:
    found = await find_user(ctx, UUID(person.id))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("meanwhile", "refusal"),
    [
        ("password", InvalidCredentials),
        ("sessions", InvalidCredentials),
        ("deletion", InvalidCredentials),
        ("deactivation", AccountDisabled),
    ],
)
@pytest.mark.parametrize("committed", [True, False], ids=["committed", "waited for"])
async def test_t25_a_login_in_flight_is_refused_when_all_sessions_end_meanwhile(
    house: House, meanwhile: str, refusal: type[AuthError], committed: bool
) -> None:
    ada = await house.register()
    keys = await house.auth.keys.current()
    one, two = await both(house)
    async with one, two:
        logging_in, changing = house.auth.lend(one, keys), house.auth.lend(two, keys)
        user = await _user(logging_in, ada)
        await one.commit()  # as `release` does before hashing
        await _end_everything(changing, user, meanwhile)
        if committed:
            await two.commit()
        login = asyncio.create_task(complete_login(logging_in, user, methods=("pwd",)))
        if not committed:
            assert await asyncio.wait([login], timeout=0.3) == (set(), {login}), "it waits for who was first"
            await two.commit()
        with pytest.raises(refusal):
            await login
        await one.commit()
    assert [str(row["id"]) for row in await house.rows("sessions")] in ([ada.tokens["session_id"]], [])
    assert len(await house.rows("audit_events", kind="logged_in")) == 1
    assert [row["detail"] for row in await house.rows("audit_events", kind="login_failed")] == [refusal.code]


async def _end_everything(ctx: Context, user: User, how: str) -> None:
    match how:
        case "password":
            await set_password(ctx, user=user, password="zq7canary new horse", actor_id=None)
        case "sessions":
            await end_all_sessions(ctx, user_id=user.id, actor_id=None)
        case "deletion":
            await delete_user(ctx, user_id=user.id, actor_id=None)
        case _:
            await change_user(ctx, user_id=user.id, changes={"is_active": False}, actor_id=None)


async def test_t25_a_login_that_was_first_is_dead_after_the_password_change(house: House) -> None:
    ada = await house.register()
    keys = await house.auth.keys.current()
    one, two = await both(house)
    async with one, two:
        logging_in, changing = house.auth.lend(one, keys), house.auth.lend(two, keys)
        user = await _user(logging_in, ada)
        await one.commit()
        pair = await complete_login(logging_in, user, methods=("pwd",))
        change = asyncio.create_task(set_password(changing, user=user, password="zq7canary new horse", actor_id=None))
        assert await asyncio.wait([change], timeout=0.3) == (set(), {change}), "it waits for who was first"
        await one.commit()
        await change
        await two.commit()
    late = Person(house, ada.id, ada.email, PASSWORD, house.new_client(), {"access_token": pair.access_token})
    assert not await late.is_in()
    assert await code(await late.refresh(pair.refresh_token)) == "invalid_refresh_token"


async def test_t25_refreshes_and_a_password_change_at_once_leave_nobody_else_in(house: House) -> None:
    ada = await house.register()
    others = [await ada.log_in() for _ in range(6)]
    change = {"current_password": PASSWORD, "new_password": "zq7canary new horse"}
    answers = await asyncio.gather(
        *(other.refresh() for other in others[:3]),
        ada.post("/users/me/password", change),
        *(other.refresh() for other in others[3:]),
        house.client.post("/auth/login", json={"login": ada.email, "password": PASSWORD}),
    )
    assert answers[3].status_code == 204
    assert {answer.status_code for answer in answers} <= {200, 204, 401}
    late = answers[-1]
    if late.status_code == 200:
        others.append(Person(house, ada.id, ada.email, PASSWORD, house.new_client(), late.json()))
    for other in others:
        assert not await other.is_in()
        assert (await other.refresh()).status_code == 401
    assert await ada.is_in()
    assert (await ada.refresh()).status_code == 200


async def test_t25_the_session_that_changes_the_password_dies_with_a_logout_in_between(house: House) -> None:
    ada = await house.register()
    keys = await house.auth.keys.current()
    one, two = await both(house)
    session_id, user_id = UUID(ada.tokens["session_id"]), UUID(ada.id)
    async with one, two:
        leaving, changing = house.auth.lend(one, keys), house.auth.lend(two, keys)
        assert await log_out(leaving, session_id=session_id, user_id=user_id)
        await one.commit()
        with pytest.raises(InvalidAccessToken):
            await end_all_sessions(changing, user_id=user_id, actor_id=user_id, keep=session_id)
        await two.rollback()


# secret keys


async def test_t57_old_and_new_secret_keys_both_accept(make_house: MakeHouse) -> None:
    old = await make_house()
    ada = await old.register()
    new = await make_house(secret_key=[SecretStr(NEWER), SecretStr(SECRET_KEY)], clock=old.clock)
    answer = await new.client.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    assert answer.status_code == 200
    alone = await make_house(secret_key=[SecretStr(NEWER)], clock=old.clock)
    again = await alone.client.post("/auth/refresh", json={"refresh_token": answer.json()["refresh_token"]})
    assert again.status_code == 200, "the successor was made with the newest key"


async def test_t20_houses_with_other_newest_keys_compute_the_same_successor(make_house: MakeHouse) -> None:
    one = await make_house(secret_key=[SecretStr(SECRET_KEY), SecretStr(NEWER)])
    two = await make_house(secret_key=[SecretStr(NEWER), SecretStr(SECRET_KEY)], clock=one.clock)
    for first, second in ((one, two), (two, one)):
        ada = await first.log_in((await first.register(f"ada{id(first)}@example.com")).email)
        body = {"refresh_token": ada.tokens["refresh_token"]}
        answers = await asyncio.gather(
            *(house.client.post("/auth/refresh", json=body) for house in [first, second] * 8)
        )
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1


async def test_t57_a_house_whose_secret_key_nobody_knows_does_not_start(make_house: MakeHouse) -> None:
    await make_house()
    with pytest.raises(UnknownSecretKey, match="PROPUSK_SECRET_KEY"):
        await make_house(secret_key=[SecretStr(NEWER)])


async def test_t57_a_secret_key_is_known_from_the_first_start_with_it(house: House) -> None:
    both_keys = SecretKeys.of([NEWER, SECRET_KEY])

    async def check(ctx: Context) -> None:
        await check_secret_keys(replace(ctx, keyring=replace(ctx.keyring, secrets=both_keys)))

    await house.do(check)
    await house.do(check)
    fingerprints = {row["fingerprint"] for row in await house.rows("secret_keys")}
    assert fingerprints == {key.fingerprint for key in both_keys.keys}


@pytest.mark.parametrize("body", [{}, {"refresh_token": None}, None])
async def test_a_refresh_without_a_token_is_a_401(house: House, body: Any) -> None:
    answer = await house.client.post("/auth/refresh", json=body)
    assert await code(answer) == "invalid_refresh_token"


@pytest.mark.parametrize("body", [{"refresh_token": 1}, {"refresh_token": "x", "more": 1}, [], "x"])
async def test_a_refresh_with_a_wrong_body_is_a_422(house: House, body: Any) -> None:
    assert (await house.client.post("/auth/refresh", json=body)).status_code == 422


async def test_a_body_of_null_is_none(house: House) -> None:
    headers = {"Content-Type": "application/json"}
    assert (
        await code(await house.client.post("/auth/refresh", content=b"null", headers=headers))
        == "invalid_refresh_token"
    )
