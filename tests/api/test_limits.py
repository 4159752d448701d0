"""How often one may try: what is counted, for whom, and who is never locked out."""

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from propusk.settings import PasswordSettings
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, limits, of_requests, until

WRONG = "zq7canary wrong horse"


async def attempt(client: httpx.AsyncClient, name: str, password: str = WRONG, **options: Any) -> int:
    answer = await client.post("/auth/login", json={"login": name, "password": password}, **options)
    return answer.status_code


async def test_t04_a_burst_cannot_outrun_the_limit(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="10/15m"))
    await house.register()
    clients = [house.new_client("203.0.113.9") for _ in range(100)]
    before = house.auth.passwords.calls

    wrong = [attempt(client, "ada@example.com") for client in clients[:-1]]
    answers = await asyncio.gather(*wrong, attempt(clients[-1], "ada@example.com", PASSWORD))

    assert house.auth.passwords.calls - before == 10
    # Some find no place in the queue of hashes, and are not even counted.
    assert answers.count(401) == 10
    assert set(answers) <= {401, 429, 503}


async def test_t04_a_burst_over_many_names_cannot_outrun_the_limit_of_its_network(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_network="20/15m"))
    before = house.auth.passwords.calls

    answers = await asyncio.gather(*(attempt(house.client, f"user{n}@example.com") for n in range(60)))

    assert house.auth.passwords.calls - before == 20
    assert sorted(answers) == [401] * 20 + [429] * 40


async def test_t03_guesses_at_one_account_from_many_networks_are_bounded(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_account="5/1d"))
    await house.register()
    before = house.auth.passwords.calls

    answers = [await attempt(house.new_client(f"203.0.113.{n}"), "ada@example.com") for n in range(12)]

    assert answers == [401] * 5 + [429] * 7
    assert house.auth.passwords.calls - before == 5


async def test_t03_the_owner_gets_in_from_home_while_strangers_attack(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_account="5/1d", login_pair="3/15m"))
    ada = await house.register()
    for n in range(12):
        await attempt(house.new_client(f"203.0.113.{n}"), "ada@example.com")

    assert await attempt(house.new_client("192.0.2.1"), "ada@example.com", PASSWORD) == 429
    assert await attempt(house.new_client(), "ada@example.com", PASSWORD) == 200
    assert await ada.is_in()
    assert (await ada.refresh()).status_code == 200


async def test_t03_the_owner_gets_in_by_the_reset_mail_while_strangers_attack(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_account="4/1d"))
    await house.register("ada@example.com", username="ada")
    names = ["ada@example.com"] * 6 + ["ada"] * 6
    for n, name in enumerate(names):
        await attempt(house.new_client(f"203.0.113.{n}"), name)
    away = house.new_client("192.0.2.1")
    assert await attempt(away, "ada@example.com", PASSWORD) == 429

    await away.post("/auth/forgot-password", json={"email": "ada@example.com"})
    texts = [mail.text for mail in await house.mails("ada@example.com")]
    [token] = re.findall(r"/reset-password\?token=(\S+)", "\n".join(texts))
    new = "zq7canary new horse"
    answer = await away.post("/auth/reset-password", json={"token": token, "password": new})
    assert answer.status_code == 204
    assert await attempt(house.new_client("192.0.2.2"), "ada@example.com", new) == 429, "others learn nothing of it"
    assert [await attempt(away, name, new) for name in ("ada@example.com", "ada")] == [200, 200]


async def test_t03_a_network_is_home_for_thirty_days(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_account="1/1d"))
    await house.register()

    for days, status in ((29, 200), (31, 429)):
        house.clock.tick(days=days)
        await attempt(house.new_client("203.0.113.9"), "ada@example.com")
        assert await attempt(house.new_client(), "ada@example.com", PASSWORD) == status


async def test_t03_attempts_that_one_limit_refuses_do_not_use_up_another(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="2/15m", login_account="5/1d"))
    await house.register()
    stranger = house.new_client("203.0.113.9")

    assert [await attempt(stranger, "ada@example.com") for _ in range(20)] == [401] * 2 + [429] * 18

    assert await attempt(house.new_client("192.0.2.1"), "ada@example.com", PASSWORD) == 200


