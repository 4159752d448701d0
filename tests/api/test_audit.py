"""The audit trail: every event is a row, and no row tells a secret or a name."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from propusk.events import Event
from propusk.features.audit.record import kind_of
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, limits

WRONG = "zq7canary wrong horse"


async def trail(house: House, **where: Any) -> list[Mapping[str, Any]]:
    """The rows in their order; those of one instant in any."""
    return sorted(await house.rows("audit_events", **where), key=lambda row: (row["at"], row["kind"]))


async def last(house: House, kind: str) -> Mapping[str, Any]:
    rows = await trail(house, kind=kind)
    assert rows, f"no row of {kind}"
    return rows[-1]


async def test_every_event_of_a_life_is_a_row_with_its_actor(house: House) -> None:
    root = await house.superuser()
    ada = await house.register(username="adalovelace")
    phone, tablet = await ada.log_in(), await ada.log_in()
    url, me, admin = f"/users/{ada.id}", ada.id, root.id
    made = await root.post("/users", {"email": "made@example.com"})
    steps: list[tuple[Any, str, str, str, str | None]] = [
        (made, "user_created", made.json()["id"], admin, None),
        (await ada.patch("/users/me", {"name": "Zq7Canary Byron"}), "user_updated", me, me, "name"),
        (await root.patch(url, {"email": "other@example.com"}), "user_updated", me, admin, "email"),
        (await root.patch(url, {"is_superuser": True}), "user_promoted", me, admin, None),
        (await root.patch(url, {"is_superuser": False}), "user_demoted", me, admin, None),
        (await tablet.post("/auth/logout"), "logged_out", me, me, None),
        (await ada.delete(f"/auth/sessions/{phone.tokens['session_id']}"), "session_ended", me, me, "ended"),
        (await ada.delete("/users/me", {"password": WRONG}), "password_refused", me, me, None),
        (await ada.delete("/auth/sessions?keep_current=true"), "sessions_ended", me, me, None),
        (await root.delete(f"{url}/sessions"), "sessions_ended", me, admin, None),
        (await root.patch(url, {"is_active": False}), "user_deactivated", me, admin, None),
        (await root.patch(url, {"is_active": True}), "user_activated", me, admin, None),
        (await root.delete(url), "user_deleted", me, admin, None),
    ]

    for answer, kind, user_id, actor_id, detail in steps:
        rows = await trail(house, kind=kind, user_id=UUID(user_id), actor_id=UUID(actor_id))
        assert answer.status_code < 300 or kind == "password_refused", (kind, answer.text)
        assert rows, kind
        assert detail in [row["detail"] for row in rows], kind
        # She is deleted in the end, and with her the addresses of what she did herself.
        assert {row["ip"] for row in rows} == {None if actor_id == me else "198.51.100.7"}, kind
        assert {row["outcome"] for row in rows} == {"failure" if kind == "password_refused" else "success"}, kind
        assert {row["at"] for row in rows} == {house.clock.now}, kind


async def test_a_login_and_its_failures_are_rows(house: House) -> None:
    ada, root = await house.register(username="ada"), await house.superuser()
    stranger = house.new_client("203.0.113.9")
    logged_in = (await trail(house, kind="logged_in", user_id=UUID(ada.id)))[0]
    assert str(logged_in["session_id"]) == ada.tokens["session_id"]
    assert (logged_in["outcome"], str(logged_in["actor_id"])) == ("success", ada.id)
    await root.patch(f"/users/{ada.id}", {"is_active": False})

    for login, password, user_id, detail in (
        ("ada", WRONG, UUID(ada.id), "invalid_credentials"),
        ("ada", PASSWORD, UUID(ada.id), "account_disabled"),
        ("zq7canary-stranger@example.com", WRONG, None, "invalid_credentials"),
        (WRONG, WRONG, None, "invalid_credentials"),
    ):
        house.clock.tick(seconds=1)
        await stranger.post("/auth/login", json={"login": login, "password": password})
        row = await last(house, "login_failed")
        assert (row["user_id"], row["detail"], row["outcome"], row["ip"]) == (user_id, detail, "failure", "203.0.113.9")
        assert row["at"] == house.clock.now
        assert row["actor_id"] is None, "who failed to log in is nobody yet"


async def test_a_reused_refresh_token_is_a_row(house: House) -> None:
    ada = await house.register()
    old = ada.tokens["refresh_token"]
    await ada.refresh()
    await ada.refresh()

    assert (await ada.refresh(old)).json()["code"] == "refresh_token_reused"

    row = await last(house, "refresh_token_reuse_detected")
    assert (str(row["user_id"]), str(row["session_id"])) == (ada.id, ada.tokens["session_id"])
    assert (row["outcome"], row["actor_id"]) == ("failure", None)


async def test_a_password_change_is_a_row(house: House) -> None:
    ada = await house.register()
    new = {"current_password": PASSWORD, "new_password": "zq7canary new horse"}
    assert (await ada.post("/users/me/password", new)).status_code == 204

    row = await last(house, "password_changed")

    assert str(row["user_id"]) == str(row["actor_id"]) == ada.id
    assert str(row["session_id"]) == ada.tokens["session_id"]


@pytest.mark.parametrize("by", ["herself", "a superuser"])
async def test_the_addresses_of_a_deleted_user_are_gone(house: House, by: str) -> None:
    root, ada, eve = await house.superuser(), await house.register(), await house.register("eve@example.com")
    await root.patch(f"/users/{ada.id}", {"is_superuser": True})
    await ada.patch(f"/users/{eve.id}", {"name": "Eve"})
    await house.new_client("203.0.113.9").post("/auth/login", json={"login": ada.email, "password": WRONG})
    nowhere = [row for row in await trail(house) if row["ip"] is None]

    if by == "herself":
        await ada.delete("/users/me", {"password": PASSWORD})
    else:
        await root.delete(f"/users/{ada.id}")

    hers, rows = UUID(ada.id), await trail(house)
    gone = [row for row in rows if row["ip"] is None and row not in nowhere]
    assert {row["kind"] for row in gone} >= {"user_registered", "logged_in", "login_failed", "user_updated"}
    assert gone == [row for row in rows if row["actor_id"] == hers or (row["user_id"], row["actor_id"]) == (hers, None)]
    assert ("user_deleted" in {row["kind"] for row in gone}) == (by == "herself"), "an administrator's own is kept"


async def test_a_refused_request_leaves_no_row(make_house: MakeHouse) -> None:
    house = await make_house(limits=limits(login_pair="1/15m"))
    root, ada = await house.superuser(), await house.register(username="ada")
    await house.client.post("/auth/login", json={"login": "ada", "password": WRONG})
    before = await trail(house)

    refused = [
        await house.client.post("/auth/register", json={"email": "ada@example.com", "password": PASSWORD}),
        await house.client.post("/auth/register", json={"email": "x@example.com", "password": "zq7cana"}),
        await root.post("/users", {"email": "x@example.com", "username": "ADA"}),
        await ada.patch("/users/me", {"username": "!"}),
        await root.patch(f"/users/{ada.id}", {"email": root.email}),
        await root.delete(f"/users/{root.id}"),
        await root.patch(f"/users/{root.id}", {"is_active": False}),
        await ada.delete(f"/auth/sessions/{root.tokens['session_id']}"),
        await ada.get("/users"),
        await house.client.post("/auth/login", json={"login": "ada", "password": WRONG}),
        await house.client.post("/auth/refresh", json={"refresh_token": "zq7canary"}),
    ]

    assert [answer.status_code for answer in refused] == [409, 422, 409, 422, 409, 409, 409, 404, 403, 429, 401]
    assert await trail(house) == before


async def test_no_row_holds_a_secret_an_address_or_what_was_typed(house: House) -> None:
    root = await house.superuser()
    ada = await house.register("zq7canary@example.com", username="zq7canary", name="zq7canary")
    client = house.new_client(headers={"User-Agent": "zq7canary"})
    for login in ("zq7canary", "zq7canary@example.com", "zq7canary unknown", "ZQ7CANARY@other.example"):
        await client.post("/auth/login", json={"login": login, "password": WRONG})
    await root.patch(f"/users/{ada.id}", {"email": "zq7canary2@example.com", "profile": {"zq7canary": "zq7canary"}})
    await ada.post("/users/me/password", {"current_password": WRONG, "new_password": "zq7canary new horse"})
    await ada.delete("/users/me", {"password": PASSWORD})

    rows = await trail(house)

    assert len(rows) >= 10
    assert "zq7canary" not in str(rows).lower()
    assert "example" not in str(rows)


def test_every_kind_of_event_fits_its_column() -> None:
    kinds = [kind_of(event(user_id=None)) for event in Event.__subclasses__()]

    assert len(set(kinds)) == len(kinds) >= 18
    assert all(len(kind) <= 50 for kind in kinds)
