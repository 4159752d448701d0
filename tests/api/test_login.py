"""`POST /auth/login`: who gets in, and what everybody else learns."""

import asyncio
import base64
import hashlib
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import bcrypt
import httpx
from sqlalchemy import delete, update

from propusk.context import Context
from propusk.settings import PasswordSettings
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, Person, in_some_round, limits, until

WRONG = "zq7canary wrong horse"


async def login(house: House, name: str, password: str = PASSWORD, **options: Any) -> httpx.Response:
    body = {"login": name, "password": password}
    return await house.client.post("/auth/login", json=body, **options)


async def form_login(house: House, **fields: str) -> httpx.Response:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return await house.client.post("/auth/login", content=urlencode(fields), headers=headers)


def shape(answer: httpx.Response) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """All of an answer but its name: the status, the headers in their order, the body."""
    headers = [(name, b"" if name.lower() == b"x-request-id" else value) for name, value in answer.headers.raw]
    return answer.status_code, headers, answer.content


async def set_hash(house: House, person: Person, stored: str) -> None:
    """Put somebody's hash from elsewhere into the database."""
    p = house.auth.tables.passwords

    async def act(ctx: Context) -> None:
        await ctx.db.execute(update(p).where(p.c.hash.is_not(None)).values(hash=stored))

    await house.do(act)
    [row] = await house.rows("passwords")
    assert str(row["user_id"]) == person.id


async def forget_password(house: House, person: Person) -> None:
    p = house.auth.tables.passwords
    user_ids = {str(row["user_id"]): row["user_id"] for row in await house.rows("passwords")}

    async def act(ctx: Context) -> None:
        await ctx.db.execute(delete(p).where(p.c.user_id == user_ids[person.id]))

    await house.do(act)


async def test_a_login_by_bearer_answers_tokens_in_the_body(house: House) -> None:
    await house.register(username="ada")

    answer = await login(house, "ada@example.com")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    body = answer.json()
    assert body.keys() == {
        "access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in", "session_id",
    }  # fmt: skip
    assert (body["token_type"], body["expires_in"], body["refresh_expires_in"]) == ("bearer", 600, 30 * 86400)
    assert body["session_id"] in {str(row["id"]) for row in await house.rows("sessions")}


async def test_a_login_by_cookie_answers_the_user_and_two_cookies(house: House) -> None:
    ada = await house.register()

    answer = await login(house, "ada@example.com", params={"transport": "cookie"})

    assert answer.status_code == 200
    assert answer.json().keys() == {"session_id", "expires_in", "user"}
    assert answer.json()["user"]["id"] == ada.id
    assert "token" not in answer.text
    names = [line.partition("=")[0] for line in answer.headers.get_list("set-cookie")]
    assert names == ["propusk_access", "propusk_refresh"]


