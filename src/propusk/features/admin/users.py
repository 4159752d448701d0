"""Users, for superusers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from propusk.errors import (
    CrossOrigin,
    EmailTaken,
    Forbidden,
    LastSuperuser,
    NotFound,
    UserInUse,
    UsernameTaken,
)
from propusk.sessions.confirm import confirm_superuser
from propusk.users.change import change_user
from propusk.users.delete import delete_user
from propusk.users.queries import find_user, list_users
from propusk.web.answers import no_content
from propusk.web.context import Ctx
from propusk.web.current import CurrentPrincipal, superuser
from propusk.web.cursors import Cursor, Limit, QueryTime, cut_page, read_cursor
from propusk.web.ids import PathId
from propusk.web.openapi import GET, LOGIN_NEEDED, UNSAFE, refuses
from propusk.web.route import StrictRoute
from propusk.web.schemas import Body, Email, Locale, Name, Profile, Username, UserOut, UserPage, absent, shown

router = APIRouter(prefix="/users", route_class=StrictRoute, tags=["admin"], dependencies=[Depends(superuser)])
Flag = Annotated[bool | None, Query()]


class UserPatch(Body):
    """Any field of a user: an absent one is kept, null clears, `profile` is replaced whole."""

    model_config = shown({"is_active": False}, {"name": None, "locale": "ru"})

    email: Email = absent("")
    username: Username | None = None
    name: Name | None = None
    locale: Locale | None = None
    profile: Profile | None = None
    is_active: bool = absent(True)
    is_verified: bool = absent(True)
    is_superuser: bool = absent(True)


@router.get("", responses=refuses(*GET, *LOGIN_NEEDED, Forbidden))
async def get_users(
    ctx: Ctx,
    q: Annotated[
        str | None, Query(max_length=254, description="A prefix of the e-mail, the username or the name.")
    ] = None,
    is_active: Flag = None,
    is_verified: Flag = None,
    is_superuser: Flag = None,
    created_after: QueryTime = None,
    created_before: QueryTime = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> UserPage:
    """Find users, newest first."""
    flags = {"is_active": is_active, "is_verified": is_verified, "is_superuser": is_superuser}
    found = await list_users(
        ctx,
        limit=limit + 1,
        before=read_cursor(ctx, "users", cursor),
        q=q,
        flags={name: value for name, value in flags.items() if value is not None},
        created_after=created_after,
        created_before=created_before,
    )
    page, next_cursor = cut_page(ctx, "users", found, limit)
    return UserPage(items=[UserOut.of(user) for user in page], next_cursor=next_cursor)


@router.get("/{id}", responses=refuses(*GET, *LOGIN_NEEDED, Forbidden, NotFound))
async def get_user(ctx: Ctx, user_id: PathId) -> UserOut:
    """One user."""
    user = await find_user(ctx, user_id)
    if user is None:
        raise NotFound
    return UserOut.of(user)


@router.patch(
    "/{id}",
    responses=refuses(
        *UNSAFE, *LOGIN_NEEDED, Forbidden, CrossOrigin, NotFound, EmailTaken, UsernameTaken, LastSuperuser
    ),
)
async def patch_user(principal: CurrentPrincipal, ctx: Ctx, user_id: PathId, body: UserPatch) -> UserOut:
    """Change any field of a user. Deactivating one ends all their sessions."""
    await confirm_superuser(ctx, principal)
    changes = body.model_dump(exclude_unset=True)
    return UserOut.of(await change_user(ctx, user_id=user_id, changes=changes, actor_id=principal.user.id))


@router.delete(
    "/{id}",
    status_code=204,
    name="delete_user",
    responses=refuses(*UNSAFE, *LOGIN_NEEDED, Forbidden, CrossOrigin, NotFound, LastSuperuser, UserInUse),
)
async def delete_user_by_id(principal: CurrentPrincipal, ctx: Ctx, user_id: PathId) -> Response:
    """Delete a user with their sessions and personal data."""
    await confirm_superuser(ctx, principal)
    await delete_user(ctx, user_id=user_id, actor_id=principal.user.id)
    return no_content()
