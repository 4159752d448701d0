"""A host's Alembic history and ours: kept apart, ours included in theirs, or ours taken in by autogenerate."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from propusk import create_auth
from propusk.db.migrate import describe
from propusk.db.revision import VERSION_TABLE, is_current, known_revisions, newest_revision, our_tables
from propusk.db.schema import build_tables
from propusk.domain import change_user, create_user_with_password
from propusk.errors import LastSuperuser
from tests.backends import NAMES
from tests.contract.host_project import Project, host_project
from tests.kit import PASSWORD, make_settings

OURS = our_tables(build_tables())
MODELS = """
from sqlalchemy import ForeignKey, String, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import propusk.alembic


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "uq": "%(table_name)s_unique",
            "ix": "%(column_0_label)s_index",
            "fk": "%(column_0_label)s_reference",
            "pk": "%(table_name)s_key",
        }
    )


class Shop(Base):
    __tablename__ = "shop"
    __table_args__ = {"mysql_engine": "InnoDB"}
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)


class Order(Base):
    __tablename__ = "shop_order"
    __table_args__ = {"mysql_engine": "InnoDB"}
    id: Mapped[int] = mapped_column(primary_key=True)
    buyer: Mapped[object] = mapped_column(ForeignKey("propusk_users.id", ondelete="CASCADE"))
    shop: Mapped[int] = mapped_column(ForeignKey("shop.id"))


"""


@pytest.fixture(params=NAMES)
async def project(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Project]:
    async with host_project(request, request.param, tmp_path) as made:
        yield made


async def equals_our_metadata(project: Project) -> bool:
    async with project.engine.connect() as connection:
        return await connection.run_sync(describe, build_tables().metadata) == []


async def test_kept_apart_a_hosts_autogenerate_leaves_our_tables_alone(project: Project) -> None:
    auth = create_auth(make_settings(project.url, project.folder))
    await auth.migrate()
    await auth.close()
    project.models(MODELS + "options = propusk.alembic.options(Base.metadata)")

    made = await project.autogenerate()
    await project.run("upgrade", "head")
    await project.run("check")  # raises when there is anything to change

    assert "shop_order" in made
    assert "propusk" not in made.replace("propusk_users.id", "").replace("import propusk.db.types", "").replace(
        "propusk.db.types.Id()", ""
    )
    assert await project.tables() == {*OURS, VERSION_TABLE, "shop", "shop_order", "alembic_version"}

    await project.run("downgrade", "base")
    assert await project.tables() == {*OURS, VERSION_TABLE, "alembic_version"}
    assert await equals_our_metadata(project)
    assert await is_current(project.engine)


async def test_our_revisions_are_part_of_a_hosts_history_with_one_version_table(project: Project) -> None:
    project.models(MODELS + "options = propusk.alembic.options(Base.metadata)")
    own = project.config.get_main_option("version_locations")
    project.config.set_main_option("version_locations", f"{own}\npropusk:db/migrations/versions")
    await project.run("upgrade", "propusk@head")

    made = await project.autogenerate(
        head="base", version_path=own, branch_label="shop", depends_on=[newest_revision()], rev_id="0001"
    )
    await project.run("upgrade", "heads")
    await project.run("check")

    assert "create_table('shop_order'" in made
    assert "create_table('propusk" not in made
    assert await project.tables() == {*OURS, "shop", "shop_order", "alembic_version"}
    assert await equals_our_metadata(project)
    assert await is_current(project.engine, build_tables().metadata)

    await project.run("downgrade", "shop@base")
    await project.run("downgrade", "propusk@base")
    assert await project.tables() == {"alembic_version"}
    assert not await is_current(project.engine, build_tables().metadata)

    await project.run("upgrade", "heads")  # what a new developer does
    assert await project.tables() == {*OURS, "shop", "shop_order", "alembic_version"}


async def test_our_tables_are_taken_in_by_a_hosts_autogenerate(project: Project) -> None:
    project.models(MODELS + "options = propusk.alembic.options(Base.metadata, take_in=True)")

    made = await project.autogenerate()
    await project.run("upgrade", "head")
    await project.run("check")

    assert "import propusk.db.types" in made
    assert await project.tables() == {*OURS, "shop", "shop_order", "alembic_version"}
    assert await is_current(project.engine, build_tables().metadata)
    assert await equals_our_metadata(project)

    if project.name == "mariadb":
        # Alembic drops indexes before their tables, which MariaDB refuses for those of foreign keys: see the guide.
        project.rewrite_newest(lambda source: re.sub(r"^    op\.drop_index\(.*$", "", source, flags=re.MULTILINE))
    await project.run("downgrade", "base")
    assert await project.tables() == {"alembic_version"}


async def test_where_a_host_made_our_tables_the_last_superuser_is_kept(project: Project) -> None:
    """The row that guards it comes with our own history alone."""
    project.models(MODELS + "options = propusk.alembic.options(Base.metadata, take_in=True)")
    await project.autogenerate()
    await project.run("upgrade", "head")
    auth = create_auth(make_settings(project.url, project.folder))
    try:
        async with auth.transaction() as ctx:
            email = {"email": "root@example.com"}
            root = await create_user_with_password(ctx, actor=None, password=PASSWORD, is_superuser=True, **email)
        for _ in range(2):
            with pytest.raises(LastSuperuser):
                async with auth.transaction() as ctx:
                    await change_user(ctx, user_id=root.id, changes={"is_superuser": False}, actor_id=None)
            assert [name for (name,) in await project.ask("SELECT name FROM propusk_locks")] in ([], ["superusers"])
        async with auth.transaction() as ctx:
            await create_user_with_password(ctx, actor=None, password=None, email="eve@example.com", is_superuser=True)
            await change_user(ctx, user_id=root.id, changes={"is_superuser": False}, actor_id=None)
        assert await project.ask("SELECT name, n FROM propusk_locks") == [("superusers", 0)]
    finally:
        await auth.close()


async def test_hooks_of_the_hosts_are_asked_about_everything_else(project: Project) -> None:
    project.models(
        MODELS
        + """
options = propusk.alembic.options(
    Base.metadata,
    include_object=lambda thing, name, kind, reflected, other: not (kind == "table" and name == "shop_order"),
    render_item=lambda kind, thing, _: kind == "type" and str(thing) == "VARCHAR(50)" and "sa.Unicode(50)",
)
"""
    )

    made = await project.autogenerate()

    assert "sa.Unicode(50)" in made
    assert "shop_order" not in made


def test_every_revision_of_ours_can_be_told_from_a_hosts() -> None:
    assert known_revisions()
    assert all(revision.startswith("propusk_") for revision in known_revisions())