async def test_retry_after_says_when(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="1/15m"))
    await house.register()
    await attempt(house.client, "ada@example.com")
    house.clock.tick(seconds=100.5)

    answer = await house.client.post("/auth/login", json={"login": "ada@example.com", "password": PASSWORD})

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    assert answer.headers["retry-after"] == "800"
    assert answer.headers["cache-control"] == "no-store"
    house.clock.tick(seconds=799)
    assert await attempt(house.client, "ada@example.com", PASSWORD) == 429
    house.clock.tick(seconds=1)
    assert await attempt(house.client, "ada@example.com", PASSWORD) == 200


async def test_attempts_of_a_clock_that_was_ahead_keep_nobody_out_when_it_is_set_right(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="2/15m"))
    await house.register()
    house.clock.tick(days=365)
    assert [await attempt(house.client, "ada@example.com") for _ in range(3)] == [401, 401, 429]

    house.clock.tick(days=-365)

    assert [await attempt(house.client, "ada@example.com") for _ in range(2)] == [401, 401]
    answer = await house.client.post("/auth/login", json={"login": "ada@example.com", "password": PASSWORD})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "900")
    house.clock.tick(minutes=15)
    assert await attempt(house.client, "ada@example.com", PASSWORD) == 200


async def test_retry_after_is_the_longest_wait(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="1/15m", login_network="1/2h"))
    await attempt(house.client, "ada@example.com")

    answer = await house.client.post("/auth/login", json={"login": "ada@example.com", "password": WRONG})

    assert answer.headers["retry-after"] == "7200"


SPELLINGS = (
    "ada@bücher.example", "ADA@BÜCHER.EXAMPLE", "Ada@xn--bcher-kva.example", "ada@bu\u0308cher.example",
    " ada@bücher.example ", "ada", "ADA", "\tAda ",
)  # fmt: skip


async def test_t05_all_spellings_of_an_account_share_a_limit(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair=f"{len(SPELLINGS) + 1}/15m"))
    await house.register("ada@bücher.example", username="ada")

    assert {await attempt(house.client, name) for name in SPELLINGS} == {401}
    form = {"content-type": "application/x-www-form-urlencoded"}
    body = urlencode({"username": "ada", "password": WRONG})
    assert (await house.client.post("/auth/login", content=body, headers=form)).status_code == 401

    # Not even the right password gets in. Who typed a name less often than the limit does not hear why (T01).
    assert {await attempt(house.client, name, PASSWORD) for name in SPELLINGS[:2]} == {401}
    assert (await house.client.post("/auth/login", content=body, headers=form)).status_code == 401
    assert await attempt(house.client, "ada", PASSWORD, params={"transport": "cookie"}) == 401
    house.clock.tick(minutes=15)
    assert await attempt(house.client, "ada", PASSWORD) == 200


async def test_t05_guesses_over_all_networks_share_a_limit_however_an_account_is_spelled(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_account="6/1d"))
    await house.register("ada@example.com", username="ada")
    names = ["ada", "ada@example.com"] * 3

    assert [await attempt(house.new_client(f"203.0.113.{n}"), name) for n, name in enumerate(names)] == [401] * 6

    stranger = house.new_client("192.0.2.1")
    assert [await attempt(stranger, name, PASSWORD) for name in names[:2]] == [401, 401]
    assert await attempt(house.client, "ada", PASSWORD) == 200, "the owner is at home"


async def test_t05_who_goes_on_after_a_refusal_uses_up_no_other_limit(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="4/15m", login_account="9/1d"))
    await house.register("ada@example.com", username="ada")
    stranger = house.new_client("203.0.113.9")

    for name in ("ada@example.com", "ada"):
        assert [await attempt(stranger, name) for _ in range(9)] == [401] * 4 + [429] * 5
    assert await attempt(house.new_client("192.0.2.1"), "ada", PASSWORD) == 200


async def test_t05_success_by_one_name_clears_what_all_names_share(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="4/15m"))
    await house.register("ada@example.com", username="ada")

    for _ in range(2):
        assert [await attempt(house.client, "ada@example.com") for _ in range(2)] == [401] * 2
        assert await attempt(house.client, "ada", PASSWORD) == 200
    assert [await attempt(house.client, "ada") for _ in range(3)] == [401] * 3
    assert await attempt(house.client, "ada", PASSWORD) == 200


async def test_t01_a_limit_does_not_tell_that_two_names_are_one_persons(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="3/15m"))
    await house.register("ada@example.com", username="ada")

    answers = {
        name: [await attempt(house.client, f"{name}@example.com") for _ in range(4)]
        + [await attempt(house.client, name) for _ in range(4)]
        for name in ("ada", "zoe")
    }

    assert answers["ada"] == answers["zoe"] == [401, 401, 401, 429] * 2


