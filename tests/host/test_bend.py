"""What a host bends: profile fields, rules, claims, and what else happens in our transactions."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from joserfc import jws
from pydantic import BaseModel, Field
from sqlalchemy import select

from propusk import Context, CurrentUser, User, profile_of
from propusk.events import Event, LoggedIn, UserRegistered
from tests.host.stand import ADA, MakeStand, Stand
from tests.kit import PASSWORD

LOGIN = {"login": ADA["email"], "password": ADA["password"]}


class Address(BaseModel):
    city: str


class Customer(BaseModel):
    """What our shop knows of a customer."""

    newsletter: bool = False
    points: int = Field(default=0, ge=0)
    address: Address | None = None


def shop() -> FastAPI:
    app = FastAPI()

    @app.get("/points")
    async def points(user: CurrentUser) -> int:
        return profile_of(user, Customer).points

    return app


async def test_user_fields_are_checked_on_every_write_and_read_typed(make_stand: MakeStand) -> None:
    stand = await make_stand(shop(), user_fields=Customer)
    bearer = await stand.bearer()

    assert (await stand.client.get("/points", headers=bearer)).json() == 0
    for bad, field in (
        ({"points": -1}, "profile.points"),
        ({"points": "many"}, "profile.points"),
        ({"address": {}}, "profile.address.city"),
    ):
        for method, path, body in (
            ("PATCH", "/users/me", {"profile": bad}),
            ("POST", "/auth/register", {"email": "b@example.com", "password": PASSWORD, "profile": bad}),
        ):
            answer = await stand.client.request(method, path, json=body, headers=bearer)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), (path, bad)
            assert "many" not in answer.text
    answer = await stand.client.patch("/users/me", json={"profile": {"points": 7, "shoe": 42}}, headers=bearer)
    assert answer.json()["profile"] == {"newsletter": False, "points": 7, "address": None}
    assert (await stand.client.get("/points", headers=bearer)).json() == 7


async def test_the_document_says_what_a_profile_holds(make_stand: MakeStand) -> None:
    stand = await make_stand(shop(), user_fields=Customer)
    schemas = (await stand.client.get("/openapi.json")).json()["components"]["schemas"]

    assert schemas["Customer"]["properties"]["points"]["minimum"] == 0
    assert schemas["Address"]["required"] == ["city"]
    for name in ("UserOut", "RegisterBody", "MePatch"):
        assert schemas[name]["properties"]["profile"] == {"$ref": "#/components/schemas/Customer"}, name


async def test_rules_of_the_host_stand_beside_ours(make_stand: MakeStand) -> None:
    def no_spaces(password: str) -> str | None:
        return "Without spaces, please." if " " in password else None

    def long_names(username: str) -> str | None:
        return "Five characters at least." if len(username) < 5 else None

    stand = await make_stand(check_password=no_spaces, check_username=long_names)

    async def fault(**body: str) -> tuple[str, str]:
        answer = await stand.client.post("/auth/register", json={"email": "ada@example.com", **body})
        assert answer.status_code == 422
        error = answer.json()["errors"][0]
        return error["code"], error["message"]

    assert await fault(password=PASSWORD) == ("weak_password", "Without spaces, please.")
    assert (await fault(password="short"))[0] == "too_short"
    good = "zq7canary-old-horse"
    assert await fault(password=good, username="ada1") == ("bad_username", "Five characters at least.")
    assert (await fault(password=good, username="ада77"))[0] == "bad_username"
    body = {"email": "ada@example.com", "password": good, "username": "lovelace"}
    assert (await stand.client.post("/auth/register", json=body)).status_code == 201
    bearer = await stand.bearer(email="b@example.com", password=good)
    answer = await stand.client.patch("/users/me", json={"username": "bob"}, headers=bearer)
    assert answer.status_code == 422
    change = {"current_password": good, "new_password": PASSWORD}
    assert (await stand.client.post("/users/me/password", json=change, headers=bearer)).status_code == 422


def role(user: User) -> Mapping[str, Any]:
    return {"role": "customer", "shop": {"mail": user.email}}


async def test_claims_of_the_host_are_in_the_token_and_in_introspection(make_stand: MakeStand) -> None:
    import hashlib

    digest = hashlib.sha256(b"zq7canary-secret").hexdigest()
    stand = await make_stand(claims=role, settings={"introspection_clients": [f"till:{digest}"]})
    bearer = await stand.bearer()
    token = bearer["Authorization"].removeprefix("Bearer ")

    import json

    payload = json.loads(jws.extract_compact(token.encode()).payload)
    assert (payload["role"], payload["shop"]) == ("customer", {"mail": "ada@example.com"})
    answer = await stand.client.post("/auth/introspect", data={"token": token}, auth=("till", "zq7canary-secret"))
    assert (answer.json()["active"], answer.json()["role"]) == (True, "customer")
    assert (await stand.client.get("/users/me", headers=bearer)).status_code == 200


@pytest.mark.parametrize("name", ["sub", "exp", "sid", "nbf", "aud", "jti"])
async def test_a_host_cannot_replace_our_claims(make_stand: MakeStand, name: str) -> None:
    stand = await make_stand(claims=lambda _user: {name: "mine"})
    await stand.client.post("/auth/register", json=ADA)
    assert (await stand.client.post("/auth/login", json=LOGIN)).status_code == 500
    async with stand.auth.sessions() as db:
        assert (await db.execute(select(stand.auth.tables.sessions.c.id))).all() == []


async def count(stand: Stand) -> int:
    async with stand.auth.sessions() as db:
        return len((await db.execute(select(stand.auth.tables.users.c.id))).all())


async def test_a_handler_hears_of_an_event_and_its_kinds_in_the_same_transaction(make_stand: MakeStand) -> None:
    heard: list[Event] = []

    async def note(ctx: Context, event: Event) -> None:
        found = await ctx.db.execute(select(ctx.tables.users.c.email).where(ctx.tables.users.c.id == event.user_id))
        assert found.scalar_one() == "ada@example.com"
        heard.append(event)

    stand = await make_stand(on=[(Event, note), (LoggedIn, note)])
    await stand.bearer()
    assert [type(event) for event in heard] == [UserRegistered, LoggedIn, LoggedIn]


async def raise_error(_ctx: Context, _event: Event) -> None:
    raise ZeroDivisionError


async def commit(ctx: Context, _event: Event) -> None:
    await ctx.db.commit()


async def roll_back(ctx: Context, _event: Event) -> None:
    await ctx.db.rollback()


async def commit_and_go_on(ctx: Context, _event: Event) -> None:
    try:
        await ctx.db.commit()
    except RuntimeError:
        await asyncio.sleep(0)


@pytest.mark.parametrize("handler", [raise_error, commit, roll_back])
async def test_a_handler_that_fails_or_ends_the_transaction_undoes_all_of_it(
    make_stand: MakeStand, handler: Any
) -> None:
    stand = await make_stand(on=[(UserRegistered, handler)])
    assert (await stand.client.post("/auth/register", json=ADA)).status_code == 500
    assert await count(stand) == 0
    await stand.auth.worker.run_due()
    assert stand.mailer.messages == []


async def test_a_handler_that_swallows_the_refusal_of_its_commit_has_committed_nothing_alone(
    make_stand: MakeStand,
) -> None:
    async def also_raise(ctx: Context, event: Event) -> None:
        await commit_and_go_on(ctx, event)
        raise ZeroDivisionError

    stand = await make_stand(on=[(UserRegistered, also_raise)])
    assert (await stand.client.post("/auth/register", json=ADA)).status_code == 500
    assert await count(stand) == 0


async def test_a_handler_may_use_a_savepoint(make_stand: MakeStand) -> None:
    async def carefully(ctx: Context, event: Event) -> None:
        async with ctx.db.begin_nested():
            await ctx.db.execute(select(ctx.tables.users.c.id))

    stand = await make_stand(on=[(UserRegistered, carefully)])
    assert (await stand.client.post("/auth/register", json=ADA)).status_code == 201
    assert await count(stand) == 1
