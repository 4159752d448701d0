"""A host that catches a refusal and goes on commits its own, and nothing of what was refused."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, insert, select

from propusk import AuthError, Client, Context
from propusk.db.types import Id
from propusk.domain import (
    change_user,
    complete_login,
    confirm_email,
    create_user_with_password,
    delete_user,
    end_all_sessions,
    find_user,
    find_user_by_login,
    list_live_sessions,
    undo_email_change,
)
from propusk.errors import EmailTaken, InvalidAccessToken, UserInUse, UsernameTaken
from propusk.events import UserDeleted, UserRegistered, publish
from propusk.one_time.issue import issue, token_of
from propusk.one_time.models import Purpose
from propusk.users.models import User
from propusk.users.queries import update_user
from propusk.users.register import create_user
from tests.host.stand import MakeStand, Stand
from tests.kit import PASSWORD

Act = Callable[[Context], Awaitable[object]]
NEW = "new@example.com"


async def make_user(stand: Stand, name: str) -> User:
    async with stand.auth.transaction() as ctx:
        fields = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
        return await create_user_with_password(ctx, actor=None, **fields)


async def link(stand: Stand, user: User, purpose: Purpose, *, email: str) -> str:
    """The token of a link about an address."""
    payload = {"address": email, "old": user.email, "old_key": user.email_key, "undo": str(UUID(int=1))}
    async with stand.auth.transaction() as ctx:
        ttl = timedelta(hours=1)
        token = await issue(ctx, purpose, email_key=email, ttl=ttl, user_id=user.id, payload=payload)
        return token_of(ctx, token)


async def refused(stand: Stand, act: Act, refusal: type[AuthError]) -> None:
    """Have `act` refused between two writes of a host, and see that both are kept."""
    host = await make_user(stand, "host")
    async with stand.auth.transaction(Client(ip="198.51.100.9")) as ctx:
        await change_user(ctx, user_id=host.id, changes={"name": "before"}, actor_id=None)
        with pytest.raises(refusal):
            await act(ctx)
        await change_user(ctx, user_id=host.id, changes={"locale": "ru"}, actor_id=None)
    async with stand.auth.transaction() as ctx:
        kept = await find_user(ctx, host.id)
    assert kept is not None
    assert (kept.name, kept.locale) == ("before", "ru")


async def now(stand: Stand, user: User) -> User | None:
    async with stand.auth.transaction() as ctx:
        return await find_user(ctx, user.id)


@asynccontextmanager
async def orders_of(stand: Stand, user: User) -> AsyncIterator[None]:
    """A table of the host's that holds on to this user."""
    metadata = MetaData()
    owner = Column("buyer", Id, ForeignKey(stand.auth.tables.users.c.id))
    orders = Table("host_orders", metadata, Column("id", Integer, primary_key=True), owner)
    async with stand.auth.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(insert(orders).values(id=1, buyer=user.id))
    try:
        yield
    finally:
        async with stand.auth.engine.begin() as connection:
            await connection.run_sync(metadata.drop_all)


async def test_a_deletion_that_the_hosts_rows_refuse_told_nobody(make_stand: MakeStand) -> None:
    async def obey(ctx: Context, event: UserDeleted) -> None:
        assert event.user_id is not None
        await change_user(ctx, user_id=event.user_id, changes={"name": "to be deleted"}, actor_id=None)

    stand = await make_stand(on=[(UserDeleted, obey)])
    ada = await make_user(stand, "ada")
    async with stand.auth.transaction(Client(ip="198.51.100.7")) as ctx:
        await publish(ctx, UserRegistered(user_id=ada.id, actor_id=ada.id))
    async with orders_of(stand, ada):
        await refused(stand, lambda ctx: delete_user(ctx, user_id=ada.id, actor_id=None), UserInUse)
    assert await now(stand, ada) == ada
    async with stand.auth.transaction() as ctx:
        events = ctx.tables.audit_events.c
        rows = await ctx.db.execute(
            select(events.kind, events.ip).where(events.user_id == ada.id).order_by(events.kind)
        )
    assert [tuple(row) for row in rows] == [("user_created", None), ("user_registered", "198.51.100.7")]


async def test_a_user_whose_address_another_may_take_back_is_not_made(make_stand: MakeStand) -> None:
    stand = await make_stand()
    await link(stand, await make_user(stand, "ada"), Purpose.UNDO_EMAIL, email=NEW)

    await refused(stand, lambda ctx: create_user(ctx, email=NEW), EmailTaken)
    async with stand.auth.transaction() as ctx:
        assert await find_user_by_login(ctx, NEW) is None


@pytest.mark.parametrize("by", ["reserved", "taken"])
async def test_a_change_of_address_that_is_refused_changes_nothing(make_stand: MakeStand, by: str) -> None:
    stand = await make_stand()
    ada, bo = await make_user(stand, "ada"), await make_user(stand, "bob")
    if by == "reserved":
        await link(stand, bo, Purpose.UNDO_EMAIL, email=NEW)
    wanted = NEW if by == "reserved" else bo.email
    token = await link(stand, ada, Purpose.CHANGE_EMAIL, email=wanted)

    await refused(stand, lambda ctx: confirm_email(ctx, token=token), EmailTaken)
    assert await now(stand, ada) == ada


async def test_an_undo_to_an_address_that_another_has_leaves_the_link_as_it_is(make_stand: MakeStand) -> None:
    stand = await make_stand()
    ada, bo = await make_user(stand, "ada"), await make_user(stand, "bob")
    token = await link(stand, ada, Purpose.UNDO_EMAIL, email=bo.email)

    await refused(stand, lambda ctx: undo_email_change(ctx, token=token), EmailTaken)
    async with stand.auth.transaction() as ctx:
        await change_user(ctx, user_id=bo.id, changes={"email": "b@example.com"}, actor_id=None)
        await undo_email_change(ctx, token=token)


async def test_a_name_that_another_took_a_moment_ago_spoils_no_transaction(make_stand: MakeStand) -> None:
    stand = await make_stand()
    ada, bo = await make_user(stand, "ada"), await make_user(stand, "bob")

    taken = {"username": bo.username, "username_key": bo.username_key}
    await refused(stand, lambda ctx: update_user(ctx, ada.id, taken), UsernameTaken)
    assert await now(stand, ada) == ada


async def test_when_the_session_to_keep_has_ended_the_others_go_on(make_stand: MakeStand) -> None:
    stand = await make_stand()
    ada = await make_user(stand, "ada")
    async with stand.auth.transaction() as ctx:
        await complete_login(ctx, ada, methods=("pwd",))

    act: Act = lambda ctx: end_all_sessions(ctx, user_id=ada.id, actor_id=ada.id, keep=UUID(int=1))  # noqa: E731
    await refused(stand, act, InvalidAccessToken)
    async with stand.auth.transaction() as ctx:
        assert len(await list_live_sessions(ctx, ada.id, limit=10)) == 1