async def test_t01_what_a_name_shares_with_another_shows_in_no_limit_of_its_own(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="2/15m", login_account="6/1d"))
    await house.register("ada@example.com", username="ada")
    await house.register("bob@example.com", username="bob")
    answers: dict[str, list[int]] = {}
    statements: dict[str, list[str]] = {}
    for email, name in (("ada@example.com", "ada"), ("eve@example.com", "bob"), ("joe@example.com", "nobody")):
        for n in range(4):
            stranger = house.new_client(f"203.0.113.{n}")
            answers.setdefault(name, []).extend([await attempt(stranger, email) for _ in range(2)])
            with house.statements() as seen:
                answers[name] += [await attempt(stranger, name) for _ in range(2)]
            statements.setdefault(name, []).extend(text.split(maxsplit=1)[0] for text in of_requests(seen))

    assert answers["ada"] == answers["bob"] == answers["nobody"] == [401] * 12 + [429] * 4
    assert statements["ada"] == statements["bob"] == statements["nobody"]


async def test_t01_a_limit_does_not_tell_when_an_account_comes_to_be(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="3/15m"))
    names = ("ada@example.com", "zoe@example.com")
    stranger = house.new_client("203.0.113.9")
    for name in names:
        assert [await attempt(stranger, name) for _ in range(4)] == [401, 401, 401, 429]

    ada = await house.register("ada@example.com")
    assert [await attempt(stranger, name) for name in names] == [429, 429]
    assert (await ada.delete("/users/me", {"password": PASSWORD})).status_code == 204
    assert [await attempt(stranger, name) for name in names] == [429, 429]


async def test_t05_all_spellings_of_a_stranger_share_a_limit(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="5/15m"))

    assert {await attempt(house.client, name) for name in SPELLINGS[:5]} == {401}
    assert {await attempt(house.client, name) for name in SPELLINGS[:5]} == {429}


async def test_t05_success_clears_the_own_pair_and_nothing_else(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="3/15m", login_network="7/15m"))
    await house.register("ada@example.com")
    await house.register("eve@example.com")

    assert [await attempt(house.client, "ada@example.com") for _ in range(2)] == [401] * 2
    assert await attempt(house.client, "eve@example.com", PASSWORD) == 200
    assert [await attempt(house.client, "ada@example.com") for _ in range(2)] == [401, 429]

    # Eve's right logins in between have not lengthened what their network may try.
    assert await attempt(house.client, "eve@example.com", PASSWORD) == 200
    assert [await attempt(house.client, f"u{n}@example.com") for n in range(5)] == [401] * 3 + [429] * 2


async def test_t05_success_clears_the_own_pair(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="3/15m"))
    await house.register("ada@example.com")

    for _ in range(3):
        assert [await attempt(house.client, "ada@example.com") for _ in range(2)] == [401] * 2
        assert await attempt(house.client, "ada@example.com", PASSWORD) == 200


async def test_t06_forged_addresses_do_not_help(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_network="20/15m"))

    answers = [
        await attempt(
            house.client,
            f"user{n}@example.com",
            headers={
                "X-Forwarded-For": f"203.0.113.{n}",
                "Forwarded": f"for=203.0.113.{n}",
                "X-Real-IP": f"10.0.0.{n}",
            },
        )
        for n in range(30)
    ]

    assert answers == [401] * 20 + [429] * 10


