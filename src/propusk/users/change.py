"""Change fields of a user, by themselves or by a superuser."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from propusk.context import Context
from propusk.errors import EmailTaken, LastSuperuser, NotFound, UsernameTaken
from propusk.events import (
    Event,
    UserActivated,
    UserDeactivated,
    UserDemoted,
    UserPromoted,
    UserUpdated,
    publish,
)
from propusk.one_time.queries import is_reserved
from propusk.users import queries
from propusk.users.email_address import normalise_email
from propusk.users.models import User
from propusk.users.profile import check_locale, check_name, check_profile
from propusk.users.username import new_username


async def change_user(ctx: Context, *, user_id: UUID, changes: Mapping[str, Any], actor_id: UUID | None) -> User:
    """Set some fields of a user: an absent one is kept, None clears, `profile` is replaced whole.

    A new e-mail address is unverified unless `is_verified` says otherwise. A deactivated user's sessions all end.

    Args:
        changes: among email, username, name, locale, profile, is_active, is_verified, is_superuser.
    Raises:
        NotFound, InvalidInput, EmailTaken, UsernameTaken, LastSuperuser
    """
    values = _normalise(ctx, changes)
    if changes.get("is_active") is False or changes.get("is_superuser") is False:
        await queries.lock_superusers(ctx)
    user = await queries.find_user(ctx, user_id)
    if user is None:
        raise NotFound
    values = {key: value for key, value in values.items() if _differs(getattr(user, key), value)}
    if not values:
        return user
    if "email_key" in values and "is_verified" not in changes:
        values["is_verified"] = False
    changed = replace(user, **values, updated_at=ctx.now)
    await _check_still_administered(ctx, user, changed)
    await _check_taken(ctx, user_id, values)
    if user.is_active and not changed.is_active:
        changed = replace(changed, session_epoch=user.session_epoch + 1)
        values["session_epoch"] = ctx.tables.users.c.session_epoch + 1
    if not await queries.update_user(ctx, user_id, {**values, "updated_at": ctx.now}):
        raise NotFound
    for event in _events(user, changed, actor_id):
        await publish(ctx, event)
    return changed


def _differs(old: object, new: object) -> bool:
    """Profiles are compared as JSON: to Python, `{"a": true}` and `{"a": 1}` are equal."""
    return json.dumps(old) != json.dumps(new) if isinstance(new, dict) else old != new


def _normalise(ctx: Context, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that the changes set."""
    values: dict[str, Any] = {}
    for key, value in changes.items():
        values |= _FIELDS[key](ctx, value)
    return values


def _email(_ctx: Context, value: str) -> dict[str, Any]:
    address = normalise_email(value)
    return {"email": address.address, "email_key": address.key}


def _username(ctx: Context, value: str | None) -> dict[str, Any]:
    named = new_username(ctx, value) if value is not None else None
    return {"username": named.name if named else None, "username_key": named.key if named else None}


def _flag(name: str) -> Callable[[Context, bool], dict[str, Any]]:
    return lambda _, value: {name: value}


_FIELDS: Mapping[str, Callable[[Context, Any], dict[str, Any]]] = {
    "email": _email,
    "username": _username,
    "name": lambda _, value: {"name": check_name(value)},
    "locale": lambda _, value: {"locale": check_locale(value)},
    "profile": lambda ctx, value: {"profile": check_profile(ctx, value)},
    "is_active": _flag("is_active"),
    "is_verified": _flag("is_verified"),
    "is_superuser": _flag("is_superuser"),
}


async def _check_still_administered(ctx: Context, user: User, changed: User) -> None:
    administers = user.is_superuser and user.is_active
    if administers and not (changed.is_superuser and changed.is_active):
        await check_not_last_superuser(ctx, user.id)


async def check_not_last_superuser(ctx: Context, user_id: UUID) -> None:
    """Refuse if nobody but this user administers. Call `lock_superusers` before.

    Raises:
        LastSuperuser
    """
    if await queries.count_other_superusers(ctx, user_id) == 0:
        raise LastSuperuser


async def _check_taken(ctx: Context, user_id: UUID, values: Mapping[str, Any]) -> None:
    """Say which name is taken; two who race are told apart by the database, at the update."""
    if key := values.get("email_key"):
        await check_email_free(ctx, key, user_id=user_id)
    if values.get("username_key") and await queries.find_user_by(ctx, "username", values["username_key"]):
        raise UsernameTaken


async def check_email_free(ctx: Context, email_key: str, *, user_id: UUID) -> None:
    """Refuse an address that is another user's, or that another user may still take back.

    Raises:
        EmailTaken
    """
    owner = await queries.find_user_by(ctx, "email", email_key)
    if (owner is not None and owner.id != user_id) or await is_reserved(ctx, email_key, user_id=user_id):
        raise EmailTaken


def _events(user: User, changed: User, actor_id: UUID | None) -> list[Event]:
    fields = [key for key in _FIELDS if _differs(getattr(user, key), getattr(changed, key))]
    old = user.email if user.email_key != changed.email_key else None
    events: list[Event] = [UserUpdated(user_id=user.id, actor_id=actor_id, detail=" ".join(fields), old_email=old)]
    if user.is_active != changed.is_active:
        kind = UserActivated if changed.is_active else UserDeactivated
        events.append(kind(user_id=user.id, actor_id=actor_id))
    if user.is_superuser != changed.is_superuser:
        turned = UserPromoted if changed.is_superuser else UserDemoted
        events.append(turned(user_id=user.id, actor_id=actor_id))
    return events