async def test_another_transport_is_refused(house: House) -> None:
    answer = await login(house, "ada@example.com", params={"transport": "pigeon"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "transport")


async def test_a_person_is_found_by_every_spelling_of_their_names(house: House) -> None:
    ada = await house.register("Ada@bücher.example", username="Ada")
    spellings = (
        "Ada@bücher.example", "ada@BÜCHER.EXAMPLE", "ADA@xn--bcher-kva.example", "ada@bu\u0308cher.example",
        " ada@bücher.example\t", "Ada", "ADA", " ada ",
    )  # fmt: skip

    for name in spellings:
        answer = await login(house, name)
        assert answer.status_code == 200, name

    assert len((await ada.get("/auth/sessions")).json()["items"]) == len(spellings) + 1


async def test_a_login_is_remembered(house: House) -> None:
    ada = await house.register()
    house.clock.tick(hours=1)

    again = await ada.log_in()

    assert (await again.get("/users/me")).json()["last_login_at"] == "2026-11-21T10:30:00.123456Z"


async def test_the_oauth2_form_logs_in_and_its_other_fields_do_not_matter(house: House) -> None:
    await house.register(username="ada")
    extras = {"grant_type": "password", "scope": "", "client_id": "x", "client_secret": "zq7canary"}

    assert (await form_login(house, username="ada", password=PASSWORD)).status_code == 200
    assert (await form_login(house, username="ada@example.com", password=PASSWORD, **extras)).status_code == 200
    basic = {"Authorization": "Basic " + base64.b64encode(b"id:zq7canary").decode()}
    with_basic = await login(house, "ada", headers=basic)
    assert with_basic.status_code == 200


async def test_the_form_takes_no_other_fields(house: House) -> None:
    await house.register(username="ada")

    answer = await form_login(house, username="ada", password=PASSWORD, is_superuser="true")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "extra_forbidden")
    twice = await house.client.post(
        "/auth/login",
        content=f"username=ada&password={WRONG}&password={PASSWORD}".replace(" ", "+"),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert (twice.status_code, twice.json()["code"]) == (400, "malformed_json")


async def test_what_is_missing_or_of_another_type_is_named(house: House) -> None:
    post = house.client.post
    for body, faults in (
        ({}, [("login", "missing"), ("password", "missing")]),
        ({"login": 7, "password": None}, [("login", "wrong_type"), ("password", "wrong_type")]),
        ({"login": "a", "password": WRONG, "username": "a"}, [("username", "extra_forbidden")]),
        ([], [("body", "wrong_type")]),
    ):
        answer = await post("/auth/login", json=body)
        assert answer.status_code == 422
        assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == faults
        assert "zq7canary" not in answer.text


async def test_t01_who_does_not_know_the_password_learns_nothing(house: House) -> None:
    people = {name: await house.register(f"{name}@example.com", username=name) for name in ("ada", "none", "gone")}
    root = await house.superuser()
    await forget_password(house, people["none"])
    await root.patch(f"/users/{people['gone'].id}", {"is_active": False})
    cases = (
        ("ada", WRONG), ("stranger", PASSWORD), ("none", PASSWORD), ("gone", WRONG),
        ("gone", "zq7canary" * 200), ("ada", "zq7canary" * 200), ("ada", PASSWORD + "\U0001f40e" * 300), ("ada", ""),
    )  # fmt: skip
    # From a network that none of them was seen on: the owner's own is counted less.
    stranger = house.new_client("203.0.113.9")
    seen: dict[str, set[Any]] = {"email": set(), "username": set()}

    for name, password in cases:
        for kind, typed in (("username", name), ("email", f"{name}@example.com")):
            before = house.auth.passwords.calls
            with house.statements() as statements:
                answer = await stranger.post("/auth/login", json={"login": typed, "password": password})
            assert house.auth.passwords.calls == before + 1, (typed, "not exactly one hash")
            status, headers, body = shape(answer)
            # The keys are read again every few seconds, whoever asks.
            about_login = tuple(text for text in statements if "signing_keys" not in text)
            seen[kind].add((status, tuple(headers), body, about_login))

    assert len(seen["email"]) == len(seen["username"]) == 1
    [(status, headers_seen, body, _)] = seen["email"]
    assert status == 401
    assert b'"code":"invalid_credentials"' in body
    assert (b"www-authenticate", b"Bearer") in headers_seen


async def test_t01_only_the_right_password_learns_that_an_account_is_disabled(house: House) -> None:
    ada, root = await house.register(), await house.superuser()
    await root.patch(f"/users/{ada.id}", {"is_active": False})

    before = len(await house.rows("sessions"))

    answer = await login(house, "ada@example.com")

    assert (answer.status_code, answer.json()["code"]) == (403, "account_disabled")
    assert answer.headers["cache-control"] == "no-store"
    assert len(await house.rows("sessions")) == before


async def test_t01_a_disabled_account_is_limited_like_any_other(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="3/15m"))
    ada, root = await house.register(), await house.superuser()
    await root.patch(f"/users/{ada.id}", {"is_active": False})

    answers = [await login(house, "ada@example.com") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 429]


async def test_t01_a_stranger_is_throttled_like_anybody(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="3/15m"))
    await house.register("ada@example.com", username="ada")

    refused = []
    for name in ("ada", "bob", "ada@example.com", "bob@example.com"):
        house.clock.tick(hours=1)
        answers = [await login(house, name, WRONG) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429], name
        refused.append(shape(answers[3]))

    assert refused == refused[:1] * 4


