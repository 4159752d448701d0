"""A host's table is adopted while its old program goes on; what does not fit is refused before anything is changed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.util import CommandError
from sqlalchemy import Column, Engine, Integer, MetaData, Table, event, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from propusk import UsersTable
from propusk.alembic import options
from propusk.db.engine import database_url
from propusk.db.migrate import describe, upgrade
from propusk.db.revision import our_tables
from propusk.db.schema import build_tables
from tests.backends import NAMES
from tests.contract.host_project import Project, adopt, host_project
from tests.contract.host_tables import ACCOUNTS, FASTAPI_USERS, HOSTS, HostTables, accounts, fastapi_users
from tests.kit import make_settings

Host = tuple[Project, HostTables]


@pytest.fixture(params=NAMES)
async def project(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Project]:
    async with host_project(request, request.param, tmp_path) as made:
        yield made


@pytest.fixture
async def tables(project: Project) -> HostTables:
    """Accounts, with five people more."""
    made = accounts(project.engine.dialect.name)
    await made.make(project.engine)
    for n in range(5):
        await add(project, f"person{n}@example.com", f"person{n}")
    return made


async def add(project: Project, email: str, login: str | None = None) -> None:
    """What the host's old program does: it knows nothing of our columns."""
    joined = {"postgresql": "now()", "mysql": "now(6)"}.get(project.engine.dialect.name, "'2026-01-01 00:00:00'")
    await project.do(
        "INSERT INTO account (email_address, login, enabled, joined, pw, plan, label)"
        f" VALUES (:email, :login, true, {joined}, '', 'pro', 'old')",
        email=email,
        login=login,
    )


async def users(project: Project, host: UsersTable = ACCOUNTS) -> list[dict[str, Any]]:
    """The rows by our names."""
    view = build_tables(host).users
    async with project.engine.connect() as connection:
        rows = await connection.execute(select(*view.c).order_by(view.c.email))
        return [dict(zip(view.c.keys(), row, strict=True)) for row in rows]


async def are_complete(project: Project) -> bool:
    found = await users(project)
    ids = {user["id"] for user in found}
    return len(ids) == len(found) and all(
        user["email_key"] == user["email"].lower()
        and user["username_key"] == (user["username"] and user["username"].lower())
        and (user["profile"], user["session_epoch"], user["is_verified"], user["is_superuser"]) == ({}, 0, False, False)
        and None not in (user["id"], user["updated_at"])
        for user in found
    )


@contextmanager
def watching(see: Callable[[str, Any], None]) -> Iterator[None]:
    """Call `see` with every statement of every engine before it is sent, and its parameters."""

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        see(statement, parameters)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", note)


class Killed(Exception):
    """The process is gone."""


