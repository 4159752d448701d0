"""Life on a host's own users table: one that FastAPI Users made, and one with an integer key and other names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError, IntegrityError

from propusk import create_auth
from propusk.db.migrate import downgrade
from propusk.db.schema import build_tables
from propusk.errors import EmailTaken, UsernameTaken
from propusk.testing import MemoryMailer
from propusk.users.queries import update_user
from propusk.users.register import create_user
from tests.backends import NAMES
from tests.contract.host_project import Project, adopt, host_project
from tests.contract.host_tables import ADA, HOSTS, HostTables
from tests.contract.host_tables import PASSWORD as OLD_PASSWORD
from tests.kit import PASSWORD, FakeClock, House, make_settings

Host = tuple[Project, HostTables]


@pytest.fixture(params=[f"{table}-{name}" for table in HOSTS for name in NAMES])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    """A host whose table was adopted, on each database."""
    table, name = request.param.split("-")
    async with host_project(request, name, tmp_path) as project:
        tables = HOSTS[table](project.engine.dialect.name)
        await tables.make(project.engine)
        await adopt(project, tables)
        yield project, tables


@asynccontextmanager
async def opened(host: Host) -> AsyncIterator[House]:
    project, tables = host
    app, clock, mailer = FastAPI(), FakeClock(), MemoryMailer()
    settings = make_settings(project.url, project.folder)
    auth = create_auth(settings, users=tables.users, clock=clock, mailer=mailer)
    auth.install(app)
    house = House(app, auth, clock, mailer)
    try:
        await auth.start()
        yield house
    finally:
        await house.close()


async def people(project: Project, tables: HostTables) -> list[Any]:
    """E-mail and old hash of each row, as the host sees them."""
    quote = project.engine.dialect.identifier_preparer.quote
    table, email = quote(tables.users.table), tables.users.column("email")
    return await project.ask(f"SELECT {email}, {tables.passwords} FROM {table} ORDER BY {email}")


async def test_people_log_in_with_their_old_passwords_and_stay_who_they_were(host: Host) -> None:
    project, tables = host
    async with opened(host) as house:
        ada = await house.log_in("ada@EXAMPLE.com", OLD_PASSWORD)
        grace = await house.log_in("grace@example.com", OLD_PASSWORD)

        assert (await ada.get("/users/me")).json()["email"] == "Ada@Example.com"
        assert [len(await house.rows("users")), len(await house.rows("passwords"))] == [2, 2]
        assert [hash_ for _, hash_ in await people(project, tables)] in (["", ""], [None, None])
        if tables.users.table != "account":
            assert ada.id == str(ADA)
        else:
            me = (await ada.get("/users/me")).json()
            assert (me["username"], me["name"], me["created_at"]) == ("Ada", "Somebody", "2020-02-03T04:05:06Z")
            assert (await house.log_in("ADA", OLD_PASSWORD)).id == ada.id
        assert ada.id != grace.id


async def test_a_newcomer_has_a_row_in_the_hosts_table(host: Host) -> None:
    project, tables = host
    async with opened(host) as house:
        alan = await house.register("alan@example.com", username="alan")

        assert (await alan.refresh()).status_code == 200
        assert len(await people(project, tables)) == 3
        if tables.users.table == "user":
            quote = project.engine.dialect.identifier_preparer.quote
            found = await project.ask(f"SELECT id FROM {quote('user')} WHERE email = 'alan@example.com'")
            assert UUID(str(found[0][0])) == UUID(alan.id)
        elif tables.users.table == "account":
            found = await project.ask("SELECT auth_id, plan, label FROM account WHERE login = 'alan'")
            assert found == [(3, "free", "new: alan")]
        for taken in ({"email": "ALAN@example.com"}, {"email": "other@example.com", "username": "Alan"}):
            answer = await house.client.post("/auth/register", json={"password": PASSWORD, **taken})
            assert answer.json()["code"] == ("username_taken" if "username" in taken else "email_taken")


ACCOUNTS = pytest.mark.parametrize("host", [f"accounts-{name}" for name in NAMES], indirect=True)


def with_values(host: Host, **values: Any) -> Host:
    """The same host, whose new rows have these values."""
    project, tables = host
    return project, replace(tables, users=replace(tables.users, values={**tables.users.values, **values}))


async def add(house: House, email: str, **fields: Any) -> None:
    async with house.auth.transaction() as ctx:
        await create_user(ctx, email=email, **fields)


@ACCOUNTS
@pytest.mark.parametrize("plan", [None, "longer than ten characters"])
async def test_values_that_a_column_of_the_hosts_cannot_hold_are_refused(host: Host, plan: str | None) -> None:
    project, tables = host
    if project.name == "sqlite" and plan is not None:
        pytest.skip("its columns are as long as what is put into them")
    async with opened(with_values(host, plan=plan)) as house:
        with pytest.raises(DBAPIError):
            await add(house, "alan@example.com")

    assert [email for email, _ in await people(project, tables)] == ["Ada@Example.com", "grace@example.com"]


@ACCOUNTS
async def test_what_the_host_wants_unique_is_not_called_a_taken_address(host: Host) -> None:
    project, tables = host
    await project.do("CREATE UNIQUE INDEX one_pw ON account (pw)")
    async with opened(with_values(host, pw="same")) as house:
        await add(house, "alan@example.com")
        with pytest.raises(IntegrityError, match="pw"):
            await add(house, "barbara@example.com")
        with pytest.raises(EmailTaken):
            await add(house, "ALAN@example.com")
        with pytest.raises(UsernameTaken):
            await add(house, "barbara@example.com", username="ADA")

    assert len(await people(project, tables)) == 3


@ACCOUNTS
async def test_an_address_is_taken_that_the_host_cannot_tell_from_another(host: Host) -> None:
    """Its unique index has the collation of its column, and MariaDB's usual one knows no accents."""
    project, tables = host
    async with opened(host) as house:
        answer = await house.client.post("/auth/register", json={"email": "ada@ex\u00e4mple.com", "password": PASSWORD})

    blind = project.name == "mariadb"
    assert answer.status_code == (409 if blind else 201), answer.text
    assert len(await people(project, tables)) == (2 if blind else 3)