PROXY = "10.1.2.3"
FORWARDED: list[tuple[str, dict[str, str] | list[tuple[str, str]], str]] = [
    ("198.51.100.7", {"X-Forwarded-For": "203.0.113.9"}, "198.51.100.7"),
    (PROXY, {}, PROXY),
    (PROXY, {"X-Forwarded-For": "203.0.113.9"}, "203.0.113.9"),
    (PROXY, {"X-Forwarded-For": "1.1.1.1, 203.0.113.9"}, "203.0.113.9"),
    (PROXY, {"X-Forwarded-For": "1.1.1.1, 203.0.113.9, 10.9.9.9"}, "203.0.113.9"),
    (PROXY, [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
    (PROXY, {"X-Forwarded-For": "a"}, PROXY),
    (PROXY, {"X-Forwarded-For": ""}, PROXY),
    (PROXY, {"X-Forwarded-For": "203.0.113.9:4711"}, "203.0.113.9"),
    (PROXY, {"X-Forwarded-For": "::ffff:203.0.113.9"}, "203.0.113.9"),
    (PROXY, {"Forwarded": 'for="[2001:db8::1]:4711"'}, "2001:db8::1"),
    (PROXY, {"Forwarded": "for=unknown"}, PROXY),
    (PROXY, {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=1.1.1.1"}, PROXY),
    ("fe80::1%eth0", {}, "fe80::1"),
]


async def test_t06_the_address_is_what_trusted_proxies_say(make_house: MakeHouse) -> None:
    house = await make_house(trusted_proxies="10.0.0.0/8")
    await house.register()

    for peer, headers, expected in FORWARDED:
        client = house.new_client(peer)
        answer = await client.post(
            "/auth/login", json={"login": "ada@example.com", "password": PASSWORD}, headers=headers
        )
        [row] = [row for row in await house.rows("sessions") if str(row["id"]) == answer.json()["session_id"]]
        assert row["ip"] == expected, (peer, headers)


async def test_t06_an_ipv6_network_is_one_client(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_network="5/15m"))

    answers = [await attempt(house.new_client(f"2001:db8::{n}:1"), f"u{n}@example.com") for n in range(8)]

    assert answers == [401] * 5 + [429] * 3
    assert await attempt(house.new_client("2001:db8:0:1::1"), "u@example.com") == 401


async def test_t06_an_ipv4_client_is_one_in_both_notations(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_network="2/15m"))

    assert await attempt(house.new_client("203.0.113.9"), "a@example.com") == 401
    assert await attempt(house.new_client("::ffff:203.0.113.9"), "b@example.com") == 401
    assert await attempt(house.new_client("203.0.113.9"), "c@example.com") == 429


async def test_t06_who_has_no_address_is_limited_too(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_network="2/15m"))
    client = house.new_client("")

    assert [await attempt(client, f"u{n}@example.com") for n in range(3)] == [401, 401, 429]


@pytest.mark.parametrize("route", ["password", "delete", "delete by POST"])
async def test_a_wrong_current_password_is_counted(make_house: MakeHouse, route: str) -> None:
    house = await make_house(limits=limits(login_pair="3/15m"))
    ada = await house.register()

    async def prove(password: str) -> httpx.Response:
        if route == "password":
            body = {"current_password": password, "new_password": "zq7canary new horse"}
            return await ada.post("/users/me/password", body)
        if route == "delete":
            return await ada.delete("/users/me", {"password": password})
        return await ada.post("/users/me/delete", {"password": password})

    before = house.auth.passwords.calls
    answers = [await prove(WRONG) for _ in range(3)]
    refused = await prove(PASSWORD)

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "wrong_password")] * 3
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "900")
    assert house.auth.passwords.calls - before == 3
    assert await attempt(house.client, "ada@example.com", PASSWORD) == 401, "and does not say so to who was not told"
    house.clock.tick(minutes=15)
    await ada.refresh()
    assert (await prove(PASSWORD)).status_code == 204


async def test_t03_a_stolen_session_has_no_more_guesses_than_a_stranger(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_account="5/1d"))
    ada = await house.register()
    thief = [house.new_client(f"203.0.113.{n}") for n in range(12)]

    answers = [
        (await client.post("/users/me/delete", json={"password": WRONG}, headers=ada.bearer)).status_code
        for client in thief
    ]

    assert answers == [403] * 5 + [429] * 7
    again = await ada.log_in()
    assert (await again.post("/users/me/delete", {"password": PASSWORD})).status_code == 204


def hold_the_threads(house: House, release: threading.Event) -> list[asyncio.Task[Any]]:
    """Real jobs on every thread of the real pool, which last until they are let go."""
    pool = house.auth.passwords._pool
    return [asyncio.create_task(pool.run("a job", release.wait)) for _ in range(pool._threads._max_workers)]