async def test_a_step_that_was_killed_anywhere_is_run_again(project: Project, tables: HostTables) -> None:
    await adopt_alone(project, tables, run=False)
    kills = 0
    while True:
        left = kills + 1

        def count_down(_statement: str, _parameters: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed

        try:
            with watching(count_down):
                await project.run("upgrade", "adopt")
            break
        except Killed:
            kills += 3

    assert kills > 30
    assert await are_complete(project)
    assert await is_ready(project)


async def is_ready(project: Project) -> bool:
    """No row can come without what we need, and nothing that was begun is left."""
    columns = await project.columns("account")
    try:
        await add(project, "late@example.com")
    except DBAPIError:
        refused = True
    else:
        refused = False
    return refused and {"propusk_id", "email_key", "session_epoch", "profile"} <= set(columns)


async def adopt_alone(project: Project, tables: HostTables, *, run: bool = True, batch: int = 2) -> None:
    """The first of the steps."""
    path, _, name = tables.source.rpartition(".")
    project.models(
        f"import propusk.alembic\nfrom sqlalchemy import MetaData\nfrom {path} import {name}\n"
        f"options = propusk.alembic.options(MetaData(), {name})"
    )
    steps = f"import propusk.alembic; from {path} import {name}; propusk.alembic."
    project.revision("adopt", None, f"{steps}adopt_users({name}, batch={batch})", f"{steps}release_users({name})")
    if run:
        await project.run("upgrade", "adopt")


async def test_the_old_program_goes_on_writing(project: Project, tables: HostTables) -> None:
    """It adds a row before each change of ours, and changes an address that we have read: in the first pass over the
    table, and in the second, which has gone by the place of the new row then.
    """
    url = database_url(make_settings(project.url, project.folder))
    sizes: list[int] = []
    first_pass = True

    async def write(n: int) -> None:
        engine = create_async_engine(url)
        old = Project.__new__(Project)
        old.engine = engine
        await add(old, f"New{n}@example.com", f"New{n}")
        if first_pass:
            await old.do(f"UPDATE account SET email_address = 'Moved{n}@example.com' WHERE auth_id = 1")
        else:
            await old.do(f"UPDATE account SET auth_id = -{n} WHERE email_address = 'New{n}@example.com'")
        await engine.dispose()

    def see(statement: str, parameters: Any) -> None:
        nonlocal first_pass
        if "ix_account_propusk" in statement:
            first_pass = False
        if statement.startswith("UPDATE account SET propusk_id"):
            sizes.append(len(parameters) if isinstance(parameters, list) else 1)
            if len(sizes) in (1, 2, 6):
                with ThreadPoolExecutor() as pool:
                    pool.submit(asyncio.run, write(len(sizes))).result()

    with watching(see):
        await adopt_alone(project, tables)

    assert max(sizes) == 2
    found = await users(project)
    assert {user["email"] for user in found} > {"Moved2@example.com", "New1@example.com", "New6@example.com"}
    assert await project.ask("SELECT auth_id FROM account WHERE auth_id < 0") != []
    assert await are_complete(project)


async def test_run_again_it_changes_nothing(project: Project, tables: HostTables) -> None:
    await adopt_alone(project, tables)
    before = await users(project)
    changes: list[str] = []

    def see(statement: str, _parameters: Any) -> None:
        if statement.startswith(("UPDATE account", "ALTER TABLE account ADD", "CREATE INDEX", "CREATE UNIQUE")):
            changes.append(statement)

    await project.run("stamp", "base")
    with watching(see):
        await project.run("upgrade", "adopt")

    assert changes == []
    assert await users(project) == before


async def test_an_index_that_could_not_be_finished_is_made_again(project: Project, tables: HostTables) -> None:
    if project.name != "postgresql":
        pytest.skip("PostgreSQL alone leaves such")
    await adopt_alone(project, tables)
    index = "FROM pg_index WHERE indexrelid = 'ix_account_email_key'::regclass"
    await project.do("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_account_email_key'::regclass")

    await project.run("stamp", "base")
    await project.run("upgrade", "adopt")

    assert await project.ask(f"SELECT indisvalid, indisunique {index}") == [(True, True)]


async def test_within_a_transaction_of_env_py_it_is_all_or_nothing(project: Project, tables: HostTables) -> None:
    env = project.folder / "env.py"
    begun = (
        "        await connection.begin()\n        await connection.run_sync(run)\n        await connection.commit()\n"
    )
    env.write_text(env.read_text().replace("        await connection.run_sync(run)\n", begun))

    await adopt_alone(project, tables)

    assert await are_complete(project)
    assert await is_ready(project)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("ADA@example.com", None), "account.email_address: to Propusk these are the same: 1 and 8"),
        (("other@example.com", "ADA"), "account.login: to Propusk these are the same: 1 and 8"),
        (("nobody", None), "account.email_address: This is not an e-mail address that mail can be sent to. So not 8"),
        (("other@example.com", "a b"), "account.login: Use 3 to 32 letters"),
    ],
)
async def test_rows_that_do_not_fit_are_named_before_anything_is_changed(
    project: Project, tables: HostTables, row: tuple[str, str], said: str
) -> None:
    if project.name == "mariadb" and row[0] == "ADA@example.com":
        await project.do("ALTER TABLE account DROP INDEX one")  # its collation would not let the two in
    await add(project, *row)
    before = await project.columns("account")

    with pytest.raises(CommandError) as refused:
        await adopt_alone(project, tables)

    assert said in str(refused.value)
    assert "ada@" not in str(refused.value).lower()
    assert set(await project.columns("account")) == set(before)


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"table": "nowhere"}, "There is no table nowhere."),
    ({"id": "auth_id"}, "account.auth_id is INTEGER"),
    ({"locale": "sprache"}, "account has no column sprache, which UsersTable names."),
    ({"values": {"pw": "", "label": ""}}, "account.plan must have a value in every new row"),
    ({"values": {**ACCOUNTS.values, "colour": "red"}}, "account has no column colour"),
    ({"email": "plan"}, "account.plan is VARCHAR(10), and Propusk keeps text of up to 254 characters there."),
    ({"is_active": "plan"}, "account.plan is VARCHAR(10), and Propusk keeps true or false there."),
    ({"created_at": "label"}, "account.label is VARCHAR(60), and Propusk keeps a time"),
    ({"email_key": "full_name", "name": None}, "account.full_name needs a unique index."),
]