async def test_the_hot_path_hears_of_a_change_at_once(host: Host) -> None:
    async with opened(host) as house:
        ada = await house.log_in("ada@example.com", OLD_PASSWORD)
        async with house.auth.transaction() as ctx:
            sessions = await house.rows("sessions")
        principal = await house.auth.live.get(sessions[0]["id"], ctx.now)

        assert principal is not None
        assert (str(principal.user.id), principal.user.email_key) == (ada.id, "ada@example.com")
        assert principal.user.created_at.tzinfo is not None
        assert principal.user.is_active is True
        answer = await ada.patch("/users/me", {"name": "Ada Lovelace", "username": "countess", "profile": {"a": [1]}})
        assert answer.status_code == 200
        me = (await ada.get("/users/me")).json()
        assert (me["name"], me["username"], me["profile"]) == ("Ada Lovelace", "countess", {"a": [1]})
        assert (await ada.post("/auth/logout")).status_code == 204
        assert not await ada.is_in()
        assert await house.auth.live.get(sessions[0]["id"], ctx.now) is None


async def test_an_administrator_lists_changes_and_deletes(host: Host) -> None:
    project, tables = host
    async with opened(host) as house:
        root = await house.superuser()
        ada = await house.log_in("ada@example.com", OLD_PASSWORD)

        page = (await root.get("/users?limit=2")).json()
        rest = (await root.get(f"/users?limit=2&cursor={page['next_cursor']}")).json()
        emails = [user["email"] for user in page["items"] + rest["items"]]
        assert sorted(emails) == ["Ada@Example.com", "grace@example.com", "root@example.com"]
        assert [user["email"] for user in (await root.get("/users?q=ada")).json()["items"]] == ["Ada@Example.com"]
        assert (await root.patch(f"/users/{ada.id}", {"is_active": False})).status_code == 200
        assert not await ada.is_in()
        assert (await root.delete(f"/users/{ada.id}")).status_code == 204

        assert [email for email, _ in await people(project, tables)] == ["grace@example.com", "root@example.com"]
        assert {str(row["user_id"]) for row in await house.rows("sessions")} == {root.id}
        assert ada.id not in {str(row["user_id"]) for row in await house.rows("passwords")}
        if tables.users.table == "account":
            assert await project.ask("SELECT account_id FROM invoice") == [(2,)]


async def test_a_password_and_an_address_are_changed(host: Host) -> None:
    async with opened(host) as house:
        ada = await house.log_in("ada@example.com", OLD_PASSWORD)
        change = {"current_password": OLD_PASSWORD, "new_password": PASSWORD}
        assert (await ada.post("/users/me/password", change)).status_code == 204
        answer = await ada.post("/users/me/email", {"new_email": "lovelace@example.com", "password": PASSWORD})
        assert answer.status_code == 202
        token = await house.last_token("lovelace@example.com")
        assert (await house.client.post("/auth/confirm-email", json={"token": token})).status_code == 200

        assert (await house.log_in("lovelace@example.com", PASSWORD)).id == ada.id
        refused = await house.client.post("/auth/login", json={"login": "ada@example.com", "password": PASSWORD})
        assert refused.status_code == 401


async def test_of_two_names_that_are_taken_the_right_one_is_told(host: Host) -> None:
    """Two who change at once are told apart by the database."""
    async with opened(host) as house:
        ada, alan = await house.log_in("ada@example.com", OLD_PASSWORD), await house.register("alan@example.com")
        assert (await alan.patch("/users/me", {"username": "alan"})).status_code == 200
        for taken, refusal in (("email_key", EmailTaken), ("username_key", UsernameTaken)):
            values = {"email_key": "new@example.com", "username_key": "newname"}
            values[taken] = {"email_key": "alan@example.com", "username_key": "alan"}[taken]
            with pytest.raises(refusal):
                async with house.auth.transaction() as ctx:
                    await update_user(ctx, UUID(ada.id), values)


async def test_a_downgrade_gives_the_table_back_as_it_was(host: Host) -> None:
    project, tables = host
    before = await project.columns(tables.users.table)
    async with opened(host) as house:
        await house.log_in("ada@example.com", OLD_PASSWORD)
    await project.run("downgrade", "adopt")
    hashes = [hash_ for _, hash_ in await people(project, tables)]
    assert all(hash_.startswith("$") for hash_ in hashes)
    await downgrade(project.engine, build_tables(tables.users).metadata)
    await project.run("downgrade", "base")

    after = await project.columns(tables.users.table)
    added = {tables.users.column(key) for key in tables.users.ours}
    assert set(before) - set(after) == added
    assert [hash_ for _, hash_ in await people(project, tables)] == hashes
    await project.run("upgrade", "adopt")
    assert set(await project.columns(tables.users.table)) == set(before)
