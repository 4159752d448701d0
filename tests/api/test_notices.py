"""What the owner of an account is told by mail: a new device, a new password, a stolen session, a closed account."""

import asyncio
from uuid import UUID

import httpx
import pytest

from propusk.context import Client
from propusk.features.password.change import set_password
from propusk.mail.models import Message
from propusk.users.change import change_user
from propusk.users.queries import find_user
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, Person

NEW = "zq7canary new horse"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:{}) Gecko/20100101 Firefox/{}"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 Version/26.0 Mobile Safari/604.1"
KINDS = ("new_device", "password_changed", "session_stolen", "account_deactivated")


async def told(house: House, kind: str) -> list[Message]:
    """The mails of this kind that went out so far."""
    await house.mails()
    ids = {f"<{row['id']}@" for row in await house.rows("mails", kind=kind)}
    return [mail for mail in house.mailer.messages if mail.message_id.partition("@")[0] + "@" in ids]


async def log_in(
    house: House, agent: str, address: str = "198.51.100.7", password: str = PASSWORD, **options: str
) -> httpx.Response:
    client = house.new_client(address, headers={"User-Agent": agent, **options})
    answer = await client.post("/auth/login", json={"login": "ada@example.com", "password": password})
    assert answer.status_code == 200, answer.text
    return answer


async def operate(house: House, person: Person, **changes: object) -> None:
    await house.do(lambda ctx: change_user(ctx, user_id=UUID(person.id), changes=changes, actor_id=None))


async def test_the_first_login_and_those_from_a_known_device_are_no_news(house: House) -> None:
    await house.register()
    await house.log_in("ada@example.com")
    house.clock.tick(days=29)
    await house.log_in("ada@example.com")

    assert await told(house, "new_device") == []


async def test_a_login_from_a_new_device_or_network_is_told_once(house: House) -> None:
    await house.register()

    for n, (agent, address) in enumerate(((PHONE, "198.51.100.7"), (PHONE, "203.0.113.9"), ("", "203.0.113.9"))):
        for _ in range(3):
            await log_in(house, agent, address)
            assert len(await told(house, "new_device")) == n + 1
    # What was seen there and what was seen here is not yet what was seen together.
    await log_in(house, FIREFOX.format(145, 145), "2001:db8::1")
    await log_in(house, FIREFOX.format(146, 146), "2001:db8::2")
    mails = await told(house, "new_device")
    assert len(mails) == 4
    assert {mail.to for mail in mails} == {"ada@example.com"}


async def test_a_device_is_known_as_long_as_its_session_is_kept(house: House) -> None:
    await house.register()
    tokens = (await log_in(house, PHONE)).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await house.client.post("/auth/logout", headers=bearer)).status_code == 204
    assert len(await told(house, "new_device")) == 1
    before = len(await house.mails())

    house.clock.tick(days=29)
    await log_in(house, PHONE)

    assert len(await house.mails()) == before


async def test_other_peoples_devices_are_not_mine(house: House) -> None:
    await house.register()
    await house.register("eve@example.com")
    body = {"login": "eve@example.com", "password": PASSWORD}
    await house.new_client(headers={"User-Agent": PHONE}).post("/auth/login", json=body)

    await log_in(house, PHONE)

    assert sorted(mail.to for mail in await told(house, "new_device")) == ["ada@example.com", "eve@example.com"]


async def test_the_mail_has_our_words_for_the_device_and_never_theirs(house: House) -> None:
    await house.register()
    lure = "Firefox/1 (Windows) Your account is locked, go to https://evil.example/now"

    await log_in(house, lure, "203.0.113.9")

    (mail,) = await told(house, "new_device")
    for part in (mail.text, mail.html):
        assert "Firefox on Windows" in part
        assert "203.0.113.9" in part
        assert "2026-11-21 09:30 UTC" in part
        assert "evil" not in part
    assert "evil" not in str(await house.rows("mails"))


async def test_two_logins_at_once_from_a_new_device_are_told_once(house: House) -> None:
    await house.register()

    await asyncio.gather(*(log_in(house, PHONE) for _ in range(6)))

    assert len(await told(house, "new_device")) == 1


async def test_to_know_the_device_costs_a_login_no_trip_of_its_own(house: House) -> None:
    await house.register()
    client = house.new_client()

    with house.statements() as statements:
        await client.post("/auth/login", json={"login": "ada@example.com", "password": PASSWORD})

    on_sessions = [statement for statement in statements if "propusk_sessions" in statement]
    assert len(on_sessions) == 3, "who is it, the new session, what else there is"


async def test_the_oldest_session_still_ends_beyond_the_most(make_house: MakeHouse) -> None:
    house = await make_house(max_sessions_per_user=2)
    ada = await house.register()
    house.clock.tick(seconds=1)
    phones = []
    for _ in range(2):
        phones.append((await log_in(house, PHONE)).json()["access_token"])
        house.clock.tick(seconds=1)

    assert not await ada.is_in()
    for token in phones:
        me = await house.client.get("/users/me", headers={"Authorization": f"Bearer {token}"})
        assert me.status_code == 200
    assert len(await told(house, "new_device")) == 1


async def test_a_failed_login_is_told_to_nobody(house: House) -> None:
    await house.register()
    client = house.new_client("203.0.113.9", headers={"User-Agent": PHONE})
    before = len(await house.rows("mails"))

    for _ in range(5):
        await client.post("/auth/login", json={"login": "ada@example.com", "password": "zq7canary wrong horse"})

    assert len(await house.rows("mails")) == before