async def test_t09_a_full_queue_answers_at_once_and_one_network_cannot_fill_it(house: House) -> None:
    ada = await house.register()
    release = threading.Event()
    held = hold_the_threads(house, release)
    places = house.auth.passwords._pool._places
    try:
        flood = [
            asyncio.create_task(house.auth.passwords.verify(None, "zq7canary", share="203.0.113.9"))
            for _ in range(places // 2)
        ]
        await asyncio.sleep(0)
        flooder, other = house.new_client("203.0.113.9"), house.new_client("192.0.2.1")

        with house.statements() as asked:
            refused = await flooder.post("/auth/login", json={"login": "ada@example.com", "password": PASSWORD})
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert of_requests(asked) == [], "a flood costs the database nothing"
        assert int(refused.headers["retry-after"]) >= 1
        # Others still find a place, and what does not hash does not wait.
        waiting = asyncio.create_task(attempt(other, "ada@example.com", PASSWORD))
        assert await ada.is_in()
        assert (await house.client.get("/healthz")).status_code == 200
        assert not waiting.done()
    finally:
        release.set()
    assert await waiting == 200
    await asyncio.gather(*held, *flood)


async def test_t09_every_route_that_hashes_says_overloaded(house: House) -> None:
    ada, root = await house.register(), await house.superuser()
    release = threading.Event()
    held = hold_the_threads(house, release)
    network = "198.51.100.7"
    places = house.auth.passwords._pool._places
    hasher = house.auth.passwords
    flood = [asyncio.create_task(hasher.verify(None, "zq7canary", share=network)) for _ in range(places // 2)]
    await asyncio.sleep(0)
    new = {"email": "new@example.com", "password": PASSWORD}
    try:
        answers = [
            await house.client.post("/auth/register", json=new),
            await house.client.post("/auth/login", json={"login": "ada@example.com", "password": PASSWORD}),
            await ada.post("/users/me/password", {"current_password": PASSWORD, "new_password": WRONG}),
            await ada.delete("/users/me", {"password": PASSWORD}),
            await root.post("/users", new),
        ]
    finally:
        release.set()
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "overloaded")] * 5
    assert all(answer.headers["retry-after"] == "1" for answer in answers)
    assert len(await house.rows("users")) == 2
    await asyncio.gather(*held, *flood)


async def test_t09_an_attempt_that_was_not_evaluated_is_not_counted(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="2/15m", login_account="2/1d", login_network="2/15m"))
    await house.register()
    release = threading.Event()
    held = hold_the_threads(house, release)
    places, hasher = house.auth.passwords._pool._places, house.auth.passwords
    flood = [
        asyncio.create_task(hasher.verify(None, "zq7canary", share=f"10.0.{n}.1"))
        for n in range(2)
        for _ in range(places // 2)
    ]
    await asyncio.sleep(0)
    try:
        assert [await attempt(house.client, "ada@example.com", PASSWORD) for _ in range(5)] == [503] * 5
    finally:
        release.set()
    await asyncio.gather(*held, *flood)
    assert await attempt(house.client, "ada@example.com", PASSWORD) == 200


async def cancel_attempt(house: House, *, when: Callable[[], int]) -> None:
    """Give up a login as soon as that figure grows."""
    before = when()
    guess = asyncio.create_task(attempt(house.client, "ada@example.com"))
    await until(lambda: when() > before)
    guess.cancel()
    await asyncio.gather(guess, return_exceptions=True)


async def test_t09_a_cancelled_attempt_counts_if_its_hash_was_begun(make_house: MakeHouse) -> None:
    # The hash is dear enough to be cancelled in the middle.
    house = await make_house(password=PasswordSettings(memory_kib=1 << 16), limits=limits(login_pair="2/15m"))
    hasher, release = house.auth.passwords, threading.Event()
    held = hold_the_threads(house, release)
    await asyncio.sleep(0)
    try:
        for _ in range(3):
            await cancel_attempt(house, when=lambda: hasher._pool._queued)
    finally:
        release.set()
    await asyncio.gather(*held)
    for _ in range(2):
        await cancel_attempt(house, when=lambda: hasher.calls)
    assert await attempt(house.client, "ada@example.com") == 429


async def test_t53_counters_do_not_grow_with_what_clients_type(house: House) -> None:
    for n in range(20):
        await attempt(house.client, f"{n} is neither an address nor a name")

    assert len(await house.rows("counters")) <= 6


async def test_a_login_that_waits_for_its_hash_holds_no_connection(make_house: MakeHouse) -> None:
    house = await make_house(password=PasswordSettings(memory_kib=8, iterations=1))
    ada = await house.register()
    release = threading.Event()
    held = hold_the_threads(house, release)
    try:
        waiting = [asyncio.create_task(attempt(house.client, f"u{n}@example.com")) for n in range(30)]
        pool = house.auth.passwords._pool
        await until(lambda: pool._waiting.total() == len(waiting))
        assert (await ada.get("/auth/sessions")).status_code == 200
        assert not any(task.done() for task in waiting)
    finally:
        release.set()
    assert set(await asyncio.gather(*waiting)) == {401}
    await asyncio.gather(*held)
