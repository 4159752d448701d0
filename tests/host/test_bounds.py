"""What a host bends so far that it would break: aliases, claims without end, refresh tokens from before."""

from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, Json, computed_field
from sqlalchemy import select

from propusk import User, profile_of
from propusk.domain import find_user_by_login
from propusk.mail.memory import first_link
from propusk.settings import SettingsError
from propusk.users.register import create_user
from tests.host.stand import ADA, MakeStand, Stand
from tests.kit import PASSWORD

LOGIN = {"login": ADA["email"], "password": PASSWORD}


class Customer(BaseModel):
    shoe_size: int = Field(alias="shoeSize")
    city: str | None = Field(default=None, alias="homeTown")


async def ada(stand: Stand) -> User:
    async with stand.auth.transaction() as ctx:
        user = await find_user_by_login(ctx, ADA["email"])
        assert user is not None
        return user


async def test_a_field_with_an_alias_survives_every_write_and_read(make_stand: MakeStand) -> None:
    stand = await make_stand(user_fields=Customer)
    body = ADA | {"profile": {"shoeSize": 41, "homeTown": "Turin"}}
    assert (await stand.client.post("/auth/register", json=body)).status_code == 201
    answer = await stand.client.post("/auth/login", json=LOGIN)
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert profile_of(await ada(stand), Customer) == Customer(shoeSize=41, homeTown="Turin")

    me = (await stand.client.get("/users/me", headers=bearer)).json()
    assert me["profile"] == {"shoeSize": 41, "homeTown": "Turin"}
    changed = me["profile"] | {"shoeSize": 42}
    answer = await stand.client.patch("/users/me", json={"profile": changed}, headers=bearer)
    assert (answer.status_code, answer.json()["profile"]) == (200, changed)
    assert profile_of(await ada(stand), Customer) == Customer(shoeSize=42, homeTown="Turin")


async def test_a_private_registration_with_a_required_alias_can_be_confirmed(make_stand: MakeStand) -> None:
    stand = await make_stand(user_fields=Customer, settings={"private_registration": True})
    assert (await stand.client.post("/auth/register", json=ADA | {"profile": {"shoeSize": 41}})).status_code == 202
    await stand.auth.worker.run_due()
    token = first_link(stand.mailer.messages[-1]).rpartition("=")[2]

    assert (await stand.client.post("/auth/verify", json={"token": token})).status_code == 200
    assert profile_of(await ada(stand), Customer).shoe_size == 41


class WritesOtherwise(BaseModel):
    city: str = Field(serialization_alias="homeTown")


class ReadsOtherwise(BaseModel):
    city: str = Field(validation_alias="homeTown")


class ReadsEither(BaseModel):
    city: str = Field(validation_alias=AliasChoices("homeTown", "town"), serialization_alias="town")


class ReadsByName(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    city: str = Field(validation_alias="homeTown")


@pytest.mark.parametrize("fields", [WritesOtherwise, ReadsOtherwise])
async def test_a_model_that_cannot_read_what_it_writes_is_refused(make_stand: MakeStand, fields: Any) -> None:
    with pytest.raises(SettingsError, match="user_fields: city is written as"):
        await make_stand(user_fields=fields)


@pytest.mark.parametrize("fields", [ReadsEither, ReadsByName])
async def test_a_model_that_reads_what_it_writes_by_another_way_is_not(make_stand: MakeStand, fields: Any) -> None:
    stand = await make_stand(user_fields=fields)
    body = ADA | {"profile": {"homeTown": "Turin"}}
    assert (await stand.client.post("/auth/register", json=body)).status_code == 201
    assert profile_of(await ada(stand), fields).city == "Turin"


class WritesOtherwiseWithin(BaseModel):
    address: WritesOtherwise


class Forgets(BaseModel):
    city: str = Field(default="", serialization_alias="homeTown")


class ForgetsWithin(BaseModel):
    address: Forgets


@pytest.mark.parametrize("fields", [WritesOtherwiseWithin, ForgetsWithin])
async def test_a_nested_model_that_cannot_read_what_it_writes_stores_nothing(
    make_stand: MakeStand, fields: Any
) -> None:
    stand = await make_stand(user_fields=fields)
    with pytest.raises(SettingsError, match=f"user_fields: {fields.__name__} does not read what it writes"):
        async with stand.auth.transaction() as ctx:
            await create_user(ctx, email=ADA["email"], profile={"address": {"city": "Turin"}})


class Computes(BaseModel):
    model_config = ConfigDict(extra="forbid")
    first: str
    codes: Json[list[int]] = []

    @computed_field  # type: ignore[prop-decorator]
    @property
    def initial(self) -> str:
        return self.first[:1]


async def test_what_a_model_computes_is_not_stored(make_stand: MakeStand) -> None:
    stand = await make_stand(user_fields=Computes, settings={"private_registration": True})
    body = ADA | {"profile": {"first": "Ada", "codes": "[1, 2]"}}
    assert (await stand.client.post("/auth/register", json=body)).status_code == 202
    await stand.auth.worker.run_due()
    token = first_link(stand.mailer.messages[-1]).rpartition("=")[2]
    assert (await stand.client.post("/auth/verify", json={"token": token})).status_code == 200

    kept = profile_of(await ada(stand), Computes)
    assert (kept.initial, kept.codes) == ("A", [1, 2])
    answer = await stand.client.post("/auth/login", json=LOGIN)
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    profile = (await stand.client.get("/users/me", headers=bearer)).json()["profile"]
    assert profile == {"first": "Ada", "codes": "[1,2]"}
    answer = await stand.client.patch("/users/me", json={"profile": profile}, headers=bearer)
    assert (answer.status_code, answer.json()["profile"]) == (200, profile)


async def test_claims_that_make_a_token_too_long_to_be_read_begin_no_session(make_stand: MakeStand) -> None:
    length = 4000
    stand = await make_stand(claims=lambda _user: {"about": "x" * length})
    bearer = await stand.bearer()
    assert (await stand.client.get("/users/me", headers=bearer)).status_code == 200

    length = 8000
    async with stand.auth.sessions() as db:
        before = (await db.execute(select(stand.auth.tables.sessions.c.id))).all()
    assert (await stand.client.post("/auth/login", json=LOGIN)).status_code == 500
    async with stand.auth.sessions() as db:
        assert (await db.execute(select(stand.auth.tables.sessions.c.id))).all() == before
    from propusk.domain import login_with_password

    with pytest.raises(ValueError, match=r"claims=\.\.\.\) makes an access token of \d{5} characters; 8192 are read"):
        async with stand.auth.transaction() as ctx:
            await login_with_password(ctx, login=ADA["email"], password=PASSWORD)


async def test_refresh_tokens_from_before_they_were_switched_off_are_dead(make_stand: MakeStand) -> None:
    from propusk.domain import refresh_session
    from propusk.errors import InvalidRefreshToken

    before = await make_stand()
    await before.client.post("/auth/register", json=ADA)
    token = (await before.client.post("/auth/login", json=LOGIN)).json()["refresh_token"]
    after = await make_stand(refresh_tokens=False)

    assert (await after.client.post("/auth/refresh", json={"refresh_token": token})).status_code == 404
    document = (await after.client.get("/openapi.json")).json()
    assert "/auth/refresh" not in document["paths"]
    assert "refresh_cookie" not in str(document), "what is not defined is not referred to"
    with pytest.raises(InvalidRefreshToken):
        async with after.auth.transaction() as ctx:
            await refresh_session(ctx, token=token)
    assert (await before.client.post("/auth/refresh", json={"refresh_token": token})).status_code == 200
