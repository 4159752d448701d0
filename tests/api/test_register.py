"""Making accounts: `POST /auth/register`, and `POST /users` where it takes the same."""

import asyncio
from typing import Any

from propusk.settings import PasswordSettings
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, Person, limits

WEAK = [
    "Password1",
    "PASSWORD123!",
    "12345678",
    "qwertyuiop",
    "letmein1",
    "iloveyou",
    "йцукенгш",
    "aaaaaaaa",
    "1q2w3e4r",
    "Ada.Example99",
    "Ada99!!!",
    "ada.lovelace2024",
    "LovelaceAda",
    "Propusk2026",
    "P r o p u s k 1",
]
"""Common ones, and those built from the address, the name or the service's own name."""


async def register(house: House, **fields: Any) -> Any:
    body = {"email": "ada@example.com", "password": PASSWORD} | fields
    return await house.client.post("/auth/register", json=body)


def faults(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_input"
    return [(fault["field"], fault["code"]) for fault in answer.json()["errors"]]


async def test_a_registration_answers_the_user(house: House) -> None:
    fields: dict[str, Any] = {"username": "Ada", "name": "Ada Lovelace", "profile": {"born": 1815}}

    answer = await register(house, email="Ada@Example.com", **fields)

    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert "x-request-id" in answer.headers
    user = answer.json()
    assert user.pop("id")[14] == "7"
    assert user.pop("created_at") == user.pop("updated_at") == "2026-11-21T09:30:00.123456Z"
    assert user == {
        "email": "Ada@Example.com",
        "username": "Ada",
        "name": "Ada Lovelace",
        "profile": {"born": 1815},
        "locale": None,
        "is_active": True,
        "is_verified": False,
        "is_superuser": False,
        "last_login_at": None,
    }


async def test_a_registration_begins_no_session(house: House) -> None:
    answer = await register(house)

    assert "set-cookie" not in answer.headers
    assert await house.rows("sessions") == []


async def test_only_a_hash_of_the_password_is_kept(house: House) -> None:
    await register(house)

    [row] = await house.rows("passwords")
    assert row["hash"].startswith("$argon2id$")
    assert "zq7canary" not in str(await house.rows("users"))


async def test_an_address_is_taken_in_every_spelling(house: House) -> None:
    await register(house)

    for email in ("ada@example.com", "ADA@EXAMPLE.COM", "  Ada@example.COM\t"):
        answer = await register(house, email=email)
        assert (answer.status_code, answer.json()["code"]) == (409, "email_taken"), email

    assert len(await house.rows("users")) == 1


async def test_an_international_domain_is_one_in_both_spellings(house: House) -> None:
    assert (await register(house, email="ada@bücher.example")).status_code == 201

    assert (await register(house, email="ada@xn--bcher-kva.example")).json()["code"] == "email_taken"
    assert (await register(house, email="ada@BÜCHER.example")).json()["code"] == "email_taken"
    assert (await register(house, email="ada@bu\u0308cher.example")).json()["code"] == "email_taken"


async def test_a_username_is_taken_in_every_case(house: House) -> None:
    await register(house, username="Ada")

    answer = await register(house, email="other@example.com", username="aDA")

    assert (answer.status_code, answer.json()["code"]) == (409, "username_taken")


async def test_the_address_comes_first_when_both_are_taken(house: House) -> None:
    await register(house, username="Ada")

    assert (await register(house, username="ada")).json()["code"] == "email_taken"


async def test_two_users_need_no_username(house: House) -> None:
    await register(house)

    assert (await register(house, email="other@example.com", username=None)).status_code == 201


async def test_names_are_free_again_once_their_user_is_gone(house: House) -> None:
    ada = await house.register("ada@example.com", username="ada")
    assert (await ada.delete("/users/me", json={"password": PASSWORD})).status_code == 204

    assert (await register(house, email="ADA@example.com", username="Ada")).status_code == 201


async def test_closed_registration_says_so(make_house: MakeHouse) -> None:
    house = await make_house(registration="closed")

    answer = await register(house)

    assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed")
    assert await house.rows("users") == []
    assert house.auth.passwords.calls == 0


async def test_closed_registration_lets_superusers_make_users(make_house: MakeHouse) -> None:
    house = await make_house(registration="closed")
    root = await house.superuser()

    answer = await root.post("/users", {"email": "ada@example.com", "password": PASSWORD})

    assert answer.status_code == 201


WRONG: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"email": "nobody"}, ("email", "not_an_email")),
    ({"email": "ada@localhost"}, ("email", "not_an_email")),
    ({"email": "ада@example.com"}, ("email", "not_an_email")),
    ({"email": "ada@ex\u200bample.com"}, ("email", "not_an_email")),
    ({"email": "ada@example.com\nBcc: x@example.com"}, ("email", "not_an_email")),
    ({"email": f"{'a' * 65}@example.com"}, ("email", "too_long")),
    ({"email": f"a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.{'f' * 20}.com"}, ("email", "too_long")),
    ({"email": 7}, ("email", "wrong_type")),
    ({"email": None}, ("email", "wrong_type")),
    ({"username": "ab"}, ("username", "bad_username")),
    ({"username": "a" * 33}, ("username", "bad_username")),
    ({"username": "ada@home"}, ("username", "bad_username")),
    ({"username": "аda"}, ("username", "bad_username")),
    ({"username": "ada\n"}, ("username", "bad_username")),
    ({"username": ""}, ("username", "bad_username")),
    ({"name": "n" * 201}, ("name", "too_long")),
    ({"name": "a\u0007b"}, ("name", "invalid_characters")),
    ({"profile": []}, ("profile", "wrong_type")),
    ({"profile": {"x": "y" * 4096}}, ("profile", "too_long")),
    ({"password": "zq7cana"}, ("password", "too_short")),
    ({"password": "zq7canary" * 29}, ("password", "too_long")),
    ({"password": None}, ("password", "wrong_type")),
    ({"password": ["zq7canary old horse"]}, ("password", "wrong_type")),
    ({"locale": "en"}, ("locale", "extra_forbidden")),
]