@pytest.mark.parametrize(("changes", "said"), UNFIT)
async def test_a_table_that_does_not_fit_is_refused(
    project: Project, tables: HostTables, changes: dict[str, Any], said: str
) -> None:
    named = {name: value for name, value in {**vars(ACCOUNTS), **changes}.items() if value and name != "values"}
    values = {name: "" for name in changes.get("values", ACCOUNTS.values) if name not in named.values()}
    arguments = ", ".join(f"{name}={value!r}" for name, value in named.items())
    steps = f"import propusk.alembic as pa; pa.adopt_users(pa.UsersTable({arguments}, values={values}))"
    project.models(
        "from sqlalchemy import MetaData as M; import propusk.alembic\noptions = propusk.alembic.options(M())"
    )
    project.revision("adopt", None, steps)
    before = await project.columns("account")

    with pytest.raises(CommandError) as refused:
        await project.run("upgrade", "adopt")

    assert said in str(refused.value)
    assert set(await project.columns("account")) == set(before)


async def test_a_column_that_happens_to_have_a_name_of_ours_is_refused(project: Project, tables: HostTables) -> None:
    await project.do("ALTER TABLE account ADD COLUMN locale VARCHAR(35)")

    with pytest.raises(CommandError, match=r"account has a column locale\. If it is the user's locale"):
        await adopt_alone(project, tables)

    assert "email_key" not in await project.columns("account")


async def test_a_row_without_an_address_is_named(project: Project) -> None:
    tables = accounts(project.engine.dialect.name)
    tables.ddl[0] = tables.ddl[0].replace("VARCHAR(254) NOT NULL", "VARCHAR(254)")
    await tables.make(project.engine)
    await project.do("UPDATE account SET email_address = NULL WHERE auth_id = 2")

    with pytest.raises(CommandError, match=r"account\.email_address is NULL in 2"):
        await adopt_alone(project, tables)