async def test_t01_a_refused_attempt_costs_no_hash(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="1/15m"))
    await house.register()
    await login(house, "ada@example.com", WRONG)
    before = house.auth.passwords.calls

    assert (await login(house, "ada@example.com")).status_code == 429
    assert house.auth.passwords.calls == before


async def test_t01_a_failed_login_answers_no_earlier_than_the_floor(make_house: MakeHouse) -> None:
    house = await make_house(login_floor=timedelta(milliseconds=400))
    ada, root = await house.register(), await house.superuser()
    gone = await house.register("gone@example.com")
    await root.patch(f"/users/{gone.id}", {"is_active": False})

    async def seconds(name: str, password: str, status: int) -> float:
        started = time.monotonic()
        assert (await login(house, name, password)).status_code == status
        return time.monotonic() - started

    assert await seconds("ada@example.com", WRONG, 401) >= 0.4
    assert await seconds("nobody@example.com", WRONG, 401) >= 0.4
    assert await seconds("gone@example.com", PASSWORD, 403) >= 0.4
    assert await ada.is_in()


async def test_t01_waiting_for_the_floor_holds_no_connection(make_house: MakeHouse) -> None:
    house = await make_house(login_floor=timedelta(seconds=5), database_connections=5)
    ada = await house.register()

    async def is_answered_while_they_wait() -> bool:
        before = house.auth.passwords.calls
        waiting = [asyncio.create_task(login(house, f"u{n}@example.com", WRONG)) for n in range(4)]
        await until(lambda: house.auth.passwords.calls == before + len(waiting))
        assert (await ada.get("/auth/sessions")).status_code == 200
        wait_still = not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return wait_still

    assert await in_some_round(is_answered_while_they_wait), "they are more than there are connections"


async def test_t07_an_over_long_password_is_a_plain_401(house: House) -> None:
    await house.register(password="zq7canary " + "x" * 246)

    assert (await login(house, "ada@example.com", "zq7canary " + "x" * 246)).status_code == 200
    assert (await login(house, "ada@example.com", "zq7canary " + "x" * 247)).status_code == 401
    assert (await login(house, "ada@example.com", "zq7canary " + "x" * 60_000)).status_code == 401
    assert (await form_login(house, username="ada@example.com", password="x" * 60_000)).status_code == 401
    huge = await login(house, "ada@example.com", "x" * 2**20)
    assert (huge.status_code, huge.json()["code"]) == (413, "body_too_large")


async def test_t08_only_the_exact_password_logs_in(house: House) -> None:
    base = "zq7canary " + "x" * 62
    for n, (exact, others) in enumerate(
        (
            (base + "yes", (base, base + "no", base + "yes ", base + "Yes")),
            ("zq7canary trailing ", ("zq7canary trailing", " zq7canary trailing", "zq7canary trailing  ")),
            ("zq7canary ｆｕｌｌ", ("zq7canary full",)),
            ("zq7canary ß", ("zq7canary ss",)),
        )
    ):
        person = await house.register(f"p{n}@example.com", exact)
        assert await person.is_in()
        for other in others:
            assert (await login(house, f"p{n}@example.com", other)).status_code == 401, other


async def test_t08_a_nul_is_refused_and_cuts_nothing(house: House) -> None:
    await house.register()

    answer = await login(house, "ada@example.com", PASSWORD + "\x00tail")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "invalid_characters")


async def test_t08_one_password_in_two_unicode_forms_is_one(house: House) -> None:
    await house.register("ada@example.com", "zq7canary café")
    await house.register("bob@example.com", "zq7canary cafe\u0301")

    for name in ("ada", "bob"):
        for typed in ("zq7canary café", "zq7canary cafe\u0301"):
            assert (await login(house, f"{name}@example.com", typed)).status_code == 200