async def test_a_field_that_is_wrong_is_named(house: House) -> None:
    for fields, fault in WRONG:
        assert faults(await register(house, **fields)) == [fault], fields

    assert await house.rows("users") == []


async def test_every_missing_field_is_named(house: House) -> None:
    answer = await house.client.post("/auth/register", json={})

    assert faults(answer) == [("email", "missing"), ("password", "missing")]


async def test_a_password_is_counted_in_characters_of_nfc(house: House) -> None:
    seven, eight = "zq7cna" + "e\u0301", "zq7cnar" + "e\u0301"

    assert faults(await register(house, password=seven)) == [("password", "too_short")]
    assert (await register(house, password=eight)).status_code == 201


async def test_the_shortest_password_is_a_setting(make_house: MakeHouse) -> None:
    house = await make_house(password=PasswordSettings(min_length=15, memory_kib=8, iterations=1))

    assert faults(await register(house, password="zq7canary hors")) == [("password", "too_short")]
    assert (await register(house, password="zq7canary horse")).status_code == 201


async def test_the_longest_things_fit(house: House) -> None:
    longest = f"{'a' * 64}@{'b' * 61}.{'c' * 61}.{'d' * 61}.com"
    fields = {"username": "u" * 32, "name": "Ж" * 200, "profile": {"x": "🐎" * 1000}, "password": "zq7canary 🐎" * 23}
    assert len(longest) == 254

    answer = await register(house, email=longest, **fields)

    assert answer.status_code == 201, answer.text
    assert {key: answer.json()[key] for key in ("email", "username", "name", "profile")} == {
        "email": longest,
        **{key: fields[key] for key in ("username", "name", "profile")},
    }


async def test_a_name_that_grows_by_normalisation_is_measured_after_it(house: House) -> None:
    # U+0958 is one character as typed and two in NFC.
    assert faults(await register(house, name="\u0958" * 101)) == [("name", "too_long")]

    answer = await register(house, name="\u0958" * 100)
    assert answer.status_code == 201
    assert len(answer.json()["name"]) == 200


async def test_a_name_that_shrinks_by_normalisation_is_measured_after_it(house: House) -> None:
    answer = await register(house, name="e\u0301" * 200)

    assert (answer.status_code, answer.json()["name"]) == (201, "é" * 200)


async def test_t10_weak_passwords_are_refused_wherever_one_is_set(house: House) -> None:
    root = await house.superuser()
    ada = await house.register("ada@example.com", username="ada99", name="Ada Lovelace")
    person = {"email": "ada@example.org", "name": "Ada Lovelace", "username": "ada98"}
    before = house.auth.passwords.calls

    for password in WEAK:
        registered = await register(house, **person, password=password)
        created = await root.post("/users", person | {"password": password})
        changed = await ada.post("/users/me/password", {"current_password": PASSWORD, "new_password": password})

        assert faults(registered) == faults(created) == [("password", "weak_password")], password
        assert faults(changed) == [("new_password", "weak_password")], password
        assert password not in registered.text + created.text + changed.text
    assert house.auth.passwords.calls == before