async def test_a_time_without_a_time_zone_is_refused_where_it_matters(project: Project) -> None:
    tables = accounts(project.engine.dialect.name)
    kinds = {"postgresql": ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP"), "mysql": ("DATETIME(6)", "TIMESTAMP")}
    if project.engine.dialect.name not in kinds:
        pytest.skip("SQLite has no types of time")
    tables.ddl[0] = tables.ddl[0].replace(*kinds[project.engine.dialect.name])
    tables.rows.clear()
    await tables.make(project.engine)

    with pytest.raises(CommandError, match=r"account\.joined is TIMESTAMP.*and Propusk keeps a time"):
        await adopt_alone(project, tables)


async def test_mariadb_must_be_able_to_hold_any_name_and_any_foreign_key(project: Project) -> None:
    if project.name != "mariadb":
        pytest.skip("this is about MariaDB")
    tables = accounts("mysql")
    tables.ddl[:] = [ddl.replace("InnoDB CHARSET=utf8mb4", "MyISAM CHARSET=latin1") for ddl in tables.ddl]
    await tables.make(project.engine)

    with pytest.raises(CommandError) as refused:
        await adopt_alone(project, tables)

    assert "account: Propusk needs ENGINE=InnoDB" in str(refused.value)
    assert "account.full_name (name) needs CHARACTER SET utf8mb4" in str(refused.value)


@pytest.mark.parametrize("kind", HOSTS)
async def test_our_own_history_goes_by_the_hosts_table(project: Project, kind: str) -> None:
    tables = HOSTS[kind](project.engine.dialect.name)
    await tables.make(project.engine)
    metadata = build_tables(tables.users).metadata

    with pytest.raises(CommandError, match="first run the step of your own history that calls adopt_users"):
        await upgrade(project.engine, metadata)
    await adopt(project, tables)

    assert "propusk_users" not in await project.tables()
    assert our_tables(build_tables(tables.users)) <= await project.tables()
    async with project.engine.connect() as connection:
        assert await connection.run_sync(describe, metadata) == []
    with pytest.raises(CommandError, match="take them down first"):
        await project.run("downgrade", "base")


async def test_passwords_are_moved_again_when_the_old_program_wrote_some(project: Project) -> None:
    tables = fastapi_users(project.engine.dialect.name)
    await tables.make(project.engine)
    await adopt(project, tables)
    quote = project.engine.dialect.identifier_preparer.quote("user")
    old = "SELECT hash FROM propusk_passwords ORDER BY hash"
    before = await project.ask(old)
    await project.do(f"UPDATE {quote} SET hashed_password = '$2b$newer' WHERE is_superuser")
    await project.do(f"UPDATE {quote} SET hashed_password = :long WHERE NOT is_superuser", long="x" * 600)

    await project.run("stamp", "adopt")
    await project.run("upgrade", "move")

    after = await project.ask(old)
    assert len(after) == 2
    assert ("$2b$newer",) in after
    assert len(set(before) & set(after)) == 1
    left = await project.ask(f"SELECT hashed_password FROM {quote} ORDER BY is_superuser")
    assert left == [("x" * 600,), ("",)]


@pytest.mark.parametrize("rows", [True, False])
async def test_passwords_wait_for_our_tables_if_there_are_any(project: Project, rows: bool) -> None:
    tables = fastapi_users(project.engine.dialect.name)
    if not rows:
        tables.rows.clear()
    await tables.make(project.engine)
    await adopt_alone(project, tables)
    steps = "import propusk.alembic; from tests.contract.host_tables import FASTAPI_USERS as users; propusk.alembic."
    project.revision("move", "adopt", f"{steps}move_passwords(users)", f"{steps}return_passwords(users)")

    if rows:
        with pytest.raises(CommandError, match="run the migrations of Propusk, then this again"):
            await project.run("upgrade", "move")
    else:
        await project.run("upgrade", "move")
        await project.run("downgrade", "base")


ACCOUNT_MODELS = """
from sqlalchemy import Boolean, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import propusk.alembic
import propusk.db.types
from tests.contract.host_tables import ACCOUNTS


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    auth_id: Mapped[int] = mapped_column(primary_key=True)
    email_address: Mapped[str] = mapped_column(String(254), unique=True)
    login: Mapped[str | None] = mapped_column(String(40))
    full_name: Mapped[str | None] = mapped_column(String(200))
    enabled: Mapped[bool]
    joined: Mapped[object] = mapped_column(propusk.db.types.UtcDateTime)
    pw: Mapped[str | None] = mapped_column(String(200))
    plan: Mapped[str] = mapped_column(String(10))
    label: Mapped[str] = mapped_column(String(60))
    {declared}


class Invoice(Base):
    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.auth_id", ondelete="CASCADE"))


"""


DECLARED = "propusk_id = mapped_column(propusk.db.types.Id, nullable=True)"


@pytest.mark.parametrize("declared", ["", f"session_epoch: Mapped[int]; {DECLARED}"])
async def test_autogenerate_leaves_our_columns_alone(project: Project, tables: HostTables, declared: str) -> None:
    await adopt(project, tables)
    project.models(
        ACCOUNT_MODELS.format(declared=declared) + "options = propusk.alembic.options(Base.metadata, ACCOUNTS)"
    )

    await project.run("check")


async def test_autogenerate_sees_an_index_of_the_hosts_that_is_to_go(project: Project, tables: HostTables) -> None:
    await adopt(project, tables)
    indexes = {"by_plan": "plan"}
    if project.name == "postgresql":  # the one whose expressions are read back, and that has them
        indexes["by_label"] = "lower(label)"
    await project.do(*(f"CREATE INDEX {name} ON account ({what})" for name, what in indexes.items()))
    project.models(ACCOUNT_MODELS.format(declared="") + "options = propusk.alembic.options(Base.metadata, ACCOUNTS)")

    made = await project.autogenerate()

    assert [f"op.drop_index(op.f('{name}')" in made for name in indexes] == [True] * len(indexes)
    assert made.count("op.drop_") == len(indexes)


async def test_our_tables_are_taken_in_beside_a_hosts_own_users(project: Project, tables: HostTables) -> None:
    await adopt_alone(project, tables)
    hooks = "options = propusk.alembic.options(Base.metadata, ACCOUNTS, take_in=True)"
    project.models(ACCOUNT_MODELS.format(declared=DECLARED) + hooks)

    made = await project.autogenerate()
    await project.run("upgrade", "head")
    await project.run("check")

    assert "create_table('propusk_users'" not in made
    assert "add_column" not in made
    assert our_tables(build_tables(ACCOUNTS)) <= await project.tables()
    async with project.engine.connect() as connection:
        assert await connection.run_sync(describe, build_tables(ACCOUNTS).metadata) == []


def test_a_host_that_takes_our_tables_in_is_told_to_declare_what_they_refer_to() -> None:
    metadata = MetaData()
    Table("account", metadata, Column("auth_id", Integer, primary_key=True))

    with pytest.raises(ValueError, match=r"declare the column account\.propusk_id"):
        options(metadata, ACCOUNTS, take_in=True)
    with pytest.raises(ValueError, match=r"declare the column account\.propusk_id"):
        build_tables(ACCOUNTS, metadata)
    assert list(options(metadata, ACCOUNTS)["target_metadata"].tables) == ["account"]


def test_a_column_has_one_meaning() -> None:
    with pytest.raises(ValueError, match="mail would have two meanings"):
        UsersTable("account", email="mail", username="mail")
    with pytest.raises(ValueError, match="mail would have two meanings"):
        UsersTable("account", email="mail", values={"mail": ""})


def test_one_metadata_has_our_tables_once() -> None:
    metadata = MetaData()
    assert build_tables(None, metadata) is build_tables(None, metadata)
    with pytest.raises(ValueError, match="with another UsersTable"):
        build_tables(FASTAPI_USERS, metadata)
    with pytest.raises(ValueError, match="our tables have no schema"):
        build_tables(None, MetaData(schema="app"))
