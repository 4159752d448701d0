"""`POST /auth/forgot-password` and `POST /auth/reset-password`: back in by a link in a mail."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from propusk.context import Context
from propusk.crypto.passwords import PasswordHasher
from propusk.errors import InvalidToken, NotFound
from propusk.events import EmailChangeUndone, publish
from propusk.features.password.change import set_password
from propusk.features.password.register import create_user_with_password
from propusk.features.password.reset import reset_password
from propusk.mail import MailError
from propusk.one_time.issue import issue, token_of
from propusk.one_time.models import Purpose
from propusk.one_time.queries import list_live
from propusk.passwords.queries import replace_hash
from propusk.users.change import change_user
from propusk.users.queries import find_user, update_user
from tests.conftest import MakeHouse
from tests.kit import CHEAP, PASSWORD, House, Person, limits, of_requests

NEW = "zq7canary new horse"
NEWER = "zq7canary newer horse"


async def forget(house: House, email: str = "ada@example.com", **options: Any) -> httpx.Response:
    answer = await house.client.post("/auth/forgot-password", json={"email": email}, **options)
    assert answer.status_code == 202, answer.text
    return answer


async def links(house: House, email: str | None = None) -> list[str]:
    """The tokens of all links to set a password that were sent to this address, or to anybody; oldest first."""
    texts = [mail.text for mail in await house.mails(email)]
    return [token for text in texts for token in re.findall(r"/reset-password\?token=(\S+)", text)]


async def new_link(house: House, email: str = "ada@example.com") -> str:
    """The token of a new link to this address."""
    before = await links(house, email)
    await forget(house, email)
    after = await links(house, email)
    assert len(after) == len(before) + 1
    return after[-1]


async def reset(house: House, token: object, password: object = NEW) -> httpx.Response:
    return await house.client.post("/auth/reset-password", json={"token": token, "password": password})


async def code(house: House, token: object, password: object = NEW) -> str:
    """The code that a use of this link is refused with."""
    answer = await reset(house, token, password)
    assert 400 <= answer.status_code < 500, answer.status_code
    assert "zq7canary" not in answer.text
    return str(answer.json()["code"])


async def can_log_in(house: House, password: str, email: str = "ada@example.com") -> bool:
    answer = await house.client.post("/auth/login", json={"login": email, "password": password})
    assert answer.status_code in (200, 401, 403), answer.text
    return answer.status_code == 200


async def change(house: House, person: Person, **changes: Any) -> None:
    """Change fields of a user, as an operator does."""
    await house.do(lambda ctx: change_user(ctx, user_id=UUID(person.id), changes=changes, actor_id=None))


async def give_token(house: House, person: Person, purpose: Purpose) -> str:
    """A live token of this user, with another purpose, say."""

    async def make(ctx: Context) -> str:
        hours = timedelta(hours=1)
        return token_of(ctx, await issue(ctx, purpose, email_key=person.email, ttl=hours, user_id=UUID(person.id)))

    return str(await house.do(make))


async def live(house: House, person: Person, purpose: Purpose) -> int:
    """How many tokens of this purpose the user could still use."""
    return len(await house.do(lambda ctx: list_live(ctx, UUID(person.id), purpose)))


async def test_a_link_sets_a_new_password_and_nobody_is_logged_in_by_it(house: House) -> None:
    ada = await house.register()
    token = await new_link(house)

    answer = await reset(house, token)

    assert (answer.status_code, answer.content) == (204, b"")
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert not await can_log_in(house, PASSWORD)
    assert await can_log_in(house, NEW)
    assert len(await house.rows("sessions", user_id=UUID(ada.id))) == 2


async def test_t25_every_session_of_the_user_ends_and_nobody_elses(house: House) -> None:
    ada, eve = await house.register(), await house.register("eve@example.com")
    phone = await ada.log_in()

    await reset(house, await new_link(house))

    for device in (ada, phone):
        assert not await device.is_in()
        assert (await device.refresh()).json()["code"] == "invalid_refresh_token"
    assert await eve.is_in()


async def test_t02_the_answer_is_the_same_for_everybody(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(mail_address="2/1h"))
    for name in ("ada", "off", "over"):
        await house.register(f"{name}@example.com")
    off = await house.log_in("off@example.com")
    await change(house, off, is_active=False)
    fields = {"email": "empty@example.com", "is_verified": True}
    await house.do(lambda ctx: create_user_with_password(ctx, actor=None, password=None, **fields))
    before = len(await house.mails())
    seen: dict[str, Any] = {}
    hashes = house.auth.passwords.calls

    for name in ("ada", "nobody", "off", "empty", "over", "over", "over"):
        with house.statements() as statements:
            answer = await forget(house, f"{name}@example.com")
        headers = [line for line in answer.headers.multi_items() if line[0] != "x-request-id"]
        seen[name] = (answer.content, headers, of_requests(statements))

    assert seen["nobody"] == seen["ada"] == seen["off"] == seen["empty"]
    assert seen["over"][:2] == seen["ada"][:2] == (b"", seen["ada"][1])
    assert not re.search("users|passwords", " ".join(seen["ada"][2])), "nobody is looked up"
    assert house.auth.passwords.calls == hashes
    states = {row["args"].get("email"): row["state"] for row in await house.rows("mails", kind="reset_password")}
    assert states["nobody@example.com"] == states["ada@example.com"] == "queued"
    assert len(await house.rows("mails", kind="reset_password", state="queued")) == 6
    to = [mail.to for mail in (await house.mails())[before:]]
    assert sorted(to) == ["ada@example.com", "empty@example.com", "over@example.com", "over@example.com"]


async def test_one_network_cannot_have_mails_sent_for_ever(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(mail_network="3/1h"))
    for name in ("a", "b", "c"):
        await forget(house, f"{name}@example.com")

    over = await house.client.post("/auth/forgot-password", json={"email": "d@example.com"})

    assert (over.status_code, over.json()["code"]) == (429, "too_many_requests")
    assert int(over.headers["retry-after"]) > 0
    other = house.new_client("203.0.113.9")
    assert (await other.post("/auth/forgot-password", json={"email": "d@example.com"})).status_code == 202
    assert len(await house.rows("mails", kind="reset_password")) == 4


async def test_t39_an_address_gets_so_many_mails_and_no_more(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(mail_address="2/1h"))
    await house.register()
    for n in range(6):
        client = house.new_client(f"203.0.113.{n}")
        spelled = ("ada@example.com", "ADA@example.com", " Ada@EXAMPLE.com")[n % 3]
        assert (await client.post("/auth/forgot-password", json={"email": spelled})).status_code == 202
    assert len(await links(house, "ada@example.com")) == 2

    house.clock.tick(hours=1)
    await forget(house)
    assert len(await links(house, "ada@example.com")) == 3


@pytest.mark.parametrize("email", ["", "ada", "ada@example.com,eve@example.com", "ada@example.com\r\nBcc: eve@x.org"])
async def test_what_is_no_address_is_refused(house: House, email: str) -> None:
    answer = await house.client.post("/auth/forgot-password", json={"email": email})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "email")
    assert await house.rows("mails") == []


async def test_t40_the_mail_goes_to_the_address_that_is_stored(house: House) -> None:
    await house.register("Ada@Example.com")

    await house.mails()
    await forget(house, "aDA@eXAMPLE.com")

    assert [mail.to for mail in await house.mails()][-1] == "Ada@Example.com"


async def test_t38_links_are_built_from_public_url_alone(house: House) -> None:
    await house.register()
    for headers in (
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher", "X-Forwarded-Prefix": "/evil"},
        {"Forwarded": 'host="evil.example";proto=gopher'},
        {"Host": "127.0.0.1:8000@evil.example"},
    ):
        await forget(house, headers=headers)
    mails = [mail for mail in await house.mails() if "reset-password" in mail.text]
    assert len(mails) == 4
    for mail in mails:
        assert f"{house.auth.settings.public_url}/reset-password?token=" in mail.text
        assert "evil" not in mail.text + mail.html + mail.subject + mail.message_id


async def test_t39_a_link_works_once(house: House) -> None:
    await house.register()
    token = await new_link(house)

    assert (await reset(house, token)).status_code == 204
    assert await code(house, token, NEWER) == "invalid_token"
    assert await can_log_in(house, NEW)


async def test_t39_of_many_uses_at_once_one_wins(house: House) -> None:
    ada = await house.register()
    token = await new_link(house)

    answers = await asyncio.gather(*(reset(house, token, f"zq7canary horse {n}") for n in range(12)))

    codes = sorted(str(answer.status_code == 204 or answer.json()["code"]) for answer in answers)
    assert codes == ["True"] + ["invalid_token"] * 11
    winner = [answer.status_code for answer in answers].index(204)
    assert await can_log_in(house, f"zq7canary horse {winner}")
    kinds = [row["kind"] for row in await house.rows("audit_events", user_id=UUID(ada.id))]
    assert kinds.count("password_changed") == 1
    assert len([mail for mail in await house.mails(ada.email) if "changed" in mail.subject]) == 1


async def test_t39_a_link_that_expired_says_so(house: House) -> None:
    await house.register()
    token = await new_link(house)

    house.clock.tick(minutes=59, seconds=59)
    assert await code(house, token, "short") == "invalid_input"
    house.clock.tick(seconds=1)

    assert await code(house, token) == "expired_token"
    assert await can_log_in(house, PASSWORD)


async def test_t39_what_is_no_token_is_refused(house: House) -> None:
    ada = await house.register()
    token = await new_link(house)
    hashes = house.auth.passwords.calls

    for text in ("", " ", token[:-1], token + "A", token.upper(), "pot1_" + "A" * 43, token[5:], "é" * 48, "%"):
        assert await code(house, text) == "invalid_token"
    for thing in (None, [], {}, [token], {"$ne": ""}, 0, True):
        assert await code(house, thing) == "invalid_input"
    whole = {"token": token, "password": NEW}
    for body in ({}, {"token": token}, {"password": NEW}, whole | {"email": "eve@example.com"}):
        answer = await house.client.post("/auth/reset-password", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    for purpose in set(Purpose) - {Purpose.RESET}:
        assert await code(house, await give_token(house, ada, purpose)) == "invalid_token"

    assert house.auth.passwords.calls == hashes, "a hash is for who has a link"
    assert (await reset(house, token)).status_code == 204


async def test_t39_a_refused_password_does_not_use_the_link_up(house: House) -> None:
    await house.register(username="countess")
    token = await new_link(house)
    hashes = house.auth.passwords.calls

    for password, fault in (
        ("zq7cana", "too_short"),
        ("zq7canary" * 29, "too_long"),
        ("Countess1", "weak_password"),
        (12345678, "wrong_type"),
        (None, "wrong_type"),
    ):
        answer = await reset(house, token, password)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "password")
        assert answer.json()["errors"][0]["code"] == fault

    assert house.auth.passwords.calls == hashes
    assert (await reset(house, token)).status_code == 204


async def test_t39_the_use_of_a_newer_link_voids_the_older_ones(house: House) -> None:
    await house.register()
    older, newer, newest = [await new_link(house) for _ in range(3)]

    assert len({older, newer, newest}) == 3
    assert (await reset(house, newer)).status_code == 204
    assert await code(house, older, NEWER) == "invalid_token"
    assert await code(house, newest, NEWER) == "invalid_token"


async def test_t39_a_newer_link_that_nobody_used_leaves_the_older_one_as_it_is(house: House) -> None:
    await house.register()
    older = await new_link(house)
    await new_link(house)

    assert (await reset(house, older)).status_code == 204


async def test_t39_at_most_five_links_live(house: House) -> None:
    ada = await house.register()
    tokens = []
    for _ in range(6):
        tokens.append(await new_link(house))
        house.clock.tick(seconds=1)

    assert await live(house, ada, Purpose.RESET) == 5
    assert await code(house, tokens[0]) == "invalid_token"
    assert (await reset(house, tokens[1])).status_code == 204


async def test_t39_the_newest_link_lives_though_the_clock_was_set_back_and_others_seem_newer(house: House) -> None:
    ada = await house.register()
    house.clock.tick(minutes=5)
    for _ in range(5):
        await new_link(house)
    house.clock.tick(minutes=-2)

    newest = await new_link(house)

    assert await live(house, ada, Purpose.RESET) == 5
    assert (await reset(house, newest)).status_code == 204


async def test_t39_a_changed_password_voids_links(house: House) -> None:
    ada = await house.register()
    first = await new_link(house)
    await give_token(house, ada, Purpose.CHANGE_EMAIL)
    await give_token(house, ada, Purpose.UNDO_EMAIL)

    changed = await ada.post("/users/me/password", {"current_password": PASSWORD, "new_password": NEW})
    assert changed.status_code == 204
    assert await code(house, first) == "invalid_token"
    assert await live(house, ada, Purpose.CHANGE_EMAIL) == 0
    assert await live(house, ada, Purpose.UNDO_EMAIL) == 1, "a thief who changes the password must not void the undo"

    second = await new_link(house)
    await give_token(house, ada, Purpose.CHANGE_EMAIL)

    async def by_an_operator(ctx: Context) -> None:
        user = await find_user(ctx, UUID(ada.id))
        assert user is not None
        await set_password(ctx, user=user, password=NEWER, actor_id=None)

    await house.do(by_an_operator)
    assert await code(house, second) == "invalid_token"
    assert await live(house, ada, Purpose.CHANGE_EMAIL) == 0
    assert await can_log_in(house, NEWER)


async def overwrite(house: House, person: Person) -> None:
    """Replace a password as whatever else writes to the table may do."""

    async def act(ctx: Context) -> None:
        await replace_hash(ctx, UUID(person.id), await ctx.passwords.hash(NEWER, share="test"))

    await house.do(act)


async def test_t39_a_link_is_bound_to_the_password_even_where_nobody_voids_it(house: House) -> None:
    ada = await house.register()
    token = await new_link(house)

    await overwrite(house, ada)

    assert await live(house, ada, Purpose.RESET) == 1
    assert await code(house, token) == "invalid_token"
    assert await can_log_in(house, NEWER)


async def test_t39_a_changed_address_voids_links_even_when_it_is_changed_back(house: House) -> None:
    ada, eve = await house.register(), await house.register("eve@example.com")
    token, hers = await new_link(house), await new_link(house, "eve@example.com")

    await change(house, ada, email="countess@example.com")
    assert await code(house, token) == "invalid_token"
    await change(house, ada, email="ada@example.com")
    assert await code(house, token) == "invalid_token"
    await change(house, eve, name="Eve")
    assert (await reset(house, hers)).status_code == 204, "other fields are no reason"


async def test_t24_a_disabled_user_gets_no_link_and_can_use_none(house: House) -> None:
    ada = await house.register()
    token = await new_link(house)
    await forget(house)  # waits in the outbox
    await change(house, ada, is_active=False)

    assert await code(house, token) == "invalid_token"
    await forget(house)
    assert len(await links(house)) == 1

    await change(house, ada, is_active=True)
    assert await code(house, token) == "invalid_token", "enabling revives nothing"
    assert (await reset(house, await new_link(house))).status_code == 204


async def test_t24_a_deleted_users_link_does_not_fit_who_comes_after(house: House) -> None:
    ada = await house.register()
    token = await new_link(house)
    await ada.delete("/users/me", {"password": PASSWORD})
    await house.register(password=NEWER)

    assert await code(house, token) == "invalid_token"
    assert await can_log_in(house, NEWER)


async def test_ending_all_sessions_leaves_links_as_they_are(house: House) -> None:
    """Or a thief could keep the owner out by doing so again and again."""
    ada = await house.register()
    token = await new_link(house)
    await ada.delete("/auth/sessions?keep_current=true")

    assert (await reset(house, token)).status_code == 204
    assert not await ada.is_in()


async def test_t25_no_refresh_and_no_login_in_flight_survives_a_reset(house: House) -> None:
    password = PASSWORD
    await house.register()
    for n in range(12):
        devices = [await house.log_in("ada@example.com", password) for _ in range(3)]
        token = await new_link(house)
        login = {"login": "ada@example.com", "password": password}
        password = f"zq7canary horse number {n}"
        late, done, *_ = await asyncio.gather(
            house.client.post("/auth/login", json=login),
            reset(house, token, password),
            *(device.refresh() for device in devices),
            house.client.post("/auth/login", json=login),
        )
        assert done.status_code == 204
        assert late.status_code in (200, 401)
        if late.status_code == 200:
            devices.append(Person(house, "", "", "", house.new_client(), late.json()))
        for device in devices:
            assert not await device.is_in()
            assert (await device.refresh()).json()["code"] == "invalid_refresh_token"
        house.clock.tick(minutes=2)


async def test_t25_a_reset_and_a_change_at_once_leave_one_password(house: House) -> None:
    for n in range(6):
        ada = await house.register(f"ada{n}@example.com")
        token = await new_link(house, ada.email)
        changed, done = await asyncio.gather(
            ada.post("/users/me/password", {"current_password": PASSWORD, "new_password": NEWER}), reset(house, token)
        )
        assert {changed.status_code, done.status_code} in ({204, 400}, {401, 204}, {403, 204}), changed.text
        assert [await can_log_in(house, word, ada.email) for word in (PASSWORD, NEW, NEWER)] == [
            False,
            done.status_code == 204,
            changed.status_code == 204,
        ]


class Meanwhile(PasswordHasher):
    """Hashes as slowly as it takes for something else to happen."""

    def __init__(self, act: Callable[[], Awaitable[object]]) -> None:
        super().__init__(CHEAP, entropy=os.urandom, threads=1)
        self._act = act

    async def hash(self, password: str, *, share: str) -> str:
        await self._act()
        return await super().hash(password, share=share)


async def test_t24_a_password_that_an_operator_sets_is_nobodys_when_the_user_is_deleted_meanwhile(house: House) -> None:
    ada = await house.register()
    slow = Meanwhile(lambda: ada.delete("/users/me", {"password": PASSWORD}))

    async def by_an_operator(ctx: Context) -> None:
        user = await find_user(ctx, UUID(ada.id))
        assert user is not None
        await set_password(replace(ctx, passwords=slow), user=user, password=NEWER, actor_id=None)

    try:
        with pytest.raises(NotFound):
            await house.do(by_an_operator)
    finally:
        slow.close()

    assert await house.rows("users") == []
    assert await house.rows("audit_events", kind="password_changed") == []


async def test_t24_a_user_who_was_disabled_past_us_can_use_no_link(house: House) -> None:
    ada = await house.register()
    token = await new_link(house)

    await house.do(lambda ctx: update_user(ctx, UUID(ada.id), {"is_active": False}))

    assert await live(house, ada, Purpose.RESET) == 1
    assert await code(house, token) == "invalid_token"


@pytest.mark.parametrize(
    "what", ["another link", "this link", "change", "overwrite", "deactivate", "delete", "move", "nothing"]
)
async def test_t39_what_happens_while_the_new_password_is_hashed_decides(house: House, what: str) -> None:
    ada = await house.register()
    token, other = await new_link(house), await new_link(house)
    body = {"current_password": PASSWORD, "new_password": NEWER}
    acts: dict[str, Callable[[], Awaitable[object]]] = {
        "another link": lambda: reset(house, other, NEWER),
        "this link": lambda: reset(house, token, NEWER),
        "change": lambda: ada.post("/users/me/password", body),
        "overwrite": lambda: overwrite(house, ada),
        "deactivate": lambda: change(house, ada, is_active=False),
        "delete": lambda: ada.delete("/users/me", {"password": PASSWORD}),
        "move": lambda: change(house, ada, email="countess@example.com"),
        "nothing": lambda: ada.get("/users/me"),
    }
    slow = Meanwhile(acts[what])

    async def use(ctx: Context) -> None:
        await reset_password(replace(ctx, passwords=slow), token=token, password=NEW)

    try:
        if what == "nothing":
            await house.do(use)
        else:
            with pytest.raises(InvalidToken):
                await house.do(use)
    finally:
        slow.close()

    email = "countess@example.com" if what == "move" else ada.email
    assert await can_log_in(house, NEW, email) is (what == "nothing")
    assert await can_log_in(house, NEWER) is (what in ("another link", "this link", "change", "overwrite"))


async def test_t41_a_reset_takes_an_account_back_from_who_made_it_in_the_owners_name(house: House) -> None:
    thief = await house.register("ada@example.com")
    for purpose in (Purpose.CHANGE_EMAIL, Purpose.UNDO_EMAIL, Purpose.VERIFY):
        await give_token(house, thief, purpose)

    assert (await reset(house, await new_link(house))).status_code == 204

    assert not await thief.is_in()
    assert (await thief.refresh()).json()["code"] == "invalid_refresh_token"
    assert not await can_log_in(house, PASSWORD)
    for purpose in Purpose:
        assert await live(house, thief, purpose) == 0, purpose
    owner = await house.log_in("ada@example.com", NEW)
    assert (await owner.get("/users/me")).json()["is_verified"] is True
    events = await house.rows("audit_events", user_id=UUID(thief.id), kind="email_verified")
    assert [event["detail"] for event in events] == ["reset"]


async def test_a_verified_user_is_verified_once_and_keeps_the_undo(house: House) -> None:
    ada = await house.register()
    await change(house, ada, is_verified=True)
    await give_token(house, ada, Purpose.UNDO_EMAIL)

    assert (await reset(house, await new_link(house))).status_code == 204

    assert await live(house, ada, Purpose.UNDO_EMAIL) == 1
    assert await house.rows("audit_events", kind="email_verified") == []


async def test_who_was_made_without_a_password_is_sent_a_link_that_sets_one(house: House) -> None:
    root = await house.superuser()
    made = await root.post("/users", {"email": "grace@example.com", "locale": "ru"})
    assert made.status_code == 201

    mail = await house.last_mail("grace@example.com")
    assert mail.language == "ru"
    assert not await can_log_in(house, NEW, "grace@example.com")
    house.clock.tick(hours=23)
    (token,) = await links(house, "grace@example.com")
    assert (await reset(house, token)).status_code == 204

    grace = await house.log_in("grace@example.com", NEW)
    assert (await grace.get("/users/me")).json()["is_verified"] is True


async def test_who_was_made_with_a_password_hears_of_it(house: House) -> None:
    root = await house.superuser()
    fields = {"email": "grace@example.com", "password": NEW}
    assert (await root.post("/users", fields)).status_code == 201

    assert await links(house) == []
    (mail,) = [mail for mail in await house.mails("grace@example.com") if "account" in mail.subject]
    assert "?token=" not in mail.text
    assert "zq7canary" not in mail.text


async def test_the_link_for_a_first_password_is_not_sent_to_who_has_one_by_then(house: House) -> None:
    await house.do(lambda ctx: create_user_with_password(ctx, actor=None, password=None, email="grace@example.com"))
    (row,) = await house.rows("users", email_key="grace@example.com")

    async def choose(ctx: Context) -> None:
        user = await find_user(ctx, row["id"])
        assert user is not None
        await set_password(ctx, user=user, password=NEW, actor_id=None)

    await house.do(choose)

    assert await links(house) == []


async def test_an_undone_change_of_the_address_voids_the_password_and_sends_a_link(house: House) -> None:
    ada = await house.register()
    token = await new_link(house)

    await house.do(lambda ctx: publish(ctx, EmailChangeUndone(user_id=UUID(ada.id), actor_id=None)))

    assert not await can_log_in(house, PASSWORD)
    assert await code(house, token) == "invalid_token"
    assert (await reset(house, (await links(house, "ada@example.com"))[-1])).status_code == 204
    assert await can_log_in(house, NEW)


async def test_a_mail_that_is_written_again_has_the_same_link(house: House) -> None:
    ada = await house.register()
    house.mailer.failing = MailError("away", permanent=False)
    await forget(house)
    assert await links(house) == []
    assert await live(house, ada, Purpose.RESET) == 1

    house.mailer.failing = None
    house.clock.tick(minutes=2)
    (token,) = await links(house)

    assert await live(house, ada, Purpose.RESET) == 1
    assert (await reset(house, token)).status_code == 204


async def test_a_link_that_is_void_by_then_is_not_sent(house: House) -> None:
    await house.register()
    house.mailer.failing = MailError("away", permanent=False)
    await forget(house)
    assert await links(house) == []
    house.mailer.failing = None
    await forget(house)
    (used,) = await links(house)
    assert (await reset(house, used)).status_code == 204

    house.clock.tick(minutes=5)

    assert await links(house) == [used]
    states = sorted(row["state"] for row in await house.rows("mails", kind="reset_password"))
    assert states == ["sent", "skipped"]