async def test_t07_a_long_password_is_refused_before_it_is_hashed(house: House) -> None:
    for password in ("zq7canary " * 1000, "🐎" * 257, "e\u0301" * 600):
        assert faults(await register(house, password=password)) == [("password", "too_long")]

    huge = await house.client.post("/auth/register", json={"email": "a@example.com", "password": "zq7canary" * 120_000})

    assert (huge.status_code, huge.json()["code"]) == (413, "body_too_large")
    assert house.auth.passwords.calls == 0


async def test_a_taken_name_is_refused_before_anything_is_hashed(house: House) -> None:
    await register(house, username="ada")
    before = house.auth.passwords.calls

    await register(house)
    await register(house, email="other@example.com", username="ADA")

    assert house.auth.passwords.calls == before


async def test_registrations_are_limited_by_network(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(register="2/1h"))
    answers = [await register(house, email=f"ada{n}@example.com") for n in range(3)]
    elsewhere = house.new_client("203.0.113.9")

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].json()["code"] == "too_many_requests"
    assert answers[2].headers["retry-after"] == "3600"
    body = {"email": "ada9@example.com", "password": PASSWORD}
    assert (await elsewhere.post("/auth/register", json=body)).status_code == 201
    house.clock.tick(hours=1)
    assert (await register(house, email="ada7@example.com")).status_code == 201


SPELLINGS = ("ada@example.com", "ADA@EXAMPLE.COM", "Ada@Example.Com", " ada@example.com")


async def test_t58_of_many_registrations_of_one_address_one_wins(house: House) -> None:
    answers = await asyncio.gather(*(register(house, email=SPELLINGS[n % 4]) for n in range(12)))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"email_taken"}
    assert len(await house.rows("users")) == len(await house.rows("passwords")) == 1


async def test_t58_of_many_registrations_of_one_username_one_wins(house: House) -> None:
    names = ("ada", "Ada", "ADA", "aDa")
    answers = await asyncio.gather(
        *(register(house, email=f"ada{n}@example.com", username=names[n % 4]) for n in range(12))
    )

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"username_taken"}
    assert len(await house.rows("users")) == len(await house.rows("passwords")) == 1


async def test_t58_a_registration_and_a_change_to_the_same_address_have_one_winner(house: House) -> None:
    root = await house.superuser()
    others = [await house.register(f"other{n}@example.com") for n in range(8)]

    async def move(person: Person) -> Any:
        return await root.patch(f"/users/{person.id}", {"email": "Ada@example.com"})

    answers = await asyncio.gather(*(move(person) for person in others), *(register(house) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers)[1:] == [409] * 15
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"email_taken"}
    assert len(await house.rows("users", email_key="ada@example.com")) == 1


async def test_t58_usernames_changed_at_once_have_one_winner(house: House) -> None:
    people = [await house.register(f"p{n}@example.com") for n in range(8)]

    answers = await asyncio.gather(*(person.patch("/users/me", {"username": "ada"}) for person in people))

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"username_taken"}


BODIES = [
    (b'{"email": "a@example.com", "email": "b@example.com", "password": "zq7canary horse"}', 400, "malformed_json"),
    (b"", 400, "malformed_json"),
    (b"{", 400, "malformed_json"),
    (b'{"email": NaN}', 400, "malformed_json"),
    (b'\xef\xbb\xbf{"email": "a@example.com"}', 400, "malformed_json"),
    ('{"email": "a@example.com"}'.encode("utf-16"), 400, "malformed_json"),
    (b'{"profile":' + b"[" * 100 + b"]" * 100 + b"}", 400, "malformed_json"),
    (b"[]", 422, "invalid_input"),
    (b'{"email": "a\\u0000@example.com", "password": "zq7canary horse"}', 422, "invalid_input"),
    (b'{"email": "a@example.com", "password": "zq7canary\\ud800 horse"}', 422, "invalid_input"),
    (b'{"name": "zq7canary"', 400, "malformed_json"),
]


async def test_a_body_that_is_no_such_document_changes_nothing(house: House) -> None:
    for body, status, code in BODIES:
        answer = await house.client.post("/auth/register", content=body, headers={"content-type": "application/json"})

        assert (answer.status_code, answer.json()["code"]) == (status, code), body
        assert "zq7canary" not in answer.text
    assert await house.rows("users") == []


async def test_a_registration_is_json_and_nothing_else(house: House) -> None:
    body = b'{"email": "ada@example.com", "password": "zq7canary old horse"}'

    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = await house.client.post("/auth/register", content=body, headers={"content-type": kind})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type"), kind
    assert await house.rows("users") == []
