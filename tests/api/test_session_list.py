"""`/auth/sessions`: where one is logged in, and ending that."""

import asyncio
from typing import Any

from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, Person, of_requests

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def sessions(person: Person, **params: Any) -> list[dict[str, Any]]:
    """All of them, page by page."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = (await person.get("/auth/sessions", params=params | ({"cursor": cursor} if cursor else {}))).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def test_a_session_says_where_and_when(house: House) -> None:
    await house.register()
    house.clock.tick(seconds=1)
    client = house.new_client("203.0.113.9", headers={"User-Agent": FIREFOX})
    tokens = (await client.post("/auth/login", json={"login": "ada@example.com", "password": PASSWORD})).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}

    answer = await client.get("/auth/sessions", headers=bearer)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["items"][0] == {
        "id": tokens["session_id"],
        "created_at": "2026-11-21T09:30:01.123456Z",
        "last_seen_at": "2026-11-21T09:30:01.123456Z",
        "expires_at": "2026-12-21T09:30:01.123456Z",
        "ip": "203.0.113.9",
        "user_agent": FIREFOX,
        "device": "Firefox on Linux",
        "current": True,
    }
    assert [item["current"] for item in answer.json()["items"]] == [True, False]


async def test_the_list_is_newest_first_and_pages_are_complete(house: House) -> None:
    ada = await house.register()
    for n in range(6):
        house.clock.tick(seconds=n % 2)
        await ada.log_in()

    everything = await sessions(ada)

    assert len({item["id"] for item in everything}) == 7
    assert [item["created_at"] for item in everything] == sorted((i["created_at"] for i in everything), reverse=True)
    for limit in (1, 2, 3, 6, 7):
        assert await sessions(ada, limit=limit) == everything
    for bad in ("0", "201", "x"):
        assert (await ada.get("/auth/sessions", params={"limit": bad})).status_code == 422


async def test_an_ended_session_is_not_listed(house: House) -> None:
    ada = await house.register()
    phone, tablet = await ada.log_in(), await ada.log_in()

    assert (await ada.delete(f"/auth/sessions/{phone.tokens['session_id']}")).status_code == 204
    await tablet.post("/auth/logout")

    assert [item["id"] for item in await sessions(ada)] == [ada.tokens["session_id"]]
    assert not await phone.is_in()
    assert (await phone.refresh()).json()["code"] == "invalid_refresh_token"
    again = await ada.delete(f"/auth/sessions/{phone.tokens['session_id']}")
    assert (again.status_code, again.json()["code"]) == (404, "not_found")


async def test_an_expired_session_is_not_listed_and_cannot_be_ended(house: House) -> None:
    ada = await house.register()
    phone = await ada.log_in()
    for _ in range(2):
        house.clock.tick(days=20)
        await ada.refresh()

    assert [item["id"] for item in await sessions(ada)] == [ada.tokens["session_id"]]
    assert (await ada.delete(f"/auth/sessions/{phone.tokens['session_id']}")).status_code == 404


async def test_one_can_end_the_session_one_is_in(house: House) -> None:
    ada = await house.register()

    assert (await ada.delete(f"/auth/sessions/{ada.tokens['session_id']}")).status_code == 204
    assert not await ada.is_in()


async def test_t28_the_session_of_somebody_else_is_not_found(house: House) -> None:
    ada, eve = await house.register(), await house.register("eve@example.com")
    own = ada.tokens["session_id"]
    unknown = await eve.delete("/auth/sessions/01a1fd70-f23b-77c2-ae3e-96f52710aad9")

    with house.statements() as for_unknown:
        await eve.delete("/auth/sessions/01a1fd70-f23b-77c2-ae3e-96f52710aad9")
    with house.statements() as for_foreign:
        foreign = await eve.delete(f"/auth/sessions/{own}")

    assert (foreign.status_code, foreign.content) == (unknown.status_code, unknown.content)
    assert foreign.status_code == 404
    assert of_requests(for_foreign) == of_requests(for_unknown)
    for spelling in (own.upper(), f"{{{own}}}", f"urn:uuid:{own}", own.replace("-", ""), f"{own}%20"):
        assert (await eve.delete(f"/auth/sessions/{spelling}")).status_code == 404
        assert (await ada.delete(f"/auth/sessions/{spelling}")).status_code == 404
    assert await ada.is_in()


async def test_all_sessions_can_be_ended_with_or_without_this_one(house: House) -> None:
    ada, eve = await house.register(), await house.register("eve@example.com")
    others = [await ada.log_in() for _ in range(3)]

    spared = await ada.delete("/auth/sessions", params={"keep_current": "true"})
    assert (spared.status_code, spared.json()) == (200, {"revoked": 3})
    assert [await person.is_in() for person in (ada, *others)] == [True, False, False, False]
    assert (await ada.refresh()).status_code == 200

    await ada.log_in()
    everything = await ada.delete("/auth/sessions")
    assert (everything.status_code, everything.json()) == (200, {"revoked": 2})
    assert not await ada.is_in()
    assert await eve.is_in()


async def test_t28_one_session_too_many_ends_the_oldest(make_house: MakeHouse) -> None:
    house = await make_house(max_sessions_per_user=3)
    people = [await house.register()]
    for _ in range(4):
        house.clock.tick(seconds=1)
        people.append(await people[0].log_in())

    assert [await person.is_in() for person in people] == [False, False, True, True, True]
    assert len(await sessions(people[-1])) == 3
    details = [row["detail"] for row in await house.rows("audit_events", kind="session_ended")]
    assert details == ["too many sessions"] * 2


async def test_t28_the_cap_holds_for_logins_at_once(make_house: MakeHouse) -> None:
    house = await make_house(max_sessions_per_user=3)
    await house.register()
    house.clock.tick(seconds=1)
    body = {"login": "ada@example.com", "password": PASSWORD}

    answers = await asyncio.gather(*(house.client.post("/auth/login", json=body) for _ in range(12)))

    assert {answer.status_code for answer in answers} == {200}
    assert len([row for row in await house.rows("sessions") if row["ended_at"] is None]) == 3


async def test_t28_a_user_agent_is_cut_and_freed_of_controls(house: House) -> None:
    await house.register()
    script = "<script>alert('zq7canary')</script>"
    sent = (
        ("x" * 60_000, "x" * 512, "Unknown device"),
        (script, script, "Unknown device"),
        ("a\u202eb\u200bc", "abc", "Unknown device"),
        ("", "", "Unknown device"),
        ("curl/8.0", "curl/8.0", "curl"),
    )
    for header, kept, device in sent:
        house.clock.tick(seconds=1)
        client = house.new_client(headers={"User-Agent": header.encode()})
        answer = await client.post("/auth/login", json={"login": "ada@example.com", "password": PASSWORD})
        assert answer.status_code == 200
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        page = await client.get("/auth/sessions", headers=bearer)
        assert page.headers["content-type"] == "application/json"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert (page.json()["items"][0]["user_agent"], page.json()["items"][0]["device"]) == (kept, device)


async def test_a_cursor_of_somebody_elses_list_is_refused(house: House) -> None:
    ada, eve = await house.register(), await house.register("eve@example.com")
    await ada.log_in()
    cursor = (await ada.get("/auth/sessions", params={"limit": 1})).json()["next_cursor"]

    answer = await eve.get("/auth/sessions", params={"cursor": cursor})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")