async def test_a_changed_password_is_told_with_when_and_whence(house: House) -> None:
    ada = await house.register()

    answer = await ada.post("/users/me/password", {"current_password": PASSWORD, "new_password": NEW})

    assert answer.status_code == 204
    (mail,) = await told(house, "password_changed")
    assert mail.to == "ada@example.com"
    for word in ("198.51.100.7", "Python", "2026-11-21 09:30 UTC"):
        assert word in mail.text
    assert "zq7canary" not in mail.text + mail.subject + mail.html


async def test_a_password_that_an_operator_set_is_told_without_where_they_sit(house: House) -> None:
    ada, root = await house.register(), await house.superuser()
    client = Client(ip="203.0.113.200", network="203.0.113.200", user_agent=PHONE)

    async with house.auth.transaction(client) as ctx:
        user = await find_user(ctx, UUID(ada.id))
        assert user is not None
        await set_password(ctx, user=user, password=NEW, actor_id=UUID(root.id))

    (mail,) = await told(house, "password_changed")
    assert "IP address: unknown; device: unknown" in mail.text
    assert "203.0.113.200" not in str(await house.rows("mails"))


async def test_a_refused_change_is_told_to_nobody(house: House) -> None:
    ada = await house.register()

    await ada.post("/users/me/password", {"current_password": "zq7canary wrong horse", "new_password": NEW})

    assert await told(house, "password_changed") == []


@pytest.mark.parametrize("thief_first", [True, False])
async def test_t21_a_thousand_replays_of_a_stolen_token_are_one_mail(house: House, thief_first: bool) -> None:
    ada = await house.register()
    phone = await ada.log_in()
    stolen = ada.tokens["refresh_token"]
    thief, owner = house.new_client("203.0.113.9"), ada.client
    first, second = (thief, owner) if thief_first else (owner, thief)
    assert (await first.post("/auth/refresh", json={"refresh_token": stolen})).status_code == 200
    house.clock.tick(minutes=1)
    answer = await second.post("/auth/refresh", json={"refresh_token": stolen})
    assert answer.json()["code"] == "refresh_token_reused"
    seen = "198.51.100.7" if thief_first else "203.0.113.9"

    for _ in range(100):
        replays = [thief.post("/auth/refresh", json={"refresh_token": stolen}) for _ in range(10)]
        answers = await asyncio.gather(*replays)
        assert {answer.json()["code"] for answer in answers} == {"invalid_refresh_token"}

    (mail,) = await told(house, "session_stolen")
    assert (mail.to, seen in mail.text) == ("ada@example.com", True)
    assert len(await house.rows("audit_events", kind="refresh_token_reuse_detected")) == 1
    assert not await ada.is_in()
    assert await phone.is_in()


async def test_t21_replays_at_once_are_one_mail(house: House) -> None:
    ada = await house.register()
    stolen = ada.tokens["refresh_token"]
    await ada.refresh()
    house.clock.tick(minutes=1)

    answers = await asyncio.gather(*(ada.refresh(stolen) for _ in range(12)))

    codes = sorted(answer.json()["code"] for answer in answers)
    assert codes == ["invalid_refresh_token"] * 11 + ["refresh_token_reused"]
    assert len(await told(house, "session_stolen")) == 1


async def test_who_is_deactivated_hears_of_that_and_of_nothing_else(house: House) -> None:
    ada = await house.register()
    await house.mails()
    await log_in(house, PHONE)  # a notice waits in the outbox

    await operate(house, ada, is_active=False)

    (mail,) = await told(house, "account_deactivated")
    assert (mail.to, "2026-11-21 09:30 UTC" in mail.text) == ("ada@example.com", True)
    assert await told(house, "new_device") == []
    await operate(house, ada, is_active=True)
    await operate(house, ada, name="Ada")
    assert len(await told(house, "account_deactivated")) == 1


async def test_an_account_that_is_open_again_is_not_said_to_be_closed(house: House) -> None:
    ada = await house.register()

    await operate(house, ada, is_active=False)
    await operate(house, ada, is_active=True)

    assert await told(house, "account_deactivated") == []


async def test_a_notice_goes_to_the_address_of_when_it_happened(house: House) -> None:
    ada = await house.register()
    await house.mails()
    await log_in(house, PHONE)
    await operate(house, ada, email="Countess@example.com")

    assert [mail.to for mail in await told(house, "new_device")] == ["ada@example.com"]


async def test_notices_are_in_the_language_of_their_reader(house: House) -> None:
    ada = await house.register()
    await ada.patch("/users/me", {"locale": "ru"})

    await log_in(house, PHONE, **{"Accept-Language": "en"})
    await ada.refresh()
    stolen = ada.tokens["refresh_token"]
    await ada.refresh()
    house.clock.tick(minutes=1)
    await ada.refresh(stolen)
    await ada.log_in()
    await operate(house, ada, is_active=False)

    mails = await told(house, "account_deactivated")
    assert [mail.language for mail in mails] == ["ru"]
    assert {row["state"] for kind in KINDS for row in await house.rows("mails", kind=kind)} == {"sent", "skipped"}


async def test_a_deleted_user_is_told_nothing(house: House) -> None:
    ada = await house.register()
    await house.mails()
    await log_in(house, PHONE)
    assert (await ada.delete("/users/me", {"password": PASSWORD})).status_code == 204

    assert await told(house, "new_device") == []
    assert await house.rows("mails", kind="new_device") == []