def imported_hashes() -> dict[str, str]:
    """The same password as other systems store it."""
    raw, salt = PASSWORD.encode(), b"saltsaltsaltsalt"
    rounds = bcrypt.hashpw(raw, bcrypt.gensalt(4)).decode()
    pbkdf2 = base64.b64encode(hashlib.pbkdf2_hmac("sha256", raw, salt, 1000)).decode()
    scrypt = base64.b64encode(hashlib.scrypt(raw, salt=salt, n=1024, r=8, p=1)).decode()
    return {
        "bcrypt": rounds,
        "Django's PBKDF2": f"pbkdf2_sha256$1000${salt.decode()}${pbkdf2}",
        "Django's scrypt": f"scrypt$1024${salt.decode()}$8$1${scrypt}",
        "Django's bcrypt": f"bcrypt${rounds}",
    }


async def test_t08_an_imported_hash_logs_in_and_becomes_ours(house: House) -> None:
    ada = await house.register()
    for scheme, stored in imported_hashes().items():
        await set_hash(house, ada, stored)

        assert (await login(house, "ada@example.com", WRONG)).status_code == 401, scheme
        assert (await house.rows("passwords"))[0]["hash"] == stored, scheme
        assert (await login(house, "ada@example.com")).status_code == 200, scheme
        assert (await house.rows("passwords"))[0]["hash"].startswith("$argon2id$"), scheme
        assert (await login(house, "ada@example.com")).status_code == 200, scheme

    assert await ada.is_in()


async def test_t08_an_imported_bcrypt_hash_cuts_nothing(house: House) -> None:
    ada = await house.register()
    exact = "zq7canary" * 8
    await set_hash(house, ada, bcrypt.hashpw(exact.encode(), bcrypt.gensalt(4)).decode())

    assert (await login(house, "ada@example.com", exact + "tail")).status_code == 401
    assert (await login(house, "ada@example.com", exact)).status_code == 200


async def test_t08_an_imported_hash_of_what_was_typed_is_tried_as_typed(house: House) -> None:
    ada = await house.register()
    typed = "zq7canary cafe\u0301"
    await set_hash(house, ada, bcrypt.hashpw(typed.encode(), bcrypt.gensalt(4)).decode())

    assert (await login(house, "ada@example.com", typed)).status_code == 200
    assert (await login(house, "ada@example.com", "zq7canary café")).status_code == 200


async def test_a_broken_hash_is_a_wrong_password(house: House) -> None:
    ada = await house.register()
    for stored in ("", "plain", "$argon2id$", "$2b$99$xyz", "pbkdf2_sha256$1$", "!unusable"):
        await set_hash(house, ada, stored)
        before = house.auth.passwords.calls

        assert (await login(house, "ada@example.com")).status_code == 401, stored
        assert house.auth.passwords.calls == before + 1


async def test_a_hash_with_older_parameters_is_made_anew(make_house: MakeHouse) -> None:
    before = await make_house()
    await before.register()
    [old] = await before.rows("passwords")
    after = await make_house(password=PasswordSettings(memory_kib=16, iterations=2))

    assert (await login(after, "ada@example.com")).status_code == 200

    [new] = await after.rows("passwords")
    assert "m=8,t=1" in old["hash"]
    assert "m=16,t=2" in new["hash"]


async def test_nobody_is_limited_by_logging_in_right(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="2/15m", login_network="3/15m", login_account="3/1d"))
    await house.register()

    answers = [await login(house, "ada@example.com") for _ in range(8)]

    assert {answer.status_code for answer in answers} == {200}


async def test_a_login_reaches_the_answer_of_its_own_password(house: House) -> None:
    people = [await house.register(f"p{n}@example.com", f"zq7canary number {n}") for n in range(6)]

    answers = await asyncio.gather(
        *(login(house, f"p{n}@example.com", f"zq7canary number {m}") for n in range(6) for m in range(6))
    )

    for index, answer in enumerate(answers):
        n, m = divmod(index, 6)
        assert answer.status_code == (200 if n == m else 401)
        if n == m:
            bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            me = await house.client.get("/users/me", headers=bearer)
            assert me.json()["id"] == people[n].id
